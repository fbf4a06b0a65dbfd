import { LEVELS, type Level, type LogLine, readLine } from './line.ts'

/** Which lines are wanted. */
export interface Wanted {
  /** All, where it is empty. */
  services: readonly string[]
  /** A time, as the lines have theirs. */
  since?: string | undefined
  level?: Level | undefined
  requestId?: string | undefined
}

/** @returns what reads a line, and gives it where it is wanted */
export function wantedLine({ level, requestId, services, since }: Wanted): (text: string) => LogLine | undefined {
  const least = level === undefined ? 0 : LEVELS.indexOf(level)
  return (text) => {
    // Most lines are not of the request: they need not be read.
    if (requestId !== undefined && !text.includes(JSON.stringify(requestId))) return undefined
    const line = readLine(text)
    if (!line) return undefined
    if (requestId !== undefined && line.request_id !== requestId) return undefined
    if (since !== undefined && line.time < since) return undefined
    if (LEVELS.indexOf(line.level) < least) return undefined
    return services.length === 0 || services.includes(line.service) ? line : undefined
  }
}
