import pino from 'pino'
import { DatabaseUnavailable } from './database-unavailable.ts'
import { logFile } from './log-file.ts'
import { prettyStream } from './pretty-log.ts'
import { Problem } from './problem.ts'

/**
 * The fields of a log line. Only listed fields are written, never whole objects, so that nothing else can leak. No field
 * holds a body, a header, a query, a token or a password.
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
  /** The id of an event that is delivered. */
  id?: string
  tries?: number
  /** How an attempt ended. */
  outcome?: string
  /** The protocol's command that got `status`. */
  step?: string
  file?: string
  url?: string
  count?: number
  seq?: number
  message?: string
  err?: unknown
}

/** An error whose message contains only our own text, nothing from a request: it may be logged. */
export class InternalError extends Error {
  override name = 'InternalError'
}

/** The fields of a line, or a function that builds the fields: called only if the level is enabled. */
export type LogEntry = LogFields | (() => LogFields)

/** The log of a service, one method for each level. */
export interface Log {
  debug(line: LogEntry): void
  info(line: LogEntry): void
  warn(fields: LogFields): void
  error(fields: LogFields): void
}

/** A log that writes nothing. */
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
 * Opens the log of a service: on standard output as JSON or pretty lines, and in a file of the data directory as JSON.
 * @param options `showsService`: whether pretty lines start with the name of the service (default: true); `output`: the
 * stream for JSON lines (default: standard output)
 */
export function openLog(
  service: string,
  settings: LogSettings,
  { showsService = true, output = process.stdout }: { showsService?: boolean; output?: pino.DestinationStream } = {},
): Log {
  const options: pino.LoggerOptions = {
    level: settings.logLevel,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    // Writes the result of `describeError` unchanged.
    serializers: { err: (described) => described },
    formatters: { level: (label) => ({ level: label }) },
  }
  // pino's own stream would write later, and out of order.
  const stream: pino.DestinationStream =
    settings.logFormat === 'pretty' ? prettyStream({ color: settings.logColor ?? false, showsService }) : output
  const file = logFile(settings.dataDir, service, {
    failed: (err) => log.error({ event: 'log.file_failed', err }),
    resumed: (count) => log.warn({ event: 'log.lines_lost', count }),
  })
  const logger = pino(options, {
    write(line) {
      file.write(line)
      stream.write(line)
    },
  })
  const writerOf = (level: 'debug' | 'info' | 'warn' | 'error') => {
    if (!logger.isLevelEnabled(level)) return () => undefined
    return (line: LogEntry) => logger[level](toLine(typeof line === 'function' ? line() : line))
  }
  const log = { debug: writerOf('debug'), info: writerOf('info'), warn: writerOf('warn'), error: writerOf('error') }
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

/**
 * Describes an error for the log: its name and code, and its message if the text is ours or the system's. Other messages
 * may quote a request, so the stack frames stand in for them.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  const isOurs = [Problem, InternalError, DatabaseUnavailable].some((kind) => error instanceof kind)
  const hasSafeMessage = isOurs || syscall !== undefined
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    ...(hasSafeMessage ? { message: error.message } : { at: framesOf(error).slice(0, 4) }),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}

/** The stack frames after the message, whose own lines may look like frames. */
function framesOf({ message, stack = '' }: Error): string[] {
  const text = stack.indexOf(message)
  if (text < 0) return []
  const lines = stack.slice(text + message.length).split('\n')
  return lines.map((line) => line.trim()).filter((line) => line.startsWith('at '))
}
