import { InvalidArgumentError } from 'commander'

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const DURATION = /^(\d{1,9})([smhd])$/
/** One without a zone would be another moment on another machine. */
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/

/** The value of `--wait`: `30s`, `10m`, `2h`, `7d`, in milliseconds. @throws InvalidArgumentError for anything else */
export function duration(text: string): number {
  const found = durationIn(text)
  if (found === undefined) throw new InvalidArgumentError('--wait takes a duration such as 30s, 10m, 2h or 7d')
  return found
}

export const SINCE = 'from then on: a time such as 2026-11-20T10:00:00Z, or how long ago, such as 10m or 2d'

/**
 * The value of `--since`: a time, of which a day alone is its beginning in UTC, or how long ago it was. As RFC 3339 has
 * it, in UTC.
 * @throws InvalidArgumentError for anything else
 */
export function since(text: string): string {
  const ago = durationIn(text)
  const at = ago !== undefined ? Date.now() - ago : TIME.test(text) ? Date.parse(text) : Number.NaN
  // Farther back than there are dates.
  if (Number.isNaN(new Date(at).getTime()))
    throw new InvalidArgumentError(
      '--since takes a duration such as 10m or 2d, or a time such as 2026-11-20T10:00:00Z.',
    )
  return new Date(at).toISOString()
}

function durationIn(text: string): number | undefined {
  const [, number, unit] = DURATION.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * UNITS[unit as keyof typeof UNITS]
}

/** How long, as people say it: 40s, 5m, 3h, 12d. */
export function spelled(ms: number): string {
  const [unit, size] = (['d', 'h', 'm'] as const)
    .map((name) => [name, UNITS[name]] as const)
    .find(([, least]) => ms >= least) ?? ['s', UNITS.s]
  return `${Math.max(0, Math.floor(ms / size))}${unit}`
}

/** A time to the second, as tables have it; any other text as it is. */
export function toTheSecond(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{3}Z$/, '$1 $2Z')
}

const WHOLE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** A time as how long ago it was, or in how long it will be: 3h ago, in 7d; any other text as it is. */
export function aged(text: string, now: number): string {
  if (!WHOLE_TIME.test(text)) return text
  const ms = Date.parse(text) - now
  return ms > 0 ? `in ${spelled(ms)}` : `${spelled(-ms)} ago`
}
