import type { DatabaseConfig } from '../../../db/open.ts'
import { isConflict } from '../../../db/postgres/errors.ts'
import { connect } from '../../../db/postgres/pools.ts'
import { PATIENCE } from '../eventually.ts'
import { startPooler } from './pooler.ts'
import { startPostgresProxy } from './proxy.ts'
import { type PostgresServer, startPostgres } from './server.ts'

/**
 * Properties of the databases that `sharedPostgres` gives, in the variable CH202_TEST_POSTGRES, separated by commas:
 *
 * - `npm`: the server is that of the npm package, of a newer version, even if Debian's is installed.
 * - `pooler`: PgBouncer in transaction mode is before it.
 * - `serializable`: every transaction runs at SERIALIZABLE, as on distributed databases.
 * - `slow`: bytes take 10 ms in each direction.
 * - `unprivileged`: the role owns the schemas of the services, which exist; it may create neither schemas nor extensions.
 */
export const TRAITS = ['npm', 'pooler', 'serializable', 'slow', 'unprivileged'] as const
export type Trait = (typeof TRAITS)[number]

const LATENCY = 10
/** The role of `unprivileged`. */
export const OWNER = 'plain'

export interface TestDatabases {
  server: PostgresServer
  /** Creates a database and gives its address. @param template the database of which it is a copy; else it is empty */
  newDatabase(template?: string): Promise<string>
  /** The address of a database for the server's superuser, without anything between. @param address as `newDatabase` gave it */
  adminUrl(address: string): string
}

/** The settings of a store in an empty database. It is patient: the machine of the tests may be busy. */
export async function newDatabaseConfig(): Promise<DatabaseConfig & { databaseUrl: string }> {
  const { newDatabase } = await sharedPostgres()
  return { dataDir: '', databaseUrl: await newDatabase(), databasePatience: PATIENCE }
}

let shared: Promise<TestDatabases> | undefined

/** The properties that the databases of this run have. @throws Error for a word that is not one of them */
export function postgresTraits(): ReadonlySet<Trait> {
  const words = (process.env.CH202_TEST_POSTGRES ?? '').split(',').filter(Boolean)
  const unknown = words.find((word) => !TRAITS.includes(word as Trait))
  if (unknown !== undefined)
    throw new Error(`CH202_TEST_POSTGRES has ${TRAITS.join(', ')}, separated by commas, but not ${unknown}`)
  return new Set(words as Trait[])
}

/** The server that the tests of a process share, started when first needed. It ends with the process. */
export function sharedPostgres(): Promise<TestDatabases> {
  shared ??= startDatabases(postgresTraits())
  return shared
}

/**
 * Runs statements at an address that `newDatabase` gave, one after the other, each again while it conflicts with others.
 * @returns the rows of the last, with numbers as JavaScript has them
 */
export async function runStatements(address: string, ...statements: string[]): Promise<object[]> {
  const sql = connect(address, { max: 1 })
  const toNumber = (value: unknown) => (typeof value === 'bigint' ? Number(value) : value)
  try {
    let rows: object[] = []
    for (const statement of statements) rows = [...(await repeated(() => sql.unsafe(statement)))]
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toNumber(value)])))
  } finally {
    await sql.close()
  }
}

/** Every statement is a transaction, which conflicts with those of the services where the default is SERIALIZABLE. */
async function repeated<Result>(run: () => Promise<Result>): Promise<Result> {
  for (;;)
    try {
      return await run()
    } catch (error) {
      if (!isConflict(error)) throw error
    }
}

async function startDatabases(traits: ReadonlySet<Trait>): Promise<TestDatabases> {
  const server = await startPostgres({}, traits.has('npm') ? 'npm' : 'debian')
  if (traits.has('unprivileged')) await server.run('postgres', `CREATE ROLE ${OWNER} LOGIN`)
  // The bytes of the pooler's clients are late too.
  const pooler = traits.has('pooler') ? await startPooler(server.port) : undefined
  const portOf = (address: string) => Number(new URL(address).port)
  const first = pooler ? pooler.addressOf(server.addressOf('postgres')) : server.addressOf('postgres')
  const proxy = traits.has('slow') ? await startPostgresProxy(portOf(first), { delay: LATENCY }) : undefined
  return {
    server,
    adminUrl: (address) => server.addressOf(nameIn(address)),
    async newDatabase(template) {
      let address = await server.newDatabase(template)
      const name = nameIn(address)
      if (traits.has('serializable'))
        await server.run('postgres', `ALTER DATABASE ${name} SET default_transaction_isolation = 'serializable'`)
      if (traits.has('unprivileged')) {
        const schemas = (template === undefined ? ['auth', 'users', 'modules'] : []).map(
          (schema) => `CREATE SCHEMA ${schema} AUTHORIZATION ${OWNER}`,
        )
        await server.run(name, ...schemas)
        address = withUser(address, OWNER)
      }
      if (pooler) address = pooler.addressOf(address)
      return proxy ? proxy.addressOf(address) : address
    },
  }
}

function nameIn(address: string): string {
  return new URL(address).pathname.slice(1)
}

function withUser(address: string, user: string): string {
  const url = new URL(address)
  url.username = user
  return url.href
}
