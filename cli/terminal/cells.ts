import { escaped, plain } from './terminal.ts'

/** Formats a value as JSON, with control characters escaped so that they cannot control a terminal. */
export function jsonOf(value: unknown): string {
  return escaped(JSON.stringify(value))
}

/** Formats a value for a table. */
export function cell(value: unknown): string {
  return plain(text(value))
}

/** Formats rows as CSV (RFC 4180), with LF line endings. */
export function csvLines(rows: readonly Record<string, unknown>[], names: readonly string[], header: boolean): string {
  const lines = rows.map((row) => names.map((name) => quoteCsv(safeForTerminal(text(row[name])))).join(','))
  return (header && names.length > 0 ? [names.map(quoteCsv).join(','), ...lines] : lines).join('\n')
}

/** Quotes a CSV cell if necessary (RFC 4180). */
export function quoteCsv(value: string): string {
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}

/** Removes control characters on a terminal; a file or pipe gets the exact value. */
function safeForTerminal(value: string): string {
  return process.stdout.isTTY ? plain(value) : value
}

function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(text).join(',')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
