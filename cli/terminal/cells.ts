import { escaped, plain } from './terminal.ts'

/** A value as JSON; what could steer a terminal is escaped, which says the same. */
export function jsonOf(value: unknown): string {
  return escaped(JSON.stringify(value))
}

/** A value as people read it. */
export function cell(value: unknown): string {
  return plain(text(value))
}

/** Rows as RFC 4180 has them, with plain line feeds. */
export function csvLines(rows: readonly Record<string, unknown>[], names: readonly string[], header: boolean): string {
  const lines = rows.map((row) => names.map((name) => csv(seen(text(row[name])))).join(','))
  return (header && names.length > 0 ? [names.map(csv).join(','), ...lines] : lines).join('\n')
}

/** A cell as RFC 4180 has it. */
export function csv(value: string): string {
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}

/** A file gets what there is, to the letter; a terminal must not be steered by it. */
function seen(value: string): string {
  return process.stdout.isTTY ? plain(value) : value
}

function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.map(text).join(',')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
