import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../process/metrics.ts'
import type { RequestState } from './request-state.ts'
import { atBothPaths } from './versioned.ts'

/**
 * Long polls, sent four times a second by each subscriber: only their failures are logged. They are held until there is
 * something to answer, so they are no part of the times of requests.
 */
const FEEDS = atBothPaths(['/auth/revocations', '/modules/sync/feed'])

/** A request that has been answered. */
interface AnsweredRequest extends Pick<RequestState, 'caller' | 'problemCode' | 'requestId' | 'startedAt'> {
  method: string
  /** The pattern of the route; empty when no route has the path. */
  route: string
  status: number
}

/** Returns a function that logs and counts a request. */
export function requestLogger({ clock, log, metrics }: { clock: Clock; log: Log; metrics: Metrics }) {
  return ({ caller, method, problemCode, requestId, route, startedAt, status }: AnsweredRequest): void => {
    const ms = clock.monotonic() - startedAt
    if (FEEDS.has(route)) metrics.poll(route, status)
    else metrics.request(method, route, status, ms)
    const level = status < 400 && FEEDS.has(route) ? 'debug' : 'info'
    log[level](() => ({
      event: 'request',
      requestId,
      method,
      route,
      status,
      ms: Math.round(ms * 10) / 10,
      ...(caller?.ip ? { ip: caller.ip } : {}),
      ...(caller?.userId ? { userId: caller.userId } : {}),
      ...(problemCode === undefined ? {} : { code: problemCode }),
    }))
  }
}
