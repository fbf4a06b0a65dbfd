import { join } from 'node:path'
import type { DatabaseFile } from '../db/sqlite/database-file.ts'
import { descriptorOf, SERVICE_NAMES } from './registry.ts'

/** Every database of a data directory, for commands that work on the files while the services are stopped. */
export function databases(dataDir: string): DatabaseFile[] {
  return SERVICE_NAMES.flatMap((name) => {
    const { database } = descriptorOf(name)
    return database ? [{ name, path: join(dataDir, `${name}.sqlite`), ...database }] : []
  })
}
