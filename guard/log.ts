import type { Log as KitLog, LogFields } from '../services/kit/log.ts'
import { Problem } from '../services/kit/problem.ts'
import { Unanswered } from './instance.ts'
import type { Log, LogLine } from './types.ts'

/** What a follower has to say, without what it was thrown: the text of an error of others may quote anything. */
export function followerLog(log: Log): KitLog {
  const line = ({ err, event, target }: LogFields): LogLine => ({
    event,
    ...(target === undefined ? {} : { target }),
    ...(err === undefined ? {} : { reason: reasonOf(err) }),
  })
  return {
    debug: () => undefined,
    info: (said) => log.info(line(typeof said === 'function' ? said() : said)),
    warn: (fields) => log.warn(line(fields)),
    error: (fields) => log.warn(line(fields)),
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Unanswered) return error.message
  if (error instanceof Problem) return error.cause === undefined ? error.code : reasonOf(error.cause)
  if (!(error instanceof Error)) return typeof error
  // Node keeps what really happened one step further.
  const { code = (error.cause as { code?: unknown } | undefined)?.code } = error as { code?: unknown }
  return typeof code === 'string' ? `${error.name} ${code}` : error.name
}
