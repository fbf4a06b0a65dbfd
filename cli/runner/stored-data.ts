import { existsSync } from 'node:fs'
import type { InspectedDatabase } from '../../db/sqlite/inspect/index.ts'
import type { ServiceName } from '../../services/registry.ts'

type Inspect = typeof import('../../db/sqlite/inspect/index.ts')

/**
 * Reads from the database file of a service, which need not be running.
 * @param read gets the database and the functions that read from it, which are loaded only if there is a file
 * @param unreadable the result if the file cannot be read now
 * @returns undefined if there is no file yet
 */
export async function readStored<T>(
  { dataDir, service }: { dataDir: string; service: ServiceName },
  read: (database: InspectedDatabase, inspect: Inspect) => T,
  unreadable: T,
): Promise<T | undefined> {
  const { databases } = await import('../../services/databases.ts')
  const file = databases(dataDir).find(({ name, path }) => name === service && existsSync(path))
  if (!file) return undefined
  const inspect = await import('../../db/sqlite/inspect/index.ts')
  try {
    const database = inspect.InspectedDatabase.open(file)
    try {
      return read(database, inspect)
    } finally {
      database.close()
    }
  } catch {
    return unreadable
  }
}
