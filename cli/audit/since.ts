import { InvalidArgumentError } from 'commander'

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const FORMS = 'It is so long ago, such as 90s, 30m, 1h or 2d, or a time, such as 2026-11-20T10:00:00Z.'

/**
 * A time, or how long ago it was, as RFC 3339 has it.
 * @throws InvalidArgumentError for anything else
 */
export function since(text: string, now = Date.now()): string {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (number !== undefined) return new Date(now - Number(number) * UNITS[unit as keyof typeof UNITS]).toISOString()
  // A day alone, or a time that names no zone, would mean another moment on another machine.
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text))
    throw new InvalidArgumentError(FORMS)
  const at = Date.parse(text)
  if (Number.isNaN(at)) throw new InvalidArgumentError(FORMS)
  return new Date(at).toISOString()
}
