import { and, asc, desc, eq, getTableColumns, gt, ne, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { Account, AuthStore, CacheSync, SyncedAccount } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { EVERY_VERSION, type Revocation } from '../../services/kit/tokens/revocations.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { hashStored, storedHash } from '../password-hash.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { accounts, passwordResets } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { containsSearch, searchTextOfAccount } from './account-search.ts'
import { type Audit, COUNT, countOf } from './audit.ts'
import type { Feed } from './revocations.ts'
import type { Sessions } from './sessions.ts'

type Row = typeof accounts.$inferSelect

/** The password cache. */
export function accountStore(
  sqlite: Sqlite,
  db: BunSQLiteDatabase,
  { audit, feed, sessions }: { audit: Audit; feed: Feed; sessions: Sessions },
) {
  const statements = prepare(db)

  /** Ends what a change of the account ended: sessions opened, and tokens made, before it. */
  const endOlder = (before: Row, next: Row, kept: { id: string; since: number } | null, now: number): Revocation[] => {
    const revoked: Revocation[] = []
    if (next.tokensFrom > before.tokensFrom) {
      const until = sessions.accessUntilOf(next.userId)
      revoked.push({ kind: 'user', subject: next.userId, version: next.tokensFrom, until })
    }
    if (next.sessionsFrom > before.sessionsFrom) {
      // A change that was told late may stand for several: of one who was disabled and enabled the hash is the same.
      const newPassword = next.status === 'active' && next.passwordHash !== before.passwordHash
      const reason = newPassword ? 'password_changed' : 'account_disabled'
      revoked.push(...sessions.endOpenedBefore(next.userId, { version: next.sessionsFrom, kept, reason, now }))
    }
    return revoked
  }

  const sync = (synced: SyncedAccount, now: number, event: (type: string) => AuditEvent): CacheSync => {
    const { marks, passwordHash, ...account } = synced
    const before = statements.byId.get({ userId: account.userId })
    const unchanged: CacheSync = {
      outcome: 'unchanged',
      ended: feed.writeRevocations([]),
      newPassword: false,
    }
    // Deletion is final: ids are never given twice.
    if (before?.deleted) return unchanged

    const newer = !before || account.version > before.version || (account.version === before.version && !before.cached)
    const { sessionsFrom, tokensFrom } = marksOf(before, synced)
    const state = newer || !before ? { ...account, passwordHash: storedHash(passwordHash), cached: true } : before
    const key = emailKey(state.email)
    const next: Row = {
      ...state,
      emailKey: key,
      searchText: searchTextOfAccount({ ...state, emailKey: key }),
      deleted: false,
      sessionsFrom: Math.max(sessionsFrom, before?.sessionsFrom ?? 0),
      tokensFrom: Math.max(tokensFrom, before?.tokensFrom ?? 0),
      syncedAt: newer ? now : (before?.syncedAt ?? now),
    }
    if (!newer && next.sessionsFrom === before?.sessionsFrom && next.tokensFrom === before.tokensFrom) return unchanged

    // An email or a username has one owner. Who held it in this cache before has another by now: asked for anew.
    statements.displace.run({ userId: next.userId, emailKey: next.emailKey, username: next.username })
    statements.put.run(next)
    const revoked = before ? endOlder(before, next, keptBy(next, marks), now) : []
    const emailChanged = before !== undefined && before.emailKey !== next.emailKey
    const cut = next.sessionsFrom > (before?.sessionsFrom ?? 0)
    if (emailChanged || cut) statements.voidResets.run({ userId: next.userId })
    const ended = revoked.filter(({ kind }) => kind === 'session').length
    if (ended > 0) audit.writeEvent({ ...event('session.ended_by_change'), detail: { sessions: ended } })
    return {
      outcome: newer ? 'synced' : 'unchanged',
      ended: feed.writeRevocations(revoked, ended),
      // A new hash of the same password ends no session; to be disabled does, and leaves the hash.
      newPassword: before !== undefined && cut && next.passwordHash !== before.passwordHash,
    }
  }

  return {
    accountById: async (userId: string) => present(statements.byId.get({ userId })),
    accountByEmail: async (email: string) => present(statements.byEmail.get({ emailKey: emailKey(email) })),
    accountByUsername: async (username: string) => present(statements.byUsername.get({ username })),

    syncAccount: (account: SyncedAccount, now: number, event: (type: string) => AuditEvent) =>
      sqlite.write(() => sync(account, now, event)),

    deleteAccount: (userId: string, now: number, event: (type: string) => AuditEvent) =>
      sqlite.write(() => {
        const before = statements.byId.get({ userId })
        if (before?.deleted) return feed.writeRevocations([])
        const until = sessions.accessUntilOf(userId)
        const ending = { reason: 'account_deleted', now } as const
        const revoked = sessions.endOpenedBefore(userId, { version: EVERY_VERSION, kept: null, ...ending })
        const ended = revoked.length
        revoked.push({ kind: 'user', subject: userId, version: EVERY_VERSION, until: Math.max(until, now) })
        statements.put.run(tombstone(userId, now))
        statements.voidResets.run({ userId })
        if (ended > 0) audit.writeEvent({ ...event('session.ended_by_deletion'), detail: { sessions: ended } })
        return feed.writeRevocations(revoked, ended)
      }),

    dropAccount: (userId: string, event: AuditEvent) =>
      sqlite.write(() => {
        const before = statements.byId.get({ userId })
        if (!before?.cached) return false
        // The hash goes; who the account is stays, for its sessions and for the count of failed logins.
        statements.put.run({ ...before, cached: false, passwordHash: '' })
        audit.writeEvent(event)
        return true
      }),

    async listAccounts(search: string | undefined, request: PageRequest): Promise<Slice<Account>> {
      const where = and(eq(accounts.cached, true), search === undefined ? undefined : containsSearch(search))
      const from = 'after' in request ? gt(accounts.userId, String(request.after[0])) : undefined
      const { limit, offset } = pageBounds(request)
      const rows = db
        .select()
        .from(accounts)
        .where(and(where, from))
        .orderBy(asc(accounts.userId))
        .limit(limit)
        .offset(offset)
        .all()
      return sliceOf(
        rows,
        request,
        () => countOf(db.select(COUNT).from(accounts).where(where).get()),
        (row) => [row.userId],
      )
    },
    async cachedIds(after: string, limit: number) {
      return statements.ids.all({ after, limit }).map(({ userId }) => userId)
    },
    async countAccounts() {
      return countOf(statements.count.get())
    },
  } satisfies Partial<AuthStore>
}

/** The session that a change spares; none of a user who may not log in. */
function keptBy({ status }: Row, marks: SyncedAccount['marks']) {
  const id = status === 'active' ? marks?.sessionKept : null
  return id ? { id, since: marks?.allSessionsFrom ?? 0 } : null
}

/** What a change ended: as users tells it, or read off the difference where it does not. */
function marksOf(before: Row | undefined, { marks, passwordHash, ...account }: SyncedAccount) {
  if (marks) return marks
  // A user who is new here has no session of before: what was ended up to this version is no news when it is told later.
  if (!before) return { sessionsFrom: account.version, tokensFrom: 0 }
  if (account.version <= before.version) return { sessionsFrom: 0, tokensFrom: 0 }
  const disabled = account.status === 'disabled' && before.status !== 'disabled'
  const otherPassword = before.passwordHash !== '' && storedHash(passwordHash) !== before.passwordHash
  const otherRoles = JSON.stringify(account.roles) !== JSON.stringify(before.roles)
  return {
    sessionsFrom: disabled || otherPassword ? account.version : 0,
    tokensFrom: otherRoles ? account.version : 0,
  }
}

function present(row: Row | undefined): Account | null {
  return row && !row.deleted ? { ...row, passwordHash: hashStored(row.passwordHash) } : null
}

/** What is left of a deleted user: its id, so that a notice from before does not bring it back. */
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
    syncedAt: now,
    searchText: '',
  }
}

