import type { DestinationStream } from 'pino'

/** A log line, as `openLog` writes it. */
type Line = Record<string, unknown>

interface PrettyOptions {
  color: boolean
  /** Whether each line starts with the name of its service. */
  showsService: boolean
}

/** Fields that people do not need, or that the line shows elsewhere. */
const LEFT_OUT = ['level', 'time', 'pid', 'hostname', 'msg']
// biome-ignore lint/suspicious/noControlCharactersInRegex: it matches control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/**
 * Writes log lines for people: `[10:00:00] INFO: auth request POST /auth/login 200 71 ms`.
 */
export function prettyStream({ color, showsService }: PrettyOptions): DestinationStream {
  // Loaded only when needed.
  const pretty = require('pino-pretty') as (options: Record<string, unknown>) => DestinationStream
  return pretty({
    colorize: color,
    translateTime: 'SYS:HH:MM:ss',
    messageKey: 'event',
    messageFormat: (line: Line) => readable(line, { showsService }),
    hideObject: true,
    sync: true,
  })
}

function readable(line: Line, { showsService }: Pick<PrettyOptions, 'showsService'>): string {
  const { service, event, method, route, status, ms, code, message, err, request_id, ...rest } = line
  // Nobody looks up the id of a successful request.
  const id = typeof status === 'number' && status < 400 ? undefined : request_id
  const words = [
    showsService ? service : '',
    event,
    method,
    route,
    status,
    ms === undefined ? '' : `${ms} ms`,
    code,
    message,
  ]
  const others = Object.entries({ ...rest, request_id: id }).filter(
    ([name, value]) => value !== undefined && !LEFT_OUT.includes(name),
  )
  return [...words, ...others.map(([name, value]) => `${name}=${text(value)}`), reason(err)]
    .map(text)
    .filter((word) => word !== '')
    .join(' ')
}

/** An error and its causes, as `describeError` describes them. */
function reason(err: unknown): string {
  if (typeof err !== 'object' || err === null) return ''
  const { type, code, message, at, cause } = err as Line & { at?: string[] }
  const words = new Set([type, code, message, at?.[0]].map(text).filter((word) => word !== ''))
  return [`(${[...words].join(' ')})`, reason(cause)].join(' ').trim()
}

function text(value: unknown): string {
  if (value === undefined || value === null) return ''
  return (typeof value === 'object' ? JSON.stringify(value) : String(value)).replaceAll(CONTROL, '�')
}
