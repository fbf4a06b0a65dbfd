import type { Caller } from '../../kit/caller.ts'
import { timestamp } from '../../kit/clock.ts'
import { Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import { type RecentContext, requireRecentUser } from '../assurance/recent.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { GrantStore } from '../store/index.ts'

export interface GrantsContext extends AuditRecordContext, RecentContext {
  store: GrantStore & RecentContext['store']
  feed: Pick<RevocationFeed, 'announce'>
}

/** Lists what the caller gave apps, newest first. */
export async function listGrants({ clock, store }: Pick<GrantsContext, 'clock' | 'store'>, caller: Caller) {
  const grants = await store.grantsOf(caller.userId ?? '', clock.now())
  return {
    items: grants.map(({ clientId, clientName, createdAt, id, lastUsedAt, offline, scopes }) => ({
      id,
      client_id: clientId,
      client_name: clientName,
      scopes,
      offline,
      created_at: timestamp(createdAt),
      last_used_at: timestamp(lastUsedAt),
    })),
  }
}

/**
 * Ends a grant of the caller. Its tokens are refused everywhere when this resolves, and the app has to ask again.
 * @throws Problem `grant_not_found`, also for that of another user, `reauthentication_required`
 */
export async function endGrant(context: GrantsContext, grantId: string, caller: Caller): Promise<void> {
  await requireRecentUser(context, caller)
  const { clock, feed, store } = context
  const id = grantId.toLowerCase()
  if (!isUuid(id) || caller.userId === null) throw new Problem('grant_not_found')
  const event = auditEvent(context, caller, 'grant.ended', caller.userId)
  const ended = await store.endGrant(
    { id, userId: caller.userId, now: clock.now(), reason: 'grant_ended', forgetsConsent: true },
    event,
  )
  if (!ended) throw new Problem('grant_not_found')
  await feed.announce(ended)
}
