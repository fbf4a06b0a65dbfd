import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { type PostgresLine, startPostgresLine } from '../faults/postgres-line.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/http.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import { request } from '../support/sockets.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// What a balancer asks: whether a node should get requests.

setDefaultTimeout(120_000)

let nodes: AuthNodes
/** The way to the database of users, modules and the first node of auth. */
let line: PostgresLine
/** The way to the database of the second node of auth. */
let ownLine: PostgresLine

beforeAll(async () => {
  const database = await (await sharedPostgres()).newDatabase()
  const port = Number(new URL(database).port)
  line = await startPostgresLine(port)
  ownLine = await startPostgresLine(port)
  nodes = await startAuthNodes(2, {
    databaseOf: async (node) => (node === 0 ? line : ownLine).addressOf(database),
    databaseOfOthers: line.addressOf(database),
  })
})
afterAll(async () => {
  line.isSilent = false
  ownLine.isSilent = false
  await nodes?.stop()
  line?.stop()
  ownLine?.stop()
})

const ADDRESSES: Record<string, () => string> = {
  'auth 0': () => nodes.urlsOf(0).auth,
  'auth 1': () => nodes.urlsOf(1).auth,
  users: () => nodes.urlsOf(0).users,
  modules: () => nodes.urlsOf(0).modules,
}

/** Asks a node as the plain check of HAProxy does: HTTP/1.0 without a Host. */
async function verdict(address: string): Promise<string> {
  const { body, status } = await request(address, 'GET /health/ready HTTP/1.0', [])
  return status === 200 ? JSON.stringify(body) : `${status} ${body.code}`
}

async function verdicts(): Promise<Record<string, string>> {
  const answers = Object.entries(ADDRESSES).map(async ([name, address]) => [name, await verdict(address())])
  return Object.fromEntries(await Promise.all(answers))
}

const READY = '{"status":"ok"}'
const NO_DATABASE = '503 database_unavailable'

const areAll = (expected: Record<string, string>) =>
  eventually(async () => JSON.stringify(await verdicts()) === JSON.stringify(expected))
const allReady = () => areAll({ 'auth 0': READY, 'auth 1': READY, users: READY, modules: READY })

test('every node of every service is ready, under both paths', async () => {
  await allReady()
  // On a busy machine a node may lose its lease for a moment.
  for (const address of Object.values(ADDRESSES))
    await eventually(async () => {
      const { body, status } = await call(address(), 'GET /api/v1/health/ready')
      return status === 200 && body.status === 'ok'
    })
})

test('of two nodes, the one that loses the database is not ready, for as long', async () => {
  await allReady()
  ownLine.isSilent = true
  await eventually(async () => (await verdict(ADDRESSES['auth 1']?.() ?? '')) === NO_DATABASE)
  expect(await verdict(ADDRESSES['auth 0']?.() ?? '')).toBe(READY)
  expect((await call(nodes.urlsOf(1).auth, 'GET /health')).status).toBe(200)
  ownLine.isSilent = false
  await allReady()
})

test('with a database that stands still no node is ready, and each says so at once', async () => {
  await allReady()
  line.isSilent = true
  ownLine.isSilent = true
  await areAll({ 'auth 0': NO_DATABASE, 'auth 1': NO_DATABASE, users: NO_DATABASE, modules: NO_DATABASE })
  // The database itself is waited for longer than this.
  await eventually(async () => {
    const askedAt = performance.now()
    expect(await verdict(ADDRESSES.users?.() ?? '')).toBe(NO_DATABASE)
    return performance.now() - askedAt < 500
  })
  line.isSilent = false
  ownLine.isSilent = false
  await allReady()
})

test('a service whose node of auth stands still has no lease, and is not ready', async () => {
  await allReady()
  nodes.processes.nodes[0]?.kill('SIGSTOP')
  await eventually(async () => (await verdict(ADDRESSES.users?.() ?? '')) === '503 auth_unavailable')
  const { headers } = await call(nodes.urlsOf(0).users, 'GET /health/ready')
  expect(headers.get('retry-after')).toBe('1')
  await eventually(async () => (await verdict(ADDRESSES.modules?.() ?? '')) === READY)
  nodes.processes.nodes[0]?.kill('SIGCONT')
  await allReady()
})
