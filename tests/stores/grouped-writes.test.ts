import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore, Session } from '../../services/auth/store/index.ts'
import { startPostgresProxy } from '../support/postgres/proxy.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { account, event, NOW, rotation, session } from './auth-suite.ts'

// Logins, refreshes and logouts that arrive together share a commit.

const AT_ONCE = 50

const config = await newDatabaseConfig()
let commits = 0
const proxy = await startPostgresProxy(Number(new URL(config.databaseUrl).port), {
  atCommit: () => {
    commits++
    return undefined
  },
})
const dataDir = mkdtempSync(join(tmpdir(), 'ch202-grouped-'))
const onPostgres = await openAuthStore({ ...config, databaseUrl: proxy.addressOf(config.databaseUrl) })
const onSqlite = await openAuthStore({ dataDir })
afterAll(async () => {
  for (const store of [onPostgres, onSqlite]) await store.close()
  proxy.stop()
  rmSync(dataDir, { recursive: true })
})

const newUsers = (store: AuthStore) =>
  Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      const user = account()
      await store.syncAccount(user, NOW, (type) => event(type))
      return user
    }),
  )

/** Calls a method for each item at once. @returns the results, and how many commits there were */
async function atOnce<Item, Result>(items: readonly Item[], call: (item: Item) => Promise<Result>) {
  const before = commits
  const results = await Promise.allSettled(items.map(call))
  return { results, commits: commits - before }
}

test('fifty new users at once, as an import sends them, take a few commits on PostgreSQL', async () => {
  const users = Array.from({ length: AT_ONCE }, () => account())
  const { commits: count, results } = await atOnce(users, (user) =>
    onPostgres.syncAccount(user, NOW, (type) => event(type)),
  )
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(AT_ONCE)
  expect(count).toBeLessThan(AT_ONCE / 5)
  const stored = await Promise.all(users.map(({ userId }) => onPostgres.accountById(userId)))
  expect(stored.map((one) => one?.email)).toEqual(users.map(({ email }) => email))
})

test('fifty logins, refreshes and logouts at once take a few commits on PostgreSQL', async () => {
  const store = onPostgres
  const opened = (await newUsers(store)).map(({ userId }) => session(userId))
  const calls: ((one: Session) => Promise<unknown>)[] = [
    (one) => store.openSession(one, event()),
    (one) => store.rotateSession(rotation(one.id, 0), (type) => event(type)),
    (one) => store.endSession(one.id, null, { reason: 'logout', now: NOW }, event()),
  ]
  for (const call of calls) {
    const { commits: count, results } = await atOnce(opened, call)
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(AT_ONCE)
    expect([call.toString(), count < AT_ONCE / 5]).toEqual([call.toString(), true])
  }
})

describe.each([
  ['SQLite', onSqlite],
  ['PostgreSQL', onPostgres],
])('on %s', (_, store) => {
  test('a login that fails among them fails alone', async () => {
    const opened = (await newUsers(store)).map(({ userId }, n) =>
      session(userId, n === 7 ? { kind: 'v9' as 'v1' } : {}),
    )
    const { results } = await atOnce(opened, (one) => store.openSession(one, event()))
    expect(results.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([7])
    for (const [n, { id }] of opened.entries())
      expect([n, (await store.sessionById(id)) !== null]).toEqual([n, n !== 7])
  })

  test('uses of one refresh token at once make one successor', async () => {
    const [user] = await newUsers(store)
    const opened = session(user?.userId ?? '')
    await store.openSession(opened, event())
    const uses = Array.from({ length: AT_ONCE }, () => opened)
    const { results } = await atOnce(uses, (one) => store.rotateSession(rotation(one.id, 0), (type) => event(type)))
    const outcomes = results.map((result) => (result.status === 'fulfilled' ? result.value.outcome : result.reason))
    expect(outcomes.toSorted()).toEqual([...Array(AT_ONCE - 1).fill('repeated'), 'rotated'])
    expect(await store.sessionById(opened.id)).toMatchObject({ counter: 1 })
  })
})
