import { and, asc, eq, gt } from 'drizzle-orm'
import type { Account, AuthStore } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { COUNT, countOf } from '../count.ts'
import { dynamic, type Engine } from '../engine.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { accounts } from '../schema/auth.ts'
import { accountChanges } from './account-changes.ts'
import { present } from './account-table/rows.ts'
import { containsSearch } from './account-table/search.ts'
import { STATEMENTS as statements } from './account-table/statements.ts'
import type { Audit } from './audit/audit.ts'
import type { Factors } from './factors/factors.ts'
import type { Sessions } from './sessions/sessions.ts'

interface Parts {
  audit: Audit
  factors: Factors
  sessions: Sessions
}

/** The password cache: what auth keeps of users. */
export function accountStore(engine: Engine, { audit, factors, sessions }: Parts) {
  const drop = audit.grouped(
    function* (tx, { event, userId }: { userId: string; event: AuditEvent }) {
      const before = yield* tx.get(statements.byId, { userId })
      if (!before?.cached) return { result: false, events: [] }
      // Only the hash goes: the account's sessions and its count of failed logins still need the rest.
      yield* tx.run(statements.put, { ...before, cached: false, passwordHash: '' })
      return { result: true, events: [event] }
    },
    ({ userId }) => userId,
  )

  return {
    ...accountChanges(engine, { factors, sessions }),

    accountById: async (userId: string) => present(await engine.get(statements.byId, { userId })),
    accountByEmail: async (email: string) =>
      present(await engine.get(statements.byEmail, { emailKey: emailKey(email) })),
    accountByUsername: async (username: string) => present(await engine.get(statements.byUsername, { username })),

    dropAccount: (userId: string, event: AuditEvent) => drop({ userId, event }),

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
