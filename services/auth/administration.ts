import type { AuditEvent } from '../kit/audit.ts'
import type { Caller } from '../kit/caller.ts'
import { timestamp } from '../kit/clock.ts'
import { type PageQuery, pageAnswer, pageRequest } from '../kit/page.ts'
import { invalid, Problem } from '../kit/problem.ts'
import { type AuthContext, eventBy } from './context.ts'
import type { AuditBody } from './model.ts'
import type { StoredKey } from './store.ts'

const SIGNED_AT_MOST_LATE = 60_000

export function listKeys({ keyRing }: AuthContext) {
  return { items: keyRing.list().map(keyRead) }
}

/**
 * Makes a new signing key. It is published first and signs only when every service knows it, so that no token is
 * refused meanwhile; the key before it stays until its last token has expired.
 */
export async function rotateKey(context: AuthContext, caller: Caller) {
  const { clock, config, feed, keyRing } = context
  const { kid, seq } = await keyRing.add()
  await feed.announceUpTo(seq)
  const goneAt = clock.now() + config.jwtExpire + SIGNED_AT_MOST_LATE
  const active = await keyRing.activate(kid, goneAt, eventBy(context, caller, 'key.rotated', null, { kid }))
  return keyRead(active)
}

/**
 * Takes a key out in an emergency: its tokens are refused everywhere when this resolves. Where it is the one that
 * signs, another takes its place first.
 * @throws Problem `not_found`
 */
export async function removeKey(context: AuthContext, kid: string, caller: Caller): Promise<void> {
  const { feed, keyRing, tokens } = context
  if (!keyRing.has(kid)) throw new Problem('not_found')
  if (keyRing.isActive(kid)) await rotateKey(context, caller)
  const seq = await keyRing.remove(kid, eventBy(context, caller, 'key.removed', null, { kid }))
  tokens.keysChanged()
  await feed.announceUpTo(seq)
}

function keyRead({ alg, createdAt, kid, status }: StoredKey) {
  return {
    kid,
    alg,
    created_at: timestamp(createdAt),
    status: status === 'active' ? ('active' as const) : ('retiring' as const),
  }
}

interface AuditQuery extends PageQuery {
  user_id?: string
  type?: string
  since?: string
  request_id?: string
  after_id?: string
}

/**
 * The audit, newest first; with `after_id`, the rows that were written after that one, oldest first.
 * @throws Problem `validation_failed` for a cursor of another list, and where there is no row of that id
 */
export async function listAudit({ store }: AuthContext, query: AuditQuery) {
  const { after_id, request_id, since, type, user_id } = query
  const list = JSON.stringify(['audit', user_id, type, since, request_id, after_id])
  const asked = pageRequest(query, list)
  const filter = {
    ...(user_id === undefined ? {} : { userId: user_id.toLowerCase() }),
    ...(type === undefined ? {} : { type }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
    ...(request_id === undefined ? {} : { requestId: request_id }),
  }
  if (after_id === undefined) return pageAnswer(await store.listEvents(filter, asked), asked, list, eventRead)
  if (query.page !== undefined) throw invalid('page should not exist beside after_id')
  const place = await store.placeOfEvent(after_id.toLowerCase())
  if (!place) throw invalid('after_id must be the id of a row')
  const request = 'after' in asked ? asked : { size: asked.size, after: place }
  return pageAnswer(await store.listEvents(filter, request, 'oldest first'), request, list, eventRead)
}

function eventRead(event: AuditEvent) {
  return {
    id: event.id,
    at: timestamp(event.at),
    type: event.type,
    user_id: event.userId,
    actor: event.actor,
    ip: event.ip,
    request_id: event.requestId,
    detail: event.detail,
  }
}

/** Writes down what another service tells of its own. A second time it is there already. */
export async function recordEvent({ store }: AuthContext, body: AuditBody): Promise<void> {
  const { id, at, type, user_id, actor, ip, request_id, detail } = body
  await store.addEvent({ id, at, type, userId: user_id, actor, ip, requestId: request_id, detail })
}
