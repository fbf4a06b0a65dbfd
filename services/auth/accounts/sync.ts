import { timestamp } from '../../kit/clock.ts'
import type { Actor } from '../../kit/outbox/audit.ts'
import { opaqueProfileOf, type PasswordRecord } from '../../kit/schema/user.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { SyncBody } from '../schemas/sync.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { AccountStore, CacheSync, SyncedAccount } from '../store/index.ts'
import type { CacheStatistics } from './statistics.ts'

export interface SyncContext extends AuditRecordContext {
  store: AccountStore
  feed: Pick<RevocationFeed, 'announce'>
  /** Clears the failed logins of an account. */
  limits: { forget(userId: string): Promise<void> }
  cacheStatistics: CacheStatistics
}

/**
 * Stores a user as the users service sent them, unless the cache holds a newer version. Resolves when the sessions and
 * tokens that the change ended are refused everywhere.
 * @param actor who caused the change, for the audit
 */
export async function syncUser(
  context: SyncContext,
  body: SyncBody | PasswordRecord,
  actor: Actor,
): Promise<CacheSync> {
  const { cacheStatistics, clock, feed, limits, store } = context
  const account = accountOf(body)
  const { userId } = account
  const event = (type: string) => auditEvent(context, actor, type, userId)
  const result = await store.syncAccount(account, clock.now(), event)
  cacheStatistics.lastSyncAt = clock.now()
  // Setting a new password also clears the login lockout.
  if (result.newPassword) await limits.forget(userId)
  // A newer record that revoked nothing need not be announced. An unchanged one must be: another request has just
  // stored it, and may still wait for the other services.
  if (result.outcome === 'unchanged' || result.ended.seq > 0) await feed.announce(result.ended)
  return result
}

function accountOf(body: SyncBody | PasswordRecord): SyncedAccount {
  return {
    userId: body.user_id.toLowerCase(),
    email: body.email,
    username: body.username,
    roles: body.roles,
    status: body.status,
    emailVerified: body.email_verified,
    profile: opaqueProfileOf({ ...body, ...timesOf(body) }),
    passwordHash: body.password_hash,
    version: body.password_version,
    ...marksOf(body),
  }
}

/** Returns the times of a record, in UTC. */
function timesOf({ created_at, updated_at }: { created_at: string; updated_at: string }) {
  return { created_at: timestamp(Date.parse(created_at)), updated_at: timestamp(Date.parse(updated_at)) }
}

/** Returns the marks of a record (see `SyncedAccount`). Only our own users service sends them. */
function marksOf(body: Partial<SyncBody>): Pick<SyncedAccount, 'marks'> {
  const { all_sessions_from, factors_from, session_kept, sessions_from, tokens_from } = body
  if (sessions_from === undefined || tokens_from === undefined) return {}
  return {
    marks: {
      sessionsFrom: sessions_from,
      sessionKept: session_kept?.toLowerCase() ?? null,
      allSessionsFrom: all_sessions_from ?? 0,
      tokensFrom: tokens_from,
      factorsFrom: factors_from ?? 0,
    },
  }
}

/** Replaces a deleted user by a tombstone. Resolves when all their sessions and tokens are refused everywhere. */
export async function deleteUser(context: SyncContext, userId: string, actor: Actor): Promise<void> {
  const { clock, feed, store } = context
  const id = userId.toLowerCase()
  await feed.announce(await store.deleteAccount(id, clock.now(), (type) => auditEvent(context, actor, type, id)))
}
