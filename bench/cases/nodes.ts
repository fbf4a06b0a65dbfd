import { join } from 'node:path'
import { openAuthStore } from '../../db/auth/store.ts'
import { type PostgresServer, startPostgres } from '../../tests/support/postgres/server.ts'
import { type BenchUser, createUsers, logIn, startCh202 } from '../ch202.ts'
import { columnsOf } from '../columns.ts'
import type { LoadResult } from '../load.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, spreadOf } from '../measure.ts'
import { cpuWithChildren, type Measurable, measureTogether, parentOf, send } from '../processes.ts'
import { accountOf, event, newSession } from '../sessions.ts'
import type { StoreRate } from '../stores.ts'
import { formatNumber } from '../table.ts'
import { DURABLE, rateOfAll } from './postgres.ts'

const NODES = 3
/** Callers of all nodes together: as many for one node as for three, and enough that each node groups many. */
const CLIENTS = 192
/** Clients of the requests over HTTP, of all nodes together. Each of them logs in first. */
const HTTP_CLIENTS = 33
/** Sessions that are in the database before the operations of the store. */
const SESSIONS = 20_000
/** Logouts of a round: each needs a login before it. */
const LOGOUTS = 90

/** Operations of the store of auth, without HTTP. */
const OPERATIONS = [
  { operation: 'rotate', name: 'rotate a session (refresh)', goal: { least: 1.1 } },
  { operation: 'open', name: 'open a session, with its row in the audit', goal: { least: 1.1 } },
  // Every end takes the counter of the feed, which all nodes share.
  { operation: 'end', name: 'end a session (logout), with its entry in the feed and the audit' },
]

/** A server, and the milliseconds of CPU that it has used. */
interface MeasuredServer {
  server: PostgresServer
  cpu(): number
}

/**
 * Compares three nodes on one PostgreSQL with one. Nodes, server and load share the cores, so the gain is that of more
 * processes, not of more machines.
 */
export async function nodes(options: BenchOptions, folder: string): Promise<Result[]> {
  const server = await startPostgres(DURABLE)
  try {
    const [[process]] = (await server.run(
      'postgres',
      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    )) as [[number]]
    const pid = parentOf(process)
    const measured = { server, cpu: () => cpuWithChildren(pid) }
    return [...(await operations(options, folder, measured)), ...(await requests(options, folder, measured))]
  } finally {
    await server.stop()
  }
}

async function operations(options: BenchOptions, folder: string, measured: MeasuredServer): Promise<Result[]> {
  const results: Result[] = []
  for (const { goal, name, operation } of OPERATIONS) {
    const databaseUrl = await measured.server.newDatabase()
    await addSessions(measured.server, databaseUrl)
    const program = ['--operation', operation, '--seconds', String(options.seconds)]
    const onServer = async (count: number, serverCpu: number[]): Promise<Figure> => {
      const words = [...program, '--database-url', databaseUrl, '--clients', String(CLIENTS / count)]
      let before = 0
      const rates = await measureTogether<StoreRate>('stores.ts', Array<string[]>(count).fill(words), () => {
        before = measured.cpu()
      })
      const calls = rates.reduce((sum, rate) => sum + rate.calls, 0)
      unavailable += rates.reduce((sum, rate) => sum + rate.unavailable, 0)
      serverCpu.push(((measured.cpu() - before) / calls) * 1000)
      return { value: rateOfAll(rates), cpu: (rates.reduce((sum, { cpu }) => sum + cpu, 0) / calls) * 1000 }
    }
    const onFile = async (): Promise<Figure> => {
      const rates = await measureTogether<StoreRate>('stores.ts', [
        [...program, '--data-dir', folder, '--clients', String(CLIENTS)],
      ])
      return { value: rateOfAll(rates), cpu: ((rates[0]?.cpu ?? 0) / (rates[0]?.calls ?? 1)) * 1000 }
    }
    const common = { name: `${NODES} nodes: ${name}, ${CLIENTS} callers of the store`, unit: 'a second' }
    const [ofThree, ofOne]: [number[], number[]] = [[], []]
    let unavailable = 0
    results.push({
      ...common,
      limitIs: 'one node',
      ...(await measureBoth(
        options.rounds,
        () => onServer(NODES, ofThree),
        () => onServer(1, ofOne),
      )),
      ...(goal && { goal }),
      also: [serverTimes(ofThree, ofOne), { says: `${unavailable} not answered in time`, holds: unavailable === 0 }],
    })
    results.push({
      ...common,
      limitIs: 'a SQLite file',
      ...(await measureBoth(options.rounds, () => onServer(NODES, []), onFile)),
    })
  }
  return results
}

/**
 * Gives a database the sessions of an installation that is in use. In an almost empty table every session is on the same
 * few pages, and two transactions on different ones conflict.
 */
async function addSessions(server: PostgresServer, databaseUrl: string): Promise<void> {
  const store = await openAuthStore({ dataDir: '', databaseUrl })
  const userId = Bun.randomUUIDv7()
  await store.syncAccount(accountOf(userId), Date.now(), (type) => event(type, userId))
  await store.openSession(newSession(userId), event('session.created', userId))
  await store.close()
  const database = new URL(databaseUrl).pathname.slice(1)
  const names = await columnsOf(server, database, 'auth.sessions')
  const values = names.map((name) => (name === 'id' ? 'md5(n::text)' : name))
  await server.run(
    database,
    `INSERT INTO auth.sessions (${names.join(', ')})
     SELECT ${values.join(', ')} FROM auth.sessions, generate_series(1, ${SESSIONS}) AS n`,
    'VACUUM ANALYZE auth.sessions',
  )
}

