import { and, asc, eq, gt } from 'drizzle-orm'
import { decideSync, type StoredAccount } from '../../services/auth/accounts/sync-rules.ts'
import type {
  Account,
  AuthStore,
  CacheSync,
  ChallengePurpose,
  Ended,
  Ending,
  SyncedAccount,
} from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { EVERY_VERSION, type Revocation } from '../../services/kit/tokens/revocations.ts'
import { type Body, dynamic, type Engine, type Transaction } from '../engine.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { fromHashColumn, toHashColumn } from '../password-hash.ts'
import { accounts } from '../schema/auth.ts'
import { containsSearch, searchTextOfAccount } from './account-search.ts'
import { STATEMENTS as statements } from './account-statements.ts'
import type { Audit } from './audit.ts'
import { voiding, voidingVerifications } from './challenges.ts'
import { COUNT, countOf } from './count.ts'
import type { Factors } from './factors.ts'
import type { Feed } from './revocations.ts'
import type { EndedBatch } from './session-ending.ts'
import type { Sessions } from './sessions.ts'

type Row = typeof accounts.$inferSelect

/**
 * The codes and links that become void when all sessions of a user end, or their email changes. The link that undoes a
 * change of the email stays: it is for the owner of the earlier address. Verifications are void for other addresses alone.
 */
const VOIDED_BY_CHANGES: readonly ChallengePurpose[] = [
  'password_reset',
  'email_code',
  'email_change',
  'invitation',
  'device',
  'second_factor',
  'factor_enrolment',
]

/** How the sessions of a deleted user end. */
const DELETION = { reason: 'account_deleted', version: EVERY_VERSION } as const

/** The result of the first transaction of a sync. */
type FirstSync = CacheSync & EndedBatch & { ending: { version: number } & Ending }

interface Parts {
  audit: Audit
  factors: Factors
  feed: Feed
  sessions: Sessions
}

