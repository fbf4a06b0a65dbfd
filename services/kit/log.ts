import pino from 'pino'
import { DatabaseUnavailable } from './database-unavailable.ts'
import { logFile } from './log-file.ts'
import { prettyStream } from './pretty-log.ts'
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
  /** The client's address. */
  ip?: string
  target?: string
  /** Of an event for the outside. */
  id?: string
  tries?: number
  /** How an attempt ended. */
  outcome?: string
  /** The command of a protocol that was answered with `status`. */
  step?: string
  file?: string
  url?: string
  count?: number
  seq?: number
  message?: string
  err?: unknown
}

/** A failure whose text we wrote ourselves, of nothing that came from outside: it may stand in the log. */
export class InternalError extends Error {
  override name = 'Fault'
}

/** A line, or what makes it: for lines that every request has, where the level may be off. */
export type Line = LogFields | (() => LogFields)

export interface Log {
  debug(line: Line): void
  info(line: Line): void
  warn(fields: LogFields): void
  error(fields: LogFields): void
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** The settings of a log, as `Config` has them. */
export interface LogSettings {
  dataDir: string
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  logFormat: 'json' | 'pretty'
  /** Whether pretty lines have colours. Default: false. */
  logColor?: boolean
}

/**
 * A log of one service: on standard output as JSON lines or as lines for people, and in a file of the data directory as
 * JSON lines.
 * @param named whether lines for people say of which service they are
 * @param output the stream for the JSON lines
 */
export function openLog(
  service: string,
  settings: LogSettings,
  named = true,
  output: pino.DestinationStream = process.stdout,
): Log {
  const options: pino.LoggerOptions = {
    level: settings.logLevel,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    // What `describeError` made of an error is what is written; pino would look into it once more.
    serializers: { err: (described) => described },
    formatters: { level: (label) => ({ level: label }) },
  }
  // Not pino's own stream, which writes later than it is told and loses the order.
  const shown: pino.DestinationStream =
    settings.logFormat === 'pretty' ? prettyStream({ color: settings.logColor ?? false, named }) : output
  const kept = logFile(settings.dataDir, service, {
    failed: (err) => log.error({ event: 'log.file_failed', err }),
    resumed: (count) => log.warn({ event: 'log.lines_lost', count }),
  })
  const logger = pino(options, {
    write(line) {
      kept.write(line)
      shown.write(line)
    },
  })
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => {
    if (!logger.isLevelEnabled(level)) return () => undefined
    return (line: Line) => logger[level](toLine(typeof line === 'function' ? line() : line))
  }
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return log
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
  const isOurs = [Problem, InternalError, DatabaseUnavailable].some((kind) => error instanceof kind)
  const hasSafeText = isOurs || syscall !== undefined
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    ...(hasSafeText ? { message: error.message } : { at: framesOf(error).slice(0, 4) }),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}

/** The text of an error may have lines that begin as a frame does: frames are what stands behind it. */
function framesOf({ message, stack = '' }: Error): string[] {
  const text = stack.indexOf(message)
  if (text < 0) return []
  const lines = stack.slice(text + message.length).split('\n')
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('at '))
}
