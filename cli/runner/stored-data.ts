import { existsSync } from 'node:fs'
import type { InspectedSchema } from '../../db/postgres/inspect/data.ts'
import type { InspectedDatabase } from '../../db/sqlite/inspect/index.ts'
import type { ServiceName } from '../../services/registry.ts'

/** Reads the data of a service, which need not be running, from its file or its schema in PostgreSQL. */
export type StoredData = Pick<
  InspectedSchema,
  | 'administrators'
  | 'clientAddresses'
  | 'failingLogouts'
  | 'hasAdmin'
  | 'issuer'
  | 'keys'
  | 'latest'
  | 'mailTroubles'
  | 'passkeyRpId'
  | 'schema'
  | 'undelivered'
  | 'waitingMails'
  | 'waitingNotices'
> & {
  /** Checks the chain of the audit. Null: the database is older than the chain. */
  auditChain(): Promise<Awaited<ReturnType<InspectedSchema['auditChain']>> | null>
}

/** Reads a file as `InspectedSchema` reads a schema. */
export async function dataInFile(database: InspectedDatabase): Promise<StoredData> {
  const inspect = await import('../../db/sqlite/inspect/index.ts')
  return {
    administrators: async () => inspect.administratorsIn(database),
    clientAddresses: async () => inspect.clientAddressesIn(database),
    auditChain: async () => inspect.auditChain(database),
    failingLogouts: async (before) => inspect.failingLogouts(database, before),
    hasAdmin: async () => inspect.hasAdmin(database),
    issuer: async () => inspect.issuerOf(database),
    keys: async () => inspect.keysOf(database),
    latest: async () => database.latest(),
    mailTroubles: async (reasons) => inspect.mailTroubles(database, reasons),
    passkeyRpId: async () => inspect.passkeyRpIdOf(database),
    schema: async () => database.schema(),
    undelivered: async (before) => inspect.undelivered(database, before),
    waitingMails: async (before) => inspect.waitingMails(database, before),
    waitingNotices: async (before) => inspect.waitingNotices(database, before),
  }
}

/** The place of an installation's data. */
export interface Storage {
  dataDir: string
  /** The PostgreSQL database that takes the place of the files. */
  databaseUrl: string | undefined
}

/**
 * Reads what the service has stored.
 * @param read called with its data, if there is any
 * @param unreadable the result if it cannot be read now
 * @returns undefined if there is no file or schema yet
 */
export async function readStored<T>(
  { dataDir, databaseUrl }: Storage,
  service: ServiceName,
  read: (data: StoredData) => Promise<T>,
  unreadable: T,
): Promise<T | undefined> {
  const { databases } = await import('../../services/databases.ts')
  const file = databases(dataDir).find(({ name }) => name === service)
  if (!file) return undefined
  if (databaseUrl !== undefined) {
    const { InspectedSchema, NO_TABLE } = await import('../../db/postgres/inspect/data.ts')
    try {
      return await read(new InspectedSchema(databaseUrl, file))
    } catch (error) {
      return (error as { code?: unknown }).code === NO_TABLE ? undefined : unreadable
    }
  }
  if (!existsSync(file.path)) return undefined
  const { InspectedDatabase } = await import('../../db/sqlite/inspect/index.ts')
  try {
    const database = InspectedDatabase.open(file)
    try {
      return await read(await dataInFile(database))
    } finally {
      database.close()
    }
  } catch {
    return unreadable
  }
}
