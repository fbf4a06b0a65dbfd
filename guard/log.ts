import type { Log as KitLog, LogFields } from '../services/kit/log.ts'
import { Problem } from '../services/kit/problem.ts'
import { NoAnswer } from './no-answer.ts'
import type { Log, LogLine } from './types.ts'

/** The log of a feed's subscriber, without the errors themselves: the text of a foreign error may quote anything. */
export function subscriberLog(log: Log): KitLog {
  const toLine = ({ err, event, target }: LogFields): LogLine => ({
    event,
    ...(target === undefined ? {} : { target }),
    ...(err === undefined ? {} : { reason: reasonOf(err) }),
  })
  return {
    debug: () => undefined,
    info: (line) => log.info(toLine(typeof line === 'function' ? line() : line)),
    warn: (fields) => log.warn(toLine(fields)),
    error: (fields) => log.warn(toLine(fields)),
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof NoAnswer) return error.message
  if (error instanceof Problem) return error.cause === undefined ? error.code : reasonOf(error.cause)
  if (!(error instanceof Error)) return typeof error
  // Node's fetch has the system's code in the cause.
  const { code = (error.cause as { code?: unknown } | undefined)?.code } = error as { code?: unknown }
  return typeof code === 'string' ? `${error.name} ${code}` : error.name
}