/** The password cache: what auth keeps of users. */
export function accountStore(engine: Engine, { audit, factors, feed, sessions }: Parts) {
  function* sync(
    tx: Transaction,
    synced: SyncedAccount,
    now: number,
    event: (type: string) => AuditEvent,
  ): Body<FirstSync> {
    const before = yield* tx.get(statements.byId, { userId: synced.userId })
    const { account, endsSessions, newPassword, outcome, ...decision } = decideSync(
      before && stored(before),
      synced,
      now,
    )
    const revoked: Revocation[] = []
    if (account) {
      const { userId } = account
      const row = rowOf(account)
      // Another account with this email or username must have lost it: its next login fetches it again.
      yield* tx.run(statements.displace, { userId, emailKey: row.emailKey, username: row.username })
      yield* tx.run(statements.put, row)
      if (decision.revokesTokens) {
        const until = yield* sessions.revokedUntilOf(tx, userId)
        revoked.push({ kind: 'user', subject: userId, version: account.tokensFrom, until })
      }
      if (decision.voidsChallenges) {
        yield* tx.run(voiding(userId, VOIDED_BY_CHANGES))
        yield* tx.run(voidingVerifications(userId, account.email))
      }
      if (newPassword) yield* tx.run(statements.removeDevices, { userId })
      if (decision.voidsFactors) yield* factors.removeAll(tx, userId, 0, now)
    }
    const current = account ?? before
    // Also ends the sessions that an earlier change left when it was interrupted.
    const ending = {
      reason: endsSessions?.reason ?? (current?.status === 'active' ? 'password_changed' : 'account_disabled'),
      version: current?.sessionsFrom ?? 0,
      now,
    } as const
    const { next, revocations } =
      before && !before.deleted
        ? yield* sessions.endOpenedBefore(tx, synced.userId, { ...ending, except: endsSessions?.except ?? null })
        : { next: null, revocations: [] }
    const ended = yield* feed.writeRevocations(tx, [...revoked, ...revocations], revocations.length)
    if (ended.sessions > 0)
      yield* audit.writeEvents(tx, [{ ...event('session.ended_by_change'), detail: { sessions: ended.sessions } }])
    return { outcome, newPassword, ended, next, ending }
  }

  /**
   * Adds users whom auth has never held, in the statements that one would need: an import sends many at once. Gives null for
   * a user who exists, or whose email or username another account has: `sync` stores them.
   */
  function* addEach(tx: Transaction, calls: readonly { synced: SyncedAccount; now: number }[]) {
    const rows = calls.map(({ now, synced }) => {
      const { account } = decideSync(undefined, synced, now)
      return account && rowOf(account)
    })
    const all = rows.filter((row) => row !== null)
    const owners = [
      yield* tx.getEach(statements.byId, all),
      yield* tx.getEach(statements.ownerOfEmail, all),
      yield* tx.getEach(statements.ownerOfUsername, all),
    ]
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

  const add = engine.grouped(addEach, ({ synced }) => synced.userId)

  /** The first transaction of a deletion, also of one that is repeated. */
  function* bury(tx: Transaction, userId: string, ending: typeof DELETION & { now: number }, event: AuditEvent) {
    const before = yield* tx.get(statements.byId, { userId })
    const until = Math.max(yield* sessions.revokedUntilOf(tx, userId), ending.now)
    const { next, revocations } = yield* sessions.endOpenedBefore(tx, userId, { ...ending, except: null })
    const revoked: Revocation[] = [...revocations]
    if (!before?.deleted) {
      yield* tx.run(statements.put, tombstone(userId, ending.now))
      yield* tx.run(statements.removeChallenges, { userId })
      yield* tx.run(statements.removeDevices, { userId })
      yield* factors.removeAll(tx, userId, 0, ending.now)
      yield* tx.run(statements.removeMails, { userId })
      revoked.push({ kind: 'user', subject: userId, version: EVERY_VERSION, until })
    }
    const ended = yield* feed.writeRevocations(tx, revoked, revocations.length)
    if (ended.sessions > 0) yield* audit.writeEvents(tx, [{ ...event, detail: { sessions: ended.sessions } }])
    return { ended, next }
  }

  return {
    accountById: async (userId: string) => present(await engine.get(statements.byId, { userId })),
    accountByEmail: async (email: string) =>
      present(await engine.get(statements.byEmail, { emailKey: emailKey(email) })),
    accountByUsername: async (username: string) => present(await engine.get(statements.byUsername, { username })),

    async syncAccount(account: SyncedAccount, now: number, event: (type: string) => AuditEvent): Promise<CacheSync> {
      const isKnown = await engine.get(statements.byId, { userId: account.userId })
      const added = isKnown ? null : await add({ synced: account, now })
      if (added) return added
      const { ending, newPassword, outcome, ...first } = await engine.write((tx) => sync(tx, account, now, event))
      const ended = await sessions.endRestOpenedBefore(first, account.userId, ending, () =>
        event('session.ended_by_change'),
      )
      return { outcome, newPassword, ended }
    },

    async deleteAccount(userId: string, now: number, event: (type: string) => AuditEvent): Promise<Ended> {
      const ending = { ...DELETION, now }
      const eventOfBatch = () => event('session.ended_by_deletion')
      const first = await engine.write((tx) => bury(tx, userId, ending, eventOfBatch()))
      return await sessions.endRestOpenedBefore(first, userId, ending, eventOfBatch)
    },

    dropAccount: (userId: string, event: AuditEvent) =>
      engine.write(function* (tx) {
        const before = yield* tx.get(statements.byId, { userId })
        if (!before?.cached) return false
        // Only the hash goes: the account's sessions and its count of failed logins still need the rest.
        yield* tx.run(statements.put, { ...before, cached: false, passwordHash: '' })
        yield* audit.writeEvents(tx, [event])
        return true
      }),

    async listAccounts(search: string | undefined, request: PageRequest): Promise<Slice<Account>> {
      const contains = search === undefined ? undefined : containsSearch(search, engine.dialect)
      const where = and(eq(accounts.cached, true), contains)
      const from = 'after' in request ? gt(accounts.userId, String(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const page = dynamic((db) =>
        db.select().from(accounts).where(and(where, from)).orderBy(asc(accounts.userId)).limit(limit).offset(offset),
      )
      return sliceOf(
        await engine.all(page),
        request,
        async () => countOf(await engine.get(dynamic((db) => db.select(COUNT).from(accounts).where(where)))),
        (row) => [row.userId],
      )
    },
    cachedIds: async (after: string, limit: number) =>
      (await engine.all(statements.ids, { after, limit })).map(({ userId }) => userId),
    countAccounts: async () => countOf(await engine.get(statements.count)),
  } satisfies Partial<AuthStore>
}

function stored(row: Row): StoredAccount {
  return { ...row, passwordHash: fromHashColumn(row.passwordHash) }
}

function present(row: Row | undefined): Account | null {
  return row && !row.deleted ? stored(row) : null
}

/** Gives the row of an account that is not deleted. */
export function rowOf(account: Account): Row {
  const row = { ...account, emailKey: emailKey(account.email), passwordHash: toHashColumn(account.passwordHash) }
  return { ...row, deleted: false, searchText: searchTextOfAccount(row) }
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
