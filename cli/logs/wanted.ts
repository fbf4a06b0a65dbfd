import { usage } from '../exit.ts'
import { LEVELS, type Level, type LogLine, readLine } from './line.ts'

/** Which lines are wanted. */
export interface Wanted {
  /** All, where it is empty. */
  services: readonly string[]
  /** Milliseconds since the epoch. */
  since?: number | undefined
  level?: Level | undefined
  requestId?: string | undefined
}

/** @returns what reads a line, and gives it where it is wanted */
export function wantedLine({ level, requestId, services, since }: Wanted): (text: string) => LogLine | undefined {
  const least = level === undefined ? 0 : LEVELS.indexOf(level)
  const from = since === undefined ? undefined : new Date(since).toISOString()
  return (text) => {
    // Most lines are not of the request: they need not be read.
    if (requestId !== undefined && !text.includes(JSON.stringify(requestId))) return undefined
    const line = readLine(text)
    if (!line) return undefined
    if (requestId !== undefined && line.request_id !== requestId) return undefined
    if (from !== undefined && line.time < from) return undefined
    if (LEVELS.indexOf(line.level) < least) return undefined
    return services.length === 0 || services.includes(line.service) ? line : undefined
  }
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `10m`, `2h`, `7d`, in milliseconds. @throws Failure for anything else */
export function durationIn(text: string, option: string): number {
  const [, number, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (number === undefined || unit === undefined) throw usage(`${option} takes a duration such as 30s, 10m, 2h or 7d`)
  return Number(number) * (UNITS[unit] ?? 0)
}

/** A duration back from now, or a time. @throws Failure for anything else */
export function sinceIn(text: string, now: number): number {
  if (/^\d+[smhd]$/.test(text)) return now - durationIn(text, '--since')
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw usage('--since takes a duration such as 10m, or a time such as 2026-11-20T10:00:00Z')
  return time
}
