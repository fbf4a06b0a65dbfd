import { decideSync } from '../../services/auth/accounts/sync-rules.ts'
import type { Account, AuthStore, CacheSync, Ended, Ending, SyncedAccount } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { EVERY_VERSION, type Revocation } from '../../services/kit/tokens/revocations.ts'
import type { Body, Engine, Transaction } from '../engine.ts'
import { type Row, rowOf, stored } from './account-table/rows.ts'
import { STATEMENTS as statements } from './account-table/statements.ts'
import type { Factors } from './factors/factors.ts'
import { type EndedBatch, type EndingBatch, shareBatch } from './sessions/ending.ts'
import type { Sessions } from './sessions/sessions.ts'

/** How the sessions of a deleted user end. */
const DELETION = { reason: 'account_deleted', version: EVERY_VERSION } as const

/** A change of an account. */
interface AccountCall {
  now: number
  /** Makes an event of a type. */
  event(type: string): AuditEvent
}
type SyncCall = AccountCall & { synced: SyncedAccount }
type DeletionCall = AccountCall & { userId: string }

/** The result of the first transaction of a sync. */
type FirstSync = CacheSync & EndedBatch & { ending: { version: number } & Ending }

/**
 * The changes of one account at a time. Those that arrive together share a transaction, and what they end is written for all
 * at once: it takes numbers of the feed and of the audit, for which one by one they would wait.
 */
export function accountChanges(engine: Engine, { factors, sessions }: { factors: Factors; sessions: Sessions }) {
  /** Stores a record, and finds what that ends. */
  function* sync(tx: Transaction, { now, synced }: SyncCall) {
    const { userId } = synced
    const [before, until] = yield* tx.together([
      tx.get(statements.byId, { userId }),
      sessions.revokedUntilOf(tx, userId),
    ])
    const decision = decideSync(before && stored(before), synced, now)
    const { account, endsSessions, newPassword, outcome } = decision
    const current = account ?? before
    // Also ends the sessions that an earlier change left when it was interrupted.
    const ending = {
      reason: endsSessions?.reason ?? (current?.status === 'active' ? 'password_changed' : 'account_disabled'),
      version: current?.sessionsFrom ?? 0,
      now,
    } as const
    const except = endsSessions?.except ?? null
    const [batch] = yield* tx.together([
      before && !before.deleted ? sessions.openedBefore(tx, userId, { ...ending, except }) : noSessions(),
      ...(account ? [store(tx, account, decision)] : []),
      ...(decision.voidsFactors ? [factors.removeAll(tx, userId, 0, now)] : []),
    ])
    const revoked: Revocation[] = []
    if (account && decision.revokesTokens)
      revoked.push({ kind: 'user', subject: userId, version: account.tokensFrom, until })
    return { outcome, newPassword, ending, revoked, batch }
  }

  function* syncEach(tx: Transaction, calls: readonly SyncCall[]): Body<FirstSync[]> {
    const syncs = yield* tx.together(calls.map((call) => sync(tx, call)))
    const batches = shareBatch(syncs.map(({ batch }) => batch))
    const ended = yield* sessions.endOfEach(
      tx,
      syncs.map(({ revoked }, index) => ({
        revoked: [...revoked, ...(batches[index]?.revoked ?? [])],
        sessions: batches[index]?.sessions ?? [],
        event: () => (calls[index] as SyncCall).event('session.ended_by_change'),
      })),
    )
    return syncs.map(({ ending, newPassword, outcome }, index) => ({
      outcome,
      newPassword,
      ending,
      ended: ended[index] as Ended,
      next: batches[index]?.next ?? null,
    }))
  }

  /**
   * Adds users whom auth has never held, in the statements that one would need: an import sends many at once. Gives null for
   * a user who exists, or whose email or username another account has: `sync` stores them.
   */
  function* addEach(tx: Transaction, calls: readonly Omit<SyncCall, 'event'>[]) {
    const rows = calls.map(({ now, synced }) => {
      const { account } = decideSync(undefined, synced, now)
      return account && rowOf(account)
    })
    const all = rows.filter((row) => row !== null)
    const owners: (object | undefined)[][] = yield* tx.together([
      tx.getEach(statements.byId, all),
      tx.getEach(statements.ownerOfEmail, all),
      tx.getEach(statements.ownerOfUsername, all),
    ])
    const names = new Set<string>()
    const added = new Set(
      all.filter(({ emailKey, username }, index) => {
        const ofRow = [`email ${emailKey}`, ...(username === null ? [] : [`username ${username}`])]
        const isFree = owners.every((list) => list[index] === undefined) && !ofRow.some((name) => names.has(name))
        for (const name of ofRow) names.add(name)
        return isFree
      }),
    )
    yield* tx.runEach(statements.insert, [...added])
    return rows.map((row): CacheSync | null =>
      row && added.has(row)
        ? { outcome: 'synced', newPassword: false, ended: { sessions: 0, seq: 0, revocations: [] } }
        : null,
    )
  }

  /** Replaces accounts by tombstones, also those that have one, and finds what that ends. */
  function* bury(tx: Transaction, { now, userId }: DeletionCall) {
    const [before, lastAccess, batch] = yield* tx.together([
      tx.get(statements.byId, { userId }),
      sessions.revokedUntilOf(tx, userId),
      sessions.openedBefore(tx, userId, { ...DELETION, now, except: null }),
    ])
    if (before?.deleted) return { revoked: [], batch }
    const until = Math.max(lastAccess, now)
    yield* tx.together([
      tx.run(statements.put, tombstone(userId, now)),
      tx.run(statements.removeChallenges, { userId }),
      tx.run(statements.removeDevices, { userId }),
      tx.run(statements.removeConsents, { userId }),
      factors.removeAll(tx, userId, 0, now),
      tx.run(statements.removeMails, { userId }),
    ])
    return { revoked: [{ kind: 'user', subject: userId, version: EVERY_VERSION, until } as const], batch }
  }

  function* deleteEach(tx: Transaction, calls: readonly DeletionCall[]): Body<EndedBatch[]> {
    const deletions = yield* tx.together(calls.map((call) => bury(tx, call)))
    const batches = shareBatch(deletions.map(({ batch }) => batch))
    const ended = yield* sessions.endOfEach(
      tx,
      deletions.map(({ revoked }, index) => ({
        revoked,
        sessions: batches[index]?.sessions ?? [],
        event: () => (calls[index] as DeletionCall).event('session.ended_by_deletion'),
      })),
    )
    return ended.map((each, index) => ({ ended: each, next: batches[index]?.next ?? null }))
  }

  const add = engine.grouped(addEach, ({ synced }) => synced.userId)
  const syncOne = engine.grouped(syncEach, ({ synced }) => keysOf(synced), 'for each')
  const deleteOne = engine.grouped(deleteEach, ({ userId }) => userId, 'for each')

  return {
    async syncAccount(account: SyncedAccount, now: number, event: (type: string) => AuditEvent): Promise<CacheSync> {
      const isKnown = await engine.get(statements.byId, { userId: account.userId })
      const added = isKnown ? null : await add({ synced: account, now })
      if (added) return added
      const { ending, newPassword, outcome, ...first } = await syncOne({ synced: account, now, event })
      const ended = await sessions.endRestOpenedBefore(first, account.userId, ending, () =>
        event('session.ended_by_change'),
      )
      return { outcome, newPassword, ended }
    },

    async deleteAccount(userId: string, now: number, event: (type: string) => AuditEvent): Promise<Ended> {
      const first = await deleteOne({ userId, now, event })
      return await sessions.endRestOpenedBefore(first, userId, { ...DELETION, now }, () =>
        event('session.ended_by_deletion'),
      )
    },
  } satisfies Partial<AuthStore>
}

