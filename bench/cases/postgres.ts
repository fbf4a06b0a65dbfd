import { join } from 'node:path'
import { type PostgresServer, startPostgres } from '../../tests/support/postgres/server.ts'
import { type BenchUser, createUsers, logIn, startCh202 } from '../ch202.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, underLoad } from '../measure.ts'
import { type Measurable, measureTogether, send } from '../processes.ts'
import type { StoreRate } from '../stores.ts'

/** The settings of PostgreSQL's package: a commit is on the disk when it is answered, as in the SQLite files. */
export const DURABLE = { fsync: 'on', full_page_writes: 'on', shared_buffers: '128MB' }
const CLIENTS = 32

/** Operations of the store of auth, without HTTP. */
const OPERATIONS = [
  { operation: 'read', name: 'PostgreSQL: read a session', least: 0.36 },
  { operation: 'rotate', name: 'PostgreSQL: rotate a session (refresh)', least: 0.75 },
  { operation: 'open', name: 'PostgreSQL: open a session, with its row in the audit', least: 0.85 },
]

/** Measures PostgreSQL beside the SQLite files. Services and server share the machine, as on one that has no other. */
export async function postgres(options: BenchOptions, folder: string): Promise<Result[]> {
  const server = await startPostgres(DURABLE)
  try {
    return [...(await operations(options, folder, server)), ...(await requests(options, folder, server))]
  } finally {
    await server.stop()
  }
}

async function operations({ rounds, seconds }: BenchOptions, folder: string, server: PostgresServer) {
  const results: Result[] = []
  for (const { least, name, operation } of OPERATIONS) {
    const rateOf = async (words: string[]): Promise<Figure> => {
      const program = ['--operation', operation, '--clients', String(CLIENTS), '--seconds', String(seconds), ...words]
      return { value: rateOfAll(await measureTogether<StoreRate>('stores.ts', [program])) }
    }
    const databaseUrl = await server.newDatabase()
    const ours = () => rateOf(['--database-url', databaseUrl])
    const limit = () => rateOf(['--data-dir', folder])
    results.push({
      name: `${name}, ${CLIENTS} callers of the store`,
      unit: 'a second',
      limitIs: 'the same on a SQLite file',
      ...(await measureBoth(rounds, ours, limit)),
      goal: { least },
    })
  }
  return results
}

/** Calls a second of processes that ran at the same time. */
export function rateOfAll(rates: readonly StoreRate[]): number {
  return rates.reduce((sum, { calls, seconds }) => sum + calls / seconds, 0)
}

interface Instance {
  server: Measurable
  users: BenchUser[]
}

async function requests({ rounds, seconds }: BenchOptions, folder: string, server: PostgresServer): Promise<Result[]> {
  const start = async (name: string, env: Record<string, string>): Promise<Instance> => {
    const measurable = await startCh202(join(folder, name), env)
    return { server: measurable, users: await createUsers(measurable.url, CLIENTS) }
  }
  const withPostgres = await start('on-postgres', { DATABASE_URL: await server.newDatabase() })
  const withFiles = await start('on-files', {})
  try {
    const results: Result[] = []
    const compare = async (name: string, least: number | undefined, rate: (instance: Instance) => Promise<Figure>) => {
      const figures = await measureBoth(
        rounds,
        () => rate(withPostgres),
        () => rate(withFiles),
      )
      results.push({
        name: `PostgreSQL: ${name}, ${CLIENTS} clients`,
        unit: 'a second',
        limitIs: 'the same on SQLite files',
        ...figures,
        ...(least === undefined ? {} : { goal: { least } }),
      })
    }
    const load = { clients: CLIENTS, seconds }
    await compare('POST /auth/login', 1, ({ server: { url }, users }) =>
      send({ script: 'login', url, ...load, data: { users } }).then(({ rate }) => ({ value: rate })),
    )
    await compare('POST /auth/refresh', undefined, async ({ server: measurable, users }) => {
      const { url } = measurable
      const sessions = await Promise.all(users.map(({ email }) => logIn(url, email)))
      const data = { refreshTokens: sessions.map(({ refreshToken }) => refreshToken) }
      return underLoad(measurable, () => send({ script: 'refresh', url, ...load, data }))
    })
    await compare('GET /users/{id}, Bearer', undefined, ({ server: measurable, users }) =>
      underLoad(measurable, () => send({ script: 'readUser', url: measurable.url, ...load, data: { users } })),
    )
    return results
  } finally {
    await withPostgres.server.stop()
    await withFiles.server.stop()
  }
}
