import pino from 'pino'
import type { Config } from './config.ts'
import { Problem } from './problem.ts'

/**
 * What a line of the log may hold. A list of fields, never a whole object: what is not named here can't leak.
 * No field holds a body, a header, a query, a token or a password.
 */
export interface LogFields {
  event: string
  requestId?: string
  method?: string
  /** The pattern of the route, not the path: a path may hold an email. */
  route?: string
  status?: number
  ms?: number
  code?: string
  userId?: string
  target?: string
  file?: string
  url?: string
  count?: number
  seq?: number
  message?: string
  err?: unknown
}

/** A failure whose text we wrote ourselves, of nothing that came from outside: it may stand in the log. */
export class Fault extends Error {
  override name = 'Fault'
}

export interface Log {
  debug(fields: LogFields): void
  info(fields: LogFields): void
  warn(fields: LogFields): void
  error(fields: LogFields): void
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** A log of one service, on standard output: JSON lines, or lines for people. */
export function openLog(service: string, config: Pick<Config, 'logLevel' | 'logFormat'>): Log {
  const options: pino.LoggerOptions = {
    level: config.logLevel,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    // What `describeError` made of an error is what is written; pino would look into it once more.
    serializers: { err: (described) => described },
    formatters: { level: (label) => ({ level: label }) },
  }
  const logger = config.logFormat === 'pretty' ? pino(options, prettyStream()) : pino(options)
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: LogFields) => {
    if (logger.isLevelEnabled(level)) logger[level](toLine(fields))
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function toLine({ requestId, userId, err, ...fields }: LogFields): Record<string, unknown> {
  return {
    ...fields,
    ...(requestId === undefined ? {} : { request_id: requestId }),
    ...(userId === undefined ? {} : { user_id: userId }),
    ...(err === undefined ? {} : { err: describeError(err) }),
  }
}

/** An error's kind, code and place. Its text only where none but us can have written it: others quote what they got. */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  const ours = error instanceof Problem || error instanceof Fault
  const told = ours || syscall !== undefined || String(code).startsWith('SQLITE_')
  const frames = error.stack?.split('\n').filter((line) => line.trim().startsWith('at ')) ?? []
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    ...(told ? { message: error.message } : { at: frames.slice(0, 4).map((frame) => frame.trim()) }),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}

function prettyStream() {
  // Loaded only where it is asked for.
  const pretty = require('pino-pretty') as (options: Record<string, unknown>) => pino.DestinationStream
  return pretty({
    colorize: process.stdout.isTTY,
    ignore: 'pid,hostname',
    messageKey: 'event',
    singleLine: true,
    sync: true,
  })
}
