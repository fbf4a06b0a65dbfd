import { SERVICE_NAMES } from '../../../services/registry.ts'
import { PATIENCE } from '../eventually.ts'
import type { Layout, Name } from '../settings.ts'
import { type PostgresProxy, startPostgresProxy } from './proxy.ts'
import { OWNER, postgresTraits, sharedPostgres } from './shared.ts'

export type DatabaseKind = 'sqlite' | 'postgres'

let kind: DatabaseKind = 'sqlite'

/** Chooses the databases of all systems that this process starts from now on. */
export function useDatabases(next: DatabaseKind): void {
  kind = next
}

/** The kind of the databases that systems have, unless they name another. */
export function databaseKind(): DatabaseKind {
  return kind
}

/** A database of its own for a system, with a role for each process. */
export interface SystemDatabase {
  name: string
  /** The address for the server's superuser. */
  adminUrl: string
  /** The address for the process of a service. */
  addressOf(name: Name): string
  /** Ends the connections of a process at once, as its crash does, and refuses new ones. */
  disconnect(name: Name): Promise<void>
  /** Admits connections again. */
  admit(name: Name): Promise<void>
  /** Runs statements that concern the server, as its superuser. @returns the rows of the last */
  run(...statements: string[]): Promise<unknown[][]>
  remove(): Promise<void>
}

/** Creates a database. In the layout `together` there is one process, in `apart` one for each service. */
export async function newSystemDatabase(layout: Layout): Promise<SystemDatabase> {
  const { newDatabase, server } = await sharedPostgres()
  const address = await newDatabase()
  const database = new URL(address).pathname.slice(1)
  const roleOf = (name: Name) => (layout === 'together' ? `${database}_all` : `${database}_${name}`)
  const roles = [...new Set(SERVICE_NAMES.map(roleOf))]
  const run = (...statements: string[]) => server.run('postgres', ...statements)
  for (const role of roles) await run(`CREATE ROLE ${role} LOGIN`)
  if (postgresTraits().has('unprivileged')) for (const role of roles) await run(`GRANT ${OWNER} TO ${role}`)
  else {
    for (const role of roles) await run(`GRANT CREATE ON DATABASE ${database} TO ${role}`)
    // The migration of users creates an extension in the schema of the database's owner.
    await run(`ALTER DATABASE ${database} OWNER TO ${roleOf('users')}`)
  }
  // A pooler keeps its clients when the server ends their connections: a process behind one has a proxy to cut it off.
  const proxies = new Map<string, PostgresProxy>()
  if (postgresTraits().has('pooler'))
    for (const role of roles) proxies.set(role, await startPostgresProxy(Number(new URL(address).port)))
  return {
    name: database,
    adminUrl: server.addressOf(database),
    run,
    addressOf(name) {
      const role = roleOf(name)
      const url = new URL(address)
      url.username = role
      return proxies.get(role)?.addressOf(url.href) ?? url.href
    },
    async disconnect(name) {
      const role = roleOf(name)
      const proxy = proxies.get(role)
      if (proxy) proxy.interrupt()
      else await run(`ALTER ROLE ${role} NOLOGIN`)
      // Waits until they have ended: the pooler would give one that is ending to the next client.
      await run(`SELECT pg_terminate_backend(pid, ${PATIENCE}) FROM pg_stat_activity WHERE usename = '${role}'`)
    },
    async admit(name) {
      const role = roleOf(name)
      const proxy = proxies.get(role)
      if (proxy) proxy.resume()
      else await run(`ALTER ROLE ${role} LOGIN`)
    },
    async remove() {
      for (const proxy of proxies.values()) proxy.stop()
      await run(`DROP DATABASE ${database} WITH (FORCE)`, ...roles.map((role) => `DROP ROLE ${role}`))
    },
  }
}
