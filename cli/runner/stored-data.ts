import { existsSync } from 'node:fs'
import type { InspectedDatabase } from '../../db/sqlite/inspect/index.ts'
import type { ServiceName } from '../../services/registry.ts'

/**
 * Reads from the database file of a service, which need not be running.
 * @param read called with the open database, if there is one; loads what it needs only then
 * @param unreadable the result if the file cannot be read now
 * @returns undefined if there is no file yet
 */
export async function readStored<T>(
  { dataDir, service }: { dataDir: string; service: ServiceName },
  read: (database: InspectedDatabase) => Promise<T>,
  unreadable: T,
): Promise<T | undefined> {
  const { databases } = await import('../../services/databases.ts')
  const file = databases(dataDir).find(({ name, path }) => name === service && existsSync(path))
  if (!file) return undefined
  const { InspectedDatabase } = await import('../../db/sqlite/inspect/index.ts')
  try {
    const database = InspectedDatabase.open(file)
    try {
      return await read(database)
    } finally {
      database.close()
    }
  } catch {
    return unreadable
  }
}
