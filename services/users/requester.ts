import type { Caller } from '../kit/caller.ts'
import type { Requester } from './schemas/internal.ts'

/**
 * The caller of a request that a service passes on: the audit names who asked the service, and from where.
 * @param by undefined: the service acts by itself
 */
export function onBehalfOf(service: Caller, by: Requester | undefined): Caller {
  if (by === undefined) return service
  const { amr, app, authTime, client, internal, operator, roles, scraper, sessionId, supportRole, userId } = service
  const { locale, requestId, userAgent, way } = service
  const identity = { userId, sessionId, roles, authTime, amr, operator, supportRole, internal, scraper, client, app }
  return { ...identity, locale, requestId, userAgent, way, actor: by.actor, ip: by.ip }
}
