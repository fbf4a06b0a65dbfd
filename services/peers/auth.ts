import type { AuthApi } from '../auth/index.ts'
import { timestamp } from '../kit/clock.ts'
import type { FeedSource } from '../kit/feed/revocation-subscriber.ts'
import type { Event } from '../kit/outbox/events.ts'
import { Problem } from '../kit/problem.ts'
import { repeated } from '../kit/repeated.ts'
import { isTokenForService } from '../kit/tokens/access-token.ts'
import { verdictBy } from '../kit/tokens/check.ts'
import type { AuthPeer as AuthOfModules } from '../modules/peers.ts'
import type { AuthPeer as AuthOfUsers } from '../users/peers.ts'
import {
  type Answer,
  acknowledged,
  answerOf,
  batchesOf,
  clientOf,
  type Link,
  SHORT_TIMEOUT,
  withRequestId,
} from './link.ts'

/**
 * The attempts of a notice: the node that gets the first one may stand still. Auth knows a notice that it gets twice by its
 * id or its version. For a change or a deletion of a user a request waits. Others wait until no node that works can still
 * be at the first attempt: many at once, each sent several times, would hold each other up at the audit.
 */
const AWAITED = { after: 500, times: 3 }
const OTHERS = { after: 2500, times: 2 }

/** The calls of the other services to auth. */
export type AuthClient = AuthOfModules & AuthOfUsers

/** Calls auth. @param link the way to auth */
export function authClient(link: Link): AuthClient {
  const { auth } = clientOf<AuthApi>(link)
  const notify = (call: () => Promise<Answer<unknown>>, attempts = OTHERS) =>
    repeated(() => acknowledged(call(), 'auth_unavailable'), attempts)
  return {
    syncUser: (user) => notify(() => auth.sync.password.post(user), AWAITED),
    async syncUsers(users) {
      await Promise.all(batchesOf(users).map((batch) => notify(() => auth.sync.passwords.post({ users: batch }))))
    },
    userDeleted: (user_id) => notify(() => auth.sync['user-deleted'].post({ user_id }), AWAITED),
    async userErased({ emails, userId, usernames }) {
      const body = { user_id: userId, emails, usernames }
      await repeated(async () => {
        const call = auth.sync['user-erased'].post(body)
        // As for a mail: this notice waits until auth has the route.
        if (await hasStatus(call, 404)) throw new Problem('not_found')
        await acknowledged(call, 'auth_unavailable')
      }, OTHERS)
    },
    async emailChanged({ at, byProof, id, ip, locale, newEmail, oldEmail, requestId, userId, verified }) {
      const common = { id, user_id: userId, old_email: oldEmail, at: timestamp(at), request_id: requestId }
      const more = defined({ new_email: newEmail, verified, by_proof: byProof, ip, locale })
      const send = (change: typeof common & typeof more) => notify(() => auth.sync['email-changed'].post(change))
      try {
        await send({ ...common, ...more })
      } catch (error) {
        // Auth of the version before refuses the further fields. A notice that it refuses would hold up all later ones.
        if (!(error instanceof Problem) || error.code !== 'validation_failed') throw error
        await send(common)
      }
    },
    async accountMail({ at, requestId, userAgent, userId, ...mail }) {
      const times = { at: timestamp(at), request_id: requestId }
      const body = { ...mail, ...times, user_id: userId, user_agent: userAgent }
      await repeated(async () => {
        const call = auth.sync['account-mail'].post(body)
        // A refusal, unlike an outage, holds up no other notice: this one waits until auth has the route.
        if (await hasStatus(call, 404)) throw new Problem('not_found')
        await acknowledged(call, 'auth_unavailable')
      }, OTHERS)
    },
    async recordAudit({ id, at, type, userId, actor, ip, requestId, detail }) {
      const event = { id, at, type, user_id: userId, actor, ip, request_id: requestId, detail }
      await notify(() => auth.audit.post(event, withRequestId(requestId)))
    },
    async lacksSecondFactor({ requestId, sessionId }) {
      const call = clientOf<AuthApi>(link, SHORT_TIMEOUT)
        .auth.sessions({ session_id: sessionId })
        ['second-factor'].get(withRequestId(requestId))
      // Auth of the version before has no second factors.
      if (await hasStatus(call, 404)) return false
      return (await answerOf(call, 'auth_unavailable')).missing
    },
    async recordEvents(events) {
      const batches = batchesOf(events.map(eventBody))
      await Promise.all(batches.map((batch) => notify(() => auth.sync.events.post({ events: batch }))))
    },
  }
}

/** The revocation feed, and the check of a single token, for every service that checks tokens. */
export function feedSource(link: Link): FeedSource {
  const { auth } = clientOf<AuthApi>(link, SHORT_TIMEOUT)
  return {
    poll: (subscriber, after, epoch) =>
      answerOf(
        auth.revocations.get({ query: { follower: subscriber, after: String(after), epoch } }),
        'auth_unavailable',
      ),
    async validate(token) {
      // A node that has lost the database must not answer from its memory: another one knows.
      const headers = { 'cache-control': 'no-cache' }
      const result = await answerOf(auth['validate-token'].post({ token }, { headers }), 'auth_unavailable')
      if (!result.valid) return result
      return isTokenForService(token) ? verdictBy(result, token) : { valid: false, reason: 'signature' }
    },
  }
}

async function hasStatus(call: Promise<Answer<unknown>>, status: number): Promise<boolean> {
  return await call.then(
    (answer) => answer.status === status,
    () => false,
  )
}

/** The fields that have a value. */
function defined<T extends object>(fields: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}

function eventBody({ userId, ...event }: Event) {
  return { ...event, user_id: userId }
}
