import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import type { Module, ModulesStore } from '../../services/modules/store.ts'
import { eventually } from '../support/eventually.ts'
import { startPooler } from '../support/postgres/pooler.ts'
import { startPostgresProxy } from '../support/postgres/proxy.ts'
import { startPostgres } from '../support/postgres/server.ts'
import { postgresTraits } from '../support/postgres/shared.ts'

const server = await startPostgres()
const pooler = postgresTraits().has('pooler') ? await startPooler(server.port) : undefined
afterAll(async () => {
  await pooler?.stop()
  await server.stop()
})

/** Milliseconds within which a request must have its answer, and what a busy machine may add. */
const LIMIT = 2000
const BUSY = 8000
/** Connections of a store. */
const CONNECTIONS = 4

const moduleOf = (id: string): Module => ({
  id,
  name: id,
  description: '',
  version: '1',
  requiredRoles: [],
  requires: [],
  defaultEnabled: false,
  createdAt: 1,
})

describe('while PostgreSQL', () => {
  let url: string
  let store: ModulesStore
  beforeEach(async () => {
    const address = await server.newDatabase()
    url = pooler?.addressOf(address) ?? address
    store = await openModulesStore({ dataDir: '', databaseUrl: url })
    await store.addModule(moduleOf('a'), [])
  })
  afterEach(() => store.close())

  const failuresOf = async (calls: (() => Promise<unknown>)[]) => {
    const startedAt = performance.now()
    const results = await Promise.allSettled(calls.map((call) => call()))
    expect(performance.now() - startedAt).toBeLessThan(LIMIT + BUSY)
    return results.map((result) => (result.status === 'rejected' ? result.reason : result.value))
  }
  const everyKind = () => [
    () => store.listModules(),
    () => store.moduleById('a'),
    () => store.changesAfter('a', 0, 10),
    () => store.addModule(moduleOf(crypto.randomUUID().slice(0, 8)), []),
  ]
  const serves = () => eventually(async () => (await store.listModules().catch(() => [])).length > 0)

  test('is killed, every operation fails within two seconds; it recovers without a restart of the node', async () => {
    await server.kill()
    for (const failure of await failuresOf(everyKind())) expect(failure).toBeInstanceOf(DatabaseUnavailable)
    await server.start()
    await serves()
    expect(await store.addModule(moduleOf('b'), [])).toEqual({ outcome: 'added' })
  })

  test('stops answering, every operation fails within two seconds; it recovers when the server goes on', async () => {
    server.freeze()
    try {
      for (const failure of await failuresOf(everyKind())) expect(failure).toBeInstanceOf(DatabaseUnavailable)
      for (const failure of await failuresOf(everyKind())) expect(failure).toBeInstanceOf(DatabaseUnavailable)
    } finally {
      server.thaw()
    }
    await serves()
    expect(await store.addModule(moduleOf('b'), [])).toEqual({ outcome: 'added' })
  })

  test('takes reads only, as a standby does, reads are served, writes fail, and another node says why it does not start', async () => {
    const database = new URL(url).pathname.slice(1)
    const endConnections = `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '${database}'`
    const setReadOnly = (value: 'on' | 'off') =>
      server.run('postgres', `ALTER DATABASE ${database} SET default_transaction_read_only = ${value}`, endConnections)
    await setReadOnly('on')
    await serves()
    const [modules, failure] = await failuresOf([() => store.listModules(), () => store.addModule(moduleOf('b'), [])])
    expect(modules).toMatchObject([{ id: 'a' }])
    expect(failure).toBeInstanceOf(DatabaseUnavailable)
    const other = await openModulesStore({ dataDir: '', databaseUrl: url }).catch((error: Error) => error)
    expect(String(other)).toContain('is read-only')
    await setReadOnly('off')
    await serves()
    await eventually(() => store.addModule(moduleOf('b'), []).catch(() => undefined))
  })

  test('loses every connection that commits, a node soon closes those that it has replaced', async () => {
    let isCutting = false
    const atCommit = () => (isCutting ? 'before' : undefined)
    const proxy = await startPostgresProxy(Number(new URL(url).port), { atCommit })
    // So patient that what is closed later than at the end of the operations is not closed in this test.
    const node = await openModulesStore({ dataDir: '', databaseUrl: proxy.addressOf(url), databasePatience: 600_000 })
    try {
      isCutting = true
      // Connections are replaced twice a second at most.
      const end = performance.now() + 3000
      while (performance.now() < end) {
        const operations = [...Array(3).fill(() => node.listModules()), () => node.addModule(moduleOf('c'), [])]
        await Promise.allSettled(operations.map((operation) => operation()))
      }
      const database = new URL(url).pathname.slice(1)
      const count = `SELECT count(*)::int FROM pg_stat_activity WHERE datname = '${database}'`
      await eventually(async () => Number((await server.run('postgres', count))[0]?.[0]) <= 2 * CONNECTIONS)
    } finally {
      await node.close()
      proxy.stop()
    }
  })

  test('refuses a value, the error has neither the value nor a parameter', async () => {
    const canary = 'canary-3c1f'
    const [failure] = await failuresOf([() => store.addModule({ ...moduleOf(canary), createdAt: canary as never }, [])])
    expect(failure).toBeInstanceOf(Error)
    expect(Bun.inspect(failure)).not.toContain(canary)
  })
})
