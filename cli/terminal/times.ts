import { InvalidArgumentError } from 'commander'

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const DURATION = /^(\d{1,9})([smhd])$/
/** A time needs a zone: without one it would mean different moments on different machines. */
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/

/** Parses `--wait`, such as `30s`, `10m`, `2h` or `7d`, to milliseconds. @throws InvalidArgumentError */
export function duration(text: string): number {
  const ms = durationIn(text)
  if (ms === undefined) throw new InvalidArgumentError('--wait takes a duration such as 30s, 10m, 2h or 7d')
  return ms
}

/** Help text for `--since`. */
export const SINCE = 'only since this time (2026-11-20T10:00:00Z), or since this long ago (10m, 2d)'

/**
 * Parses `--since`: a time, a day (which starts at midnight UTC), or a duration before now. Gives RFC 3339 in UTC.
 * @throws InvalidArgumentError for anything else
 */
export function since(text: string): string {
  return timeIn(text, '--since')
}

/** Help text for `--until`. */
export const UNTIL = 'only before this time, or before this long ago'

/** Parses `--until`, as `since` does. @throws InvalidArgumentError for anything else */
export function until(text: string): string {
  return timeIn(text, '--until')
}

function timeIn(text: string, flag: string): string {
  const ago = durationIn(text)
  const at = ago !== undefined ? Date.now() - ago : TIME.test(text) ? Date.parse(text) : Number.NaN
  // A huge duration would lead before the earliest date.
  if (Number.isNaN(new Date(at).getTime()))
    throw new InvalidArgumentError(
      `${flag} takes a duration such as 10m or 2d, or a time such as 2026-11-20T10:00:00Z.`,
    )
  return new Date(at).toISOString()
}

/** Parses a duration to milliseconds; undefined for anything else. */
export function durationIn(text: string): number | undefined {
  const [, number, unit] = DURATION.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * UNITS[unit as keyof typeof UNITS]
}

/** Formats a duration for people: 40s, 5m, 3h, 12d. */
export function humanDuration(ms: number): string {
  const [unit, size] = (['d', 'h', 'm'] as const)
    .map((name) => [name, UNITS[name]] as const)
    .find(([, least]) => ms >= least) ?? ['s', UNITS.s]
  return `${Math.max(0, Math.floor(ms / size))}${unit}`
}

/** Shortens a time to the second for tables; leaves other text unchanged. */
export function toTheSecond(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{3}Z$/, '$1 $2Z')
}

const FULL_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Formats a time relative to now: 3h ago, in 7d; leaves other text unchanged. */
export function relativeTime(text: string, now: number): string {
  if (!FULL_TIME.test(text)) return text
  const ms = Date.parse(text) - now
  return ms > 0 ? `in ${humanDuration(ms)}` : `${humanDuration(-ms)} ago`
}
