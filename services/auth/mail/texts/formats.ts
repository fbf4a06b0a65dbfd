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

/** Writes times and durations in a language. The tables of the language are loaded with the first one: they take 4 MB. */
export function formatsOf(locale: Locale): Formats {
  let loaded: Tables | undefined
  const tables = () => {
    loaded ??= tablesOf(locale)
    return loaded
  }
  const time = (ms: number) => `${tables().timeOfDay.format(ms)}\u00a0UTC`
  return {
    time,
    // A date breaks only before the year.
    dateTime(ms) {
      const date = tables().date.format(ms)
      return `${date.replaceAll(/\s(?!\d{4})/g, '\u00a0')}, ${time(ms)}`
    },
    duration(ms, units) {
      const { count, unit } = inUnit(ms)
      const forms = units[unit]
      const { number, rules } = tables()
      return `${number.format(count)}\u00a0${forms[rules.select(count)] ?? forms.other}`
    },
  }
}

type Tables = ReturnType<typeof tablesOf>

function tablesOf(locale: Locale) {
  const tag = TAGS[locale]
  return {
    date: new Intl.DateTimeFormat(tag, { dateStyle: 'long', timeZone: 'UTC' }),
    timeOfDay: new Intl.DateTimeFormat(tag, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' }),
    rules: new Intl.PluralRules(tag),
    number: new Intl.NumberFormat(tag),
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