function prepare(db: BunSQLiteDatabase) {
  const userId = sql.placeholder('userId')
  const emailKey = sql.placeholder('emailKey')
  const username = sql.placeholder('username')
  return prepared({
    byId: () => db.select().from(accounts).where(eq(accounts.userId, userId)).prepare(),
    byEmail: () =>
      db
        .select()
        .from(accounts)
        .where(and(eq(accounts.emailKey, emailKey), sql`${accounts.deleted} = 0`))
        .orderBy(desc(accounts.cached), desc(accounts.syncedAt))
        .limit(1)
        .prepare(),
    byUsername: () =>
      db
        .select()
        .from(accounts)
        .where(and(eq(accounts.username, username), sql`${accounts.deleted} = 0`))
        .orderBy(desc(accounts.cached), desc(accounts.syncedAt))
        .limit(1)
        .prepare(),
    put: () =>
      db
        .insert(accounts)
        .values(placeholders(accounts))
        .onConflictDoUpdate({
          target: accounts.userId,
          set: excluded(),
        })
        .prepare(),
    displace: () =>
      db
        .update(accounts)
        .set({ cached: false, passwordHash: '' })
        .where(
          and(
            eq(accounts.cached, true),
            ne(accounts.userId, userId),
            // As a union of two lookups: with an OR, or with `deleted` bound, SQLite reads all accounts for each one.
            sql`${accounts.userId} IN (
            SELECT user_id FROM accounts WHERE deleted = 0 AND email_key = ${emailKey}
            UNION ALL SELECT user_id FROM accounts WHERE deleted = 0 AND username = ${username})`,
          ),
        )
        .prepare(),
    voidResets: () => db.delete(passwordResets).where(eq(passwordResets.userId, userId)).prepare(),
    ids: () =>
      db
        .select({ userId: accounts.userId })
        .from(accounts)
        .where(and(eq(accounts.cached, true), gt(accounts.userId, sql.placeholder('after'))))
        .orderBy(asc(accounts.userId))
        .limit(sql.placeholder('limit'))
        .prepare(),
    count: () => db.select(COUNT).from(accounts).where(eq(accounts.cached, true)).prepare(),
  })
}

/** Every column but the key, as the row that could not be inserted had it. */
function excluded() {
  const { userId, ...columns } = getTableColumns(accounts)
  return Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [property, sql.raw(`excluded.${column.name}`)]),
  )
}
