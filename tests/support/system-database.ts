import { SERVICE_NAMES } from '../../services/registry.ts'
import type { Layout, Name } from './settings.ts'
import { OWNER, postgresTraits, sharedPostgres } from './shared-postgres.ts'

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
  return {
    name: database,
    adminUrl: server.addressOf(database),
    run,
    addressOf(name) {
      const url = new URL(address)
      url.username = roleOf(name)
      return url.href
    },
    disconnect: async (name) => {
      const role = roleOf(name)
      await run(
        `ALTER ROLE ${role} NOLOGIN`,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`,
      )
    },
    admit: async (name) => void (await run(`ALTER ROLE ${roleOf(name)} LOGIN`)),
    remove: async () =>
      void (await run(`DROP DATABASE ${database} WITH (FORCE)`, ...roles.map((role) => `DROP ROLE ${role}`))),
  }
}
