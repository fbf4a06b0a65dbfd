import type { Caller } from '../../kit/caller.ts'
import { type Clock, timestamp } from '../../kit/clock.ts'
import { errorOf, excludedBy, type FieldError } from '../../kit/field-errors.ts'
import { invalid } from '../../kit/problem.ts'
import { type PageQuery, pageAnswer, pageErrors, pageRequest } from '../../kit/schema/page.ts'
import type { RuleContext } from '../../kit/schema/validation.ts'
import { CLIENT_ID } from '../../kit/tokens/access-token.ts'
import { type AuthorityContext, requireAuthority } from '../assurance/authority.ts'
import type { SessionRead } from '../schemas/sessions.ts'
import type { Session, SessionStore } from '../store/index.ts'
import { authenticationOf } from './sessions.ts'

export type SessionListContext = AuthorityContext & {
  store: SessionStore
  clock: Clock
}

/** The part of a query that names one user, or everyone. */
export interface SessionsOf {
  user_id?: string
  all?: 'true' | 'false'
}

/** The user whom a query names; null for everyone. */
export function namedUser({ all, user_id }: SessionsOf): string | null {
  return all === 'true' ? null : (user_id?.toLowerCase() ?? null)
}

/** Returns the errors of a query that must name either a user or everyone. */
export function sessionsOfErrors({ all, user_id }: { all?: unknown; user_id?: unknown }): FieldError[] {
  const namesUser = user_id !== undefined
  if ((all === 'true') !== namesUser) return []
  return [errorOf('user_id', namesUser ? excludedBy('all') : { code: 'required', message: 'is required, or all=true' })]
}

/** Returns the errors of a list query. The operator key has no sessions, so with it the query must name a user or everyone. */
export function listErrors(
  query: Partial<Record<keyof (PageQuery & SessionsOf), unknown>>,
  { caller }: Pick<RuleContext, 'caller'>,
): FieldError[] {
  const { all, user_id } = query
  const mustName = user_id !== undefined || all === 'true' || caller.userId === null
  return [...pageErrors(query), ...(mustName ? sessionsOfErrors(query) : [])]
}

/**
 * Lists the live sessions of the caller, of one user, or of everyone.
 * @throws Problem `validation_failed`; as `requireAuthority` when the query names a user or everyone
 */
export async function listSessions(context: SessionListContext, query: PageQuery & SessionsOf, caller: Caller) {
  const { clock, store } = context
  if (query.user_id !== undefined || query.all !== undefined) await requireAuthority(context, namedUser(query), caller)
  const errors = listErrors(query, { caller })
  if (errors.length > 0) throw invalid(errors)
  const userId = query.all === 'true' ? null : (query.user_id?.toLowerCase() ?? caller.userId)
  const list = JSON.stringify(['sessions', userId])
  const request = pageRequest(query, list)
  const slice = await store.listSessions(userId, clock.now(), request)
  return pageAnswer(slice, request, list, (session) => sessionRead(session, caller))
}

function sessionRead(session: Session, caller: Caller): SessionRead {
  return {
    id: session.id,
    user_id: session.userId,
    current: session.id === caller.sessionId,
    client_id: CLIENT_ID,
    created_at: timestamp(session.createdAt),
    ...authenticationOf(session),
    last_used_at: timestamp(session.lastUsedAt),
    expires_at: timestamp(session.expiresAt),
    ip: session.ip,
    user_agent: session.userAgent,
  }
}