/** Describes the server's CPU time for a call. @param times microseconds, of each round */
function serverTimes(ofThree: readonly number[], ofOne: readonly number[]): { says: string; holds: boolean } {
  const [three, one] = [ofThree, ofOne].map((times) => Math.round(spreadOf(times).median))
  return { says: `the server's CPU ${three} / ${one} µs`, holds: true }
}

/** Nodes that share a database, and users of theirs. */
interface Cluster {
  nodes: Measurable[]
  users: BenchUser[]
  /** Microseconds of the server's CPU for a refresh, of each round. */
  serverCpu: number[]
}

/** Measures requests over HTTP, of which each node gets an equal part. */
async function requests(options: BenchOptions, folder: string, measured: MeasuredServer): Promise<Result[]> {
  const { rounds, seconds } = options
  const started: Measurable[] = []
  const cluster = async (count: number): Promise<Cluster> => {
    const databaseUrl = await measured.server.newDatabase()
    await addSessions(measured.server, databaseUrl)
    const starting = Array.from({ length: count }, async (_, number) => {
      const name = `${count}-${number}`
      const env = { DATABASE_URL: databaseUrl, NODE_NAME: name, ISSUER: 'https://id.example.org' }
      const node = await startCh202(join(folder, name), env, true)
      started.push(node)
      return node
    })
    const nodes = await Promise.all(starting)
    return { nodes, users: await createUsers(nodes[0]?.url ?? '', HTTP_CLIENTS), serverCpu: [] }
  }
  try {
    const [three, one] = [await cluster(NODES), await cluster(1)]
    const common = { limitIs: 'one node' }
    const refreshing = await measureBoth(
      rounds,
      () => refresh(three, seconds, measured),
      () => refresh(one, seconds, measured),
    )
    const slowest = { three: [] as number[], one: [] as number[] }
    const ending = await measureBoth(
      rounds,
      () => logOut(three, slowest.three),
      () => logOut(one, slowest.one),
    )
    const [ofThree, ofOne] = [slowest.three, slowest.one].map((times) => formatNumber(spreadOf(times).median))
    return [
      {
        ...common,
        name: `${NODES} nodes: POST /auth/refresh, ${HTTP_CLIENTS} clients`,
        unit: 'a second',
        ...refreshing,
        also: [serverTimes(three.serverCpu, one.serverCpu)],
      },
      {
        ...common,
        name: `${NODES} nodes: POST /auth/logout, p50`,
        unit: 'ms',
        ...ending,
        also: [{ says: `p99 ${ofThree} / ${ofOne} ms`, holds: true }],
      },
    ]
  } finally {
    await Promise.all(started.map((node) => node.stop()))
  }
}

async function refresh({ nodes: cluster, serverCpu, users }: Cluster, seconds: number, measured: MeasuredServer) {
  const part = HTTP_CLIENTS / cluster.length
  const groups = await Promise.all(
    cluster.map(async ({ url }, number) => {
      const some = users.slice(number * part, (number + 1) * part)
      const sessions = await Promise.all(some.map(({ email }) => logIn(url, email)))
      return { url, refreshTokens: sessions.map(({ refreshToken }) => refreshToken) }
    }),
  )
  const before = { nodes: cluster.map(({ cpu }) => cpu()), server: measured.cpu() }
  const loads = await Promise.all(
    groups.map(({ refreshTokens, url }) =>
      // Asleep between answers, the generator leaves the cores to nodes and server.
      send({ script: 'refresh', url, clients: part, seconds, background: true, data: { refreshTokens } }),
    ),
  )
  const count = sum(loads, (load: LoadResult) => load.requests)
  serverCpu.push(((measured.cpu() - before.server) / count) * 1000)
  const used = cluster.reduce((total, { cpu }, number) => total + cpu() - (before.nodes[number] ?? 0), 0)
  return { value: sum(loads, ({ rate }) => rate), cpu: (used / count) * 1000 }
}

/** Measures how long logouts take. @param slowest gets the p99, milliseconds */
async function logOut({ nodes: cluster, users }: Cluster, slowest: number[]): Promise<Figure> {
  const loads: LoadResult[] = []
  const tokens: string[] = []
  for (let n = 0; n < LOGOUTS; n++)
    tokens.push((await logIn(cluster[n % cluster.length]?.url ?? '', users[n % users.length]?.email ?? '')).token)
  await Promise.all(
    cluster.map(async ({ url }, number) => {
      const data = { tokens: tokens.filter((_, index) => index % cluster.length === number) }
      loads.push(await send({ script: 'logout', url, clients: 2, background: true, data }, ['204']))
    }),
  )
  slowest.push(Math.max(...loads.map(({ p99 }) => p99)))
  return { value: spreadOf(loads.map(({ p50 }) => p50)).median }
}

function sum(loads: readonly LoadResult[], value: (load: LoadResult) => number): number {
  return loads.reduce((total, load) => total + value(load), 0)
}
