import { quoteCsv } from '../../terminal/cells.ts'
import type { Output } from '../../terminal/formats.ts'
import { colored, escaped, plain } from '../../terminal/terminal.ts'

export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type Level = (typeof LEVELS)[number]

/** A log line: the fields that every line has, and others. */
export interface LogLine extends Record<string, unknown> {
  time: string
  level: Level
  service: string
  event: string
}

const COLORS: Record<Level, string> = {
  trace: '\x1b[2m',
  debug: '\x1b[2m',
  info: '\x1b[32m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
  fatal: '\x1b[31m',
}
/** Fields that repeat others. */
const HIDDEN = ['pid', 'hostname', 'msg']
const LEVEL_WIDTH = 5
const SERVICE_WIDTH = 7
/** Columns for CSV, in which every line needs the same. */
const COLUMNS = 'time level service event request_id method route status ms code user_id target message'.split(' ')

/** Parses a log line; undefined for other text, such as a line cut by a full disk. */
export function readLine(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as LogLine | null
    const isLogLine = typeof line?.time === 'string' && typeof line.service === 'string' && LEVELS.includes(line.level)
    return isLogLine ? line : undefined
  } catch {
    return undefined
  }
}

/** Formats a line for the output; undefined if there is nothing to print. */
export function formatLine(
  line: LogLine,
  { color, fields, output }: { output: Output; fields?: string[] | undefined; color: boolean },
): string | undefined {
  if (output === 'ids') return typeof line.request_id === 'string' ? plain(line.request_id) : undefined
  const names = fields ?? (output === 'csv' ? COLUMNS : undefined)
  if (output === 'json' || output === 'jsonl')
    return escaped(JSON.stringify(names ? Object.fromEntries(names.map((name) => [name, line[name] ?? null])) : line))
  if (output === 'csv') return names?.map((name) => quoteCsv(text(line[name]))).join(',')
  if (names) return names.map((name) => plain(text(line[name]))).join('  ')
  return readable(line, colored(process.stdout, color))
}

/** The header line for CSV. */
export function csvHeader(fields: string[] | undefined): string {
  return (fields ?? COLUMNS).map(quoteCsv).join(',')
}

function readable({ event, level, service, time, ...fields }: LogLine, inColor: boolean): string {
  const paint = (code: string, text: string) => (inColor ? `${code}${text}\x1b[0m` : text)
  const rest = Object.entries(fields)
    .filter(([name]) => !HIDDEN.includes(name))
    .map(([name, value]) => `${paint('\x1b[2m', `${plain(name)}=`)}${plain(text(value))}`)
  return [
    paint('\x1b[2m', plain(time)),
    paint(COLORS[level], level.padEnd(LEVEL_WIDTH)),
    plain(service).padEnd(SERVICE_WIDTH),
    plain(String(event)),
    ...rest,
  ].join(' ')
}

function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
