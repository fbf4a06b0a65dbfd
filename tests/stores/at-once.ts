import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseConfig } from '../../db/open.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import type { NewNotice } from '../../services/kit/outbox/outbox.ts'
import { startPostgresProxy } from '../support/postgres/proxy.ts'
import { newDatabaseConfig, postgresTraits } from '../support/postgres/shared.ts'
import { event } from './auth-suite.ts'

// Changes of many users that arrive together share a commit. One by one they would conflict: most take a number that others
// read in order.

export const AT_ONCE = 50
/** Commits that they take at most. Through a pooler, fewer share one where each needs statements of its own. */
export const FEW_COMMITS = postgresTraits().has('pooler') ? AT_ONCE / 2 : AT_ONCE / 5

/** A store on each kind of database. */
export interface BothStores<Store> {
  onPostgres: Store
  onSqlite: Store
  /** The two, with the name of the database before each, for tests that run on both. */
  both: [name: string, store: Store][]
  /** Counts the commits on PostgreSQL while something is done. */
  commitsDuring(work: () => Promise<unknown>): Promise<number>
}

/** Opens a store on each kind of database. They are closed after the tests. */
export async function openBoth<Store extends { close(): Promise<void> }>(
  open: (config: DatabaseConfig) => Promise<Store>,
): Promise<BothStores<Store>> {
  const config = await newDatabaseConfig()
  let commits = 0
  const proxy = await startPostgresProxy(Number(new URL(config.databaseUrl).port), {
    atCommit: () => {
      commits++
      return undefined
    },
  })
  const dataDir = mkdtempSync(join(tmpdir(), 'ch202-at-once-'))
  const onPostgres = await open({ ...config, databaseUrl: proxy.addressOf(config.databaseUrl) })
  const onSqlite = await open({ dataDir })
  afterAll(async () => {
    for (const store of [onPostgres, onSqlite]) await store.close()
    proxy.stop()
    rmSync(dataDir, { recursive: true })
  })
  return {
    onPostgres,
    onSqlite,
    both: [
      ['SQLite', onSqlite],
      ['PostgreSQL', onPostgres],
    ],
    async commitsDuring(work) {
      const before = commits
      await work()
      return commits - before
    },
  }
}

/** A change that a store makes for each of many users. */
export interface Change<Store> {
  /** Makes what the change needs. */
  prepare?(store: Store, users: readonly string[]): Promise<unknown>
  /** @param written rows that the change writes */
  make(store: Store, user: string, written: Written): Promise<unknown>
  /** The answer, or some of its properties. */
  result: unknown
  /** Gives for which of the users the change was made. */
  changed(store: Store, users: readonly string[]): Promise<unknown[]>
  /** Whether the change writes none of the rows. */
  isSilent?: true
}

/** Rows of a change. For one of the users they are such as the database refuses: they lack a target, a type or a kind. */
export interface Written {
  notices: NewNotice[]
  event(): AuditEvent
  mailKind: 'password_reset'
}

export const noticeAbout = (subject: string): NewNotice => ({ target: 'auth', kind: 'audit', subject, payload: {} })

export function written(isValid = true): Written {
  return {
    notices: [{ ...noticeAbout('user'), ...(isValid ? {} : { target: null as never }) }],
    event: () => ({ ...event(), ...(isValid ? {} : { type: null as never }) }),
    mailKind: isValid ? 'password_reset' : (null as never),
  }
}

export const newUsers = () => Array.from({ length: AT_ONCE }, () => Bun.randomUUIDv7())

/** Asks about each user, all at once. */
export const ofEach = <Result>(users: readonly string[], ask: (user: string) => Promise<Result>) =>
  Promise.all(users.map(ask))

/** Declares the tests of changes. */
export function testChanges<Store>(
  { both, commitsDuring, onPostgres }: BothStores<Store>,
  changes: Record<string, Change<Store>>,
): void {
  describe.each(Object.entries(changes))('fifty users who %s at once', (_, change) => {
    const { changed, isSilent, make, prepare, result } = change

    test('take a few commits on PostgreSQL, and each gets the answer of their own', async () => {
      const users = newUsers()
      await prepare?.(onPostgres, users)
      const commits = await commitsDuring(async () => {
        for (const answer of await ofEach(users, (user) => make(onPostgres, user, written())))
          if (typeof result === 'object') expect(answer).toMatchObject(result as object)
          else expect(answer).toBe(result)
      })
      expect(commits).toBeLessThan(FEW_COMMITS)
      expect(await changed(onPostgres, users)).toEqual(users.map(() => true))
    })

    test.each(both)('are stored on %s, except for one whose change the database refuses', async (__, store) => {
      const users = newUsers()
      await prepare?.(store, users)
      const isStored = (n: number) => isSilent || n !== 7
      const commits = await commitsDuring(async () => {
        const results = await Promise.allSettled(users.map((user, n) => make(store, user, written(n !== 7))))
        expect(results.map(({ status }) => status)).toEqual(
          users.map((__, n) => (isStored(n) ? 'fulfilled' : 'rejected')),
        )
      })
      // The others do not run one by one.
      expect(commits).toBeLessThan(AT_ONCE / 2)
      expect(await changed(store, users)).toEqual(users.map((__, n) => isStored(n)))
    })
  })
}
