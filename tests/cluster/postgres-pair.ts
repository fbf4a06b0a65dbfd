import type { SystemDatabase } from '../support/postgres/system-database.ts'
import { type Entry, startEntry } from './entry.ts'
import { type Rebuild, ReplicatedServer } from './replicated-postgres.ts'

/** The database of the services. */
export const DATABASE = 'ch202'

/** Two servers with synchronous replication, and the address at which services reach the primary. */
export interface PostgresPair {
  entry: Entry
  database: SystemDatabase
  readonly primary: ReplicatedServer
  readonly standby: ReplicatedServer
  /** Makes the standby the primary, and the primary the one that `rebuild` makes a standby. */
  promote(): Promise<void>
  /** Makes the old primary, killed or running, the standby that every commit waits for. */
  rebuild(how: Rebuild): Promise<void>
  stop(): Promise<void>
}

/** Starts a pair with an empty database. It takes some seconds. */
export async function startPostgresPair(): Promise<PostgresPair> {
  let primary = new ReplicatedServer()
  let standby = new ReplicatedServer()
  await primary.startEmpty()
  await primary.run('postgres', `CREATE DATABASE ${DATABASE}`)
  await standby.startAsStandbyOf(primary, 'copy')
  await primary.waitForStandby()
  const entry = await startEntry(primary.port)
  const url = new URL(primary.addressOf(DATABASE))
  url.port = String(entry.port)
  return {
    entry,
    database: databaseAt(url.href, () => primary),
    get primary() {
      return primary
    },
    get standby() {
      return standby
    },
    async promote() {
      await standby.promote()
      ;[primary, standby] = [standby, primary]
    },
    async rebuild(how) {
      await standby.kill()
      await standby.startAsStandbyOf(primary, how)
      await primary.waitForStandby()
    },
    async stop() {
      entry.stop()
      await Promise.all([primary.stop(), standby.stop()])
    },
  }
}

function databaseAt(address: string, primary: () => ReplicatedServer): SystemDatabase {
  const refuse = async () => {
    throw new Error('All services have the same role')
  }
  return {
    name: DATABASE,
    adminUrl: address,
    addressOf: () => address,
    run: (...statements) => primary().run('postgres', ...statements),
    disconnect: refuse,
    admit: refuse,
    remove: async () => undefined,
  }
}
