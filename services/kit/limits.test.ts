import { afterAll, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openUsersStore } from '../../db/users/store.ts'
import { type LimitRule, limit, type PaceRule, pace, secondsUntil } from './limits.ts'
import { Problem } from './problem.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-limits-'))
afterAll(() => rmSync(directory, { recursive: true }))

const NOW = 1_800_000_000_000
const RULE: LimitRule = { name: 'rule', most: 3, window: 60_000 }

let count = 0
let dataDir: string
let store: Awaited<ReturnType<typeof openUsersStore>>
beforeEach(async () => {
  dataDir = join(directory, String(count++))
  store = await openUsersStore({ dataDir })
  return () => store.close()
})

/** Counts a hit. @returns 0 if it passes, otherwise the seconds of Retry-After */
async function hit(subject: string, now: number, rule = RULE): Promise<number> {
  try {
    await limit(store, rule, subject, now)
    return 0
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'rate_limited') throw error
    return error.retryAfter ?? -1
  }
}

const hits = async (subject: string, ...times: number[]) => {
  const answers: number[] = []
  for (const time of times) answers.push(await hit(subject, NOW + time))
  return answers
}

describe('a limit in a window', () => {
  test.each<[string, number[], number[]]>([
    ['more are refused until the window ends', [0, 1, 2, 3, 1000, 59_999], [0, 0, 0, 60, 59, 1]],
    [
      'a new window begins with the first after the old one',
      [0, 1, 2, 3, 60_000, 60_001, 60_002, 60_003],
      [0, 0, 0, 60, 0, 0, 0, 60],
    ],
    ['a clock that is set back locks nobody out', [0, 1, 2, 3, -3_600_000], [0, 0, 0, 60, 0]],
    ['a clock that is set forward locks nobody out', [0, 1, 2, 3, 3_600_000], [0, 0, 0, 60, 0]],
  ])('%s', async (_, times, answers) => {
    expect(await hits('ana', ...times)).toEqual(answers)
  })

  test('each subject and each rule has a count of its own', async () => {
    expect(await hits('ana', 0, 0, 0, 0)).toEqual([0, 0, 0, 60])
    expect(await hit('ben', NOW)).toBe(0)
    expect(await hit('ana', NOW, { ...RULE, name: 'other' })).toBe(0)
  })

  test('an IPv6 network counts as one', async () => {
    expect(await hit('2001:db8::1', NOW)).toBe(0)
    expect(await hit('2001:db8::2', NOW)).toBe(0)
    expect(await hit('2001:DB8:0:0:5::', NOW)).toBe(0)
    expect(await hit('2001:db8::4', NOW)).toBe(60)
    expect(await hit('2001:db8:0:1::4', NOW)).toBe(0)
  })

  test('of 200 concurrent hits no more than the limit pass', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => hit('ana', NOW)))
    expect(answers.filter((answer) => answer === 0)).toHaveLength(3)
  })

  test('the count survives a restart', async () => {
    await hits('ana', 0, 1, 2)
    await store.close()
    store = await openUsersStore({ dataDir })
    expect(await hits('ana', 3)).toEqual([60])
  })
})

describe('a limit by the times of the hits', () => {
  const PACE: PaceRule = {
    name: 'pace',
    window: 60_000,
    next: (times) => (times.at(-3) ?? Number.NEGATIVE_INFINITY) + 60_000,
  }
  const at = async (time: number, subject = 'ana') => {
    try {
      await pace(store, PACE, subject, NOW + time)
      return 0
    } catch (error) {
      return error instanceof Problem && error.code === 'rate_limited' ? error.retryAfter : error
    }
  }

  test.each<[string, number[], number[]]>([
    [
      'a hit stops counting when it is old enough',
      [0, 30_000, 30_000, 40_000, 60_000, 60_000, 90_000],
      [0, 0, 0, 20, 0, 30, 0],
    ],
    ['a refused hit is not counted', [0, 0, 0, 1, 59_999, 60_000], [0, 0, 0, 60, 1, 0]],
    ['a clock that is set back locks nobody out', [0, 0, 0, 1, -3_600_000], [0, 0, 0, 60, 0]],
    ['a clock that is set forward locks nobody out', [0, 0, 0, 1, 3_600_000], [0, 0, 0, 60, 0]],
  ])('%s', async (_, times, answers) => {
    const seconds = []
    for (const time of times) seconds.push(await at(time))
    expect(seconds).toEqual(answers)
    // A subject whose name begins like another has its own times.
    expect(await at(times.at(-1) ?? 0, 'an')).toBe(0)
  })

  test('of 200 concurrent hits no more than the limit pass, and the times survive a restart', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => at(0)))
    expect(answers.filter((answer) => answer === 0)).toHaveLength(3)
    await store.close()
    store = await openUsersStore({ dataDir })
    expect(await at(1)).toBe(60)
  })
})

test('Retry-After is in whole seconds, and at least one', () => {
  expect([0, 1, 1000, 1001, -5000].map((time) => secondsUntil(NOW + time, NOW))).toEqual([1, 1, 1, 2, 1])
})
