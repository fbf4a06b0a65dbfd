import { describe, expect, test } from 'bun:test'
import { expiredBackups } from './retention.ts'

const DAY = 24 * 60 * 60 * 1000
/** A Wednesday. */
const NOW = Date.parse('2026-11-25T03:15:00.000Z')

/** A backup of each of these ages in days. */
const ofAges = (...days: number[]) =>
  days.map((age) => ({ age, created_at: new Date(NOW - age * DAY).toISOString(), verified_at: null as string | null }))
const agesLeft = (backups: ReturnType<typeof ofAges>, keep: number, keepWeekly: number) => {
  const expired = expiredBackups(backups, { keep: keep * DAY, keepWeekly }, NOW)
  return backups.filter((backup) => !expired.includes(backup)).map(({ age }) => age)
}

describe('expiredBackups', () => {
  test('a backup each day for sixty days, kept for 7 days and 4 weeks', () => {
    const daily = ofAges(...Array.from({ length: 60 }, (_, age) => age))
    // The Sundays before the seven days are 10, 17 and 24 days old; of the first week only 7 to 9 are left: its Wednesday.
    expect(agesLeft(daily, 7, 4)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 10, 17, 24])
  })

  const rows: [about: string, ages: number[], keep: number, weekly: number, agesKept: number[]][] = [
    ['nothing is expired', [0, 1, 2], 7, 0, [0, 1, 2]],
    ['exactly as old as the limit', [0, 7], 7, 0, [0]],
    ['without weeks', [0, 8, 30], 7, 0, [0]],
    ['the only backup, however old', [400], 7, 0, [400]],
    ['weeks without a backup are not counted', [0, 100, 200, 300], 7, 2, [0, 100, 200]],
    ['two of one week', [0, 15, 16], 7, 4, [0, 15]],
    ['in any order', [30, 0, 8], 7, 0, [0]],
    ['from the future, because a clock was wrong', [-3, 1, 9], 7, 0, [-3, 1]],
    ['none at all', [], 7, 4, []],
  ]
  test.each(rows)('%s', (_, ages, keep, weekly, agesKept) => {
    expect(agesLeft(ofAges(...ages), keep, weekly)).toEqual(agesKept)
  })

  test('one from the future takes the place neither of the newest nor of the newest verified one', () => {
    const backups = ofAges(-400, 20, 30, 40)
    for (const backup of backups) if (backup.age !== 20) backup.verified_at = backup.created_at
    expect(agesLeft(backups, 7, 0)).toEqual([-400, 20, 30])
  })

  test('the newest verified one stays, although others are younger', () => {
    const backups = ofAges(0, 1, 20, 21)
    for (const backup of backups.slice(2)) backup.verified_at = backup.created_at
    expect(agesLeft(backups, 7, 0)).toEqual([0, 1, 20])
  })
})