/** Finds no sessions. */
// biome-ignore lint/correctness/useYield: it reads nothing
function* noSessions(): Body<EndingBatch> {
  return { sessions: [], next: null, after: '' }
}

/** Stores an account, and removes what its change voids. */
function* store(
  tx: Transaction,
  account: Account,
  { endsSessions, newPassword, outcome, voidsChallenges }: ReturnType<typeof decideSync>,
): Body<void> {
  const { factorsFrom, sessionsFrom, tokensFrom, userId } = account
  const row = rowOf(account)
  const { emailKey, username } = row
  yield* tx.together([
    // A record that is not newer only ends sessions and tokens, and voids factors.
    ...(outcome === 'unchanged' ? [tx.run(statements.mark, { userId, factorsFrom, sessionsFrom, tokensFrom })] : []),
    // Another account with this email or username must have lost it: its next login fetches it again.
    ...(outcome === 'synced'
      ? [tx.run(statements.displace, { userId, emailKey, username }), tx.run(statements.put, row)]
      : []),
    ...(voidsChallenges
      ? [
          tx.run(statements.voidByChange, { userId }),
          tx.run(statements.voidVerifications, { userId, email: account.email }),
        ]
      : []),
    ...(newPassword ? [tx.run(statements.removeDevices, { userId })] : []),
    // Consents end with the grants: whoever had the account before its recovery may have given them.
    ...(endsSessions ? [tx.run(statements.removeConsents, { userId })] : []),
  ])
}

/** The keys of a sync: it displaces other accounts that have a name of the user. */
function keysOf({ email, userId, username }: SyncedAccount): string[] {
  return [userId, `email ${emailKey(email)}`, ...(username === null ? [] : [`username ${username}`])]
}

/** Replaces the account of a deleted user: because the id stays, a late notice cannot bring the user back. */
function tombstone(userId: string, now: number): Row {
  return {
    userId,
    cached: false,
    deleted: true,
    email: '',
    emailKey: '',
    username: null,
    roles: [],
    status: 'disabled',
    emailVerified: false,
    profile: {},
    passwordHash: '',
    version: EVERY_VERSION,
    sessionsFrom: EVERY_VERSION,
    tokensFrom: EVERY_VERSION,
    factorsFrom: EVERY_VERSION,
    syncedAt: now,
    searchText: '',
  }
}
