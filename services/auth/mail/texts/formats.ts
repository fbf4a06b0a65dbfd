import { DAY, HOUR, MINUTE } from '../../../kit/clock.ts'
import type { Locale } from '../../../kit/locale.ts'

// Times and durations in the languages of mails. All times are in UTC, and say so: a mail does not know where it is read.
// Non-breaking spaces keep a number and its unit together; `plain.ts` replaces them after it has broken the lines.

export type Unit = 'minutes' | 'hours' | 'days'

/** The forms of a noun after a number, by the plural category of the number (CLDR). */
export type Forms = { other: string } & Partial<Record<Intl.LDMLPluralRule, string>>

/** Dates of `en` in the order that every country reads in the same way. */
const TAGS: Record<Locale, string> = { en: 'en-GB', ru: 'ru' }

export interface Formats {
  /** @example '20 November 2026, 10:00 UTC' */
  dateTime(ms: number): string
  /** @example '10:00 UTC' */
  time(ms: number): string
  /** @example '30 minutes' @param units the forms of each unit, in the case that the sentence needs */
  duration(ms: number, units: Record<Unit, Forms>): string
}

export function formatsOf(locale: Locale): Formats {
  const date = new Intl.DateTimeFormat(TAGS[locale], { dateStyle: 'long', timeZone: 'UTC' })
  const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' }
  const timeOfDay = new Intl.DateTimeFormat(TAGS[locale], clock)
  const rules = new Intl.PluralRules(TAGS[locale])
  const number = new Intl.NumberFormat(TAGS[locale])
  const time = (ms: number) => `${timeOfDay.format(ms)}\u00a0UTC`
  return {
    time,
    // A date breaks only before the year.
    dateTime: (ms) => `${date.format(ms).replaceAll(/\s(?!\d{4})/g, '\u00a0')}, ${time(ms)}`,
    duration(ms, units) {
      const { count, unit } = inUnit(ms)
      const forms = units[unit]
      return `${number.format(count)}\u00a0${forms[rules.select(count)] ?? forms.other}`
    },
  }
}

/**
 * Converts a duration to the largest unit in which it is a whole number, or almost: the moment at which a mail was
 * requested is a little before that at which its link was created. A single day is 24 hours.
 */
function inUnit(ms: number): { count: number; unit: Unit } {
  const units = [
    ['days', DAY, 2],
    ['hours', HOUR, 1],
  ] as const
  for (const [unit, length, least] of units) {
    const count = Math.round(ms / length)
    if (count >= least && Math.abs(ms - count * length) < MINUTE / 2) return { count, unit }
  }
  return { count: Math.max(1, Math.round(ms / MINUTE)), unit: 'minutes' }
}
