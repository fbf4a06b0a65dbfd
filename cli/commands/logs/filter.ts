import { LEVELS, type Level, type LogLine, readLine } from './line.ts'

/** Selects lines of the log. */
export interface LogFilter {
  /** Empty: all services. */
  services: readonly string[]
  /** A time in the format of the log lines. */
  since?: string | undefined
  level?: Level | undefined
  requestId?: string | undefined
}

/** @returns a function that parses a line and gives it if it matches the filter */
export function createFilter({ level, requestId, services, since }: LogFilter): (text: string) => LogLine | undefined {
  const minLevel = level === undefined ? 0 : LEVELS.indexOf(level)
  return (text) => {
    // Skips the parsing of most lines, which belong to other requests.
    if (requestId !== undefined && !text.includes(JSON.stringify(requestId))) return undefined
    const line = readLine(text)
    if (!line) return undefined
    if (requestId !== undefined && line.request_id !== requestId) return undefined
    if (since !== undefined && line.time < since) return undefined
    if (LEVELS.indexOf(line.level) < minLevel) return undefined
    return services.length === 0 || services.includes(line.service) ? line : undefined
  }
}
