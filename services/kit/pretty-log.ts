import type { DestinationStream } from 'pino'

/** What a line of the log holds, as `openLog` writes it. */
type Line = Record<string, unknown>

/** Says nothing to people, or stands elsewhere in the line. */
const LEFT_OUT = ['level', 'time', 'pid', 'hostname', 'msg']
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/**
 * The lines of a log for people: `[10:00:00] INFO: auth request POST /auth/login 200 71 ms`.
 * @param named whether each line says of which service it is
 */
export function prettyStream({ color, named }: { color: boolean; named: boolean }): DestinationStream {
  // Loaded only where it is asked for.
  const pretty = require('pino-pretty') as (options: Record<string, unknown>) => DestinationStream
  return pretty({
    colorize: color,
    translateTime: 'SYS:HH:MM:ss',
    messageKey: 'event',
    messageFormat: (line: Line) => readable(line, named),
    hideObject: true,
    sync: true,
  })
}

function readable(line: Line, named: boolean): string {
  const { service, event, method, route, status, ms, code, message, err, request_id, ...rest } = line
  // What went well is not looked up.
  const id = typeof status === 'number' && status < 400 ? undefined : request_id
  const words = [named ? service : '', event, method, route, status, ms === undefined ? '' : `${ms} ms`, code, message]
  const others = Object.entries({ ...rest, request_id: id }).filter(
    ([name, value]) => value !== undefined && !LEFT_OUT.includes(name),
  )
  return [...words, ...others.map(([name, value]) => `${name}=${text(value)}`), reason(err)]
    .map(text)
    .filter((word) => word !== '')
    .join(' ')
}

/** An error and what caused it, as `describeError` has them. */
function reason(err: unknown): string {
  if (typeof err !== 'object' || err === null) return ''
  const { type, code, message, at, cause } = err as Line & { at?: string[] }
  const words = new Set([type, code, message, at?.[0]].map(text).filter((word) => word !== ''))
  return [`(${[...words].join(' ')})`, reason(cause)].join(' ').trim()
}

function text(value: unknown): string {
  if (value === undefined || value === null) return ''
  return (typeof value === 'object' ? JSON.stringify(value) : String(value)).replaceAll(STEERING, '�')
}
