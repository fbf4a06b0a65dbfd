import { drizzle } from 'drizzle-orm/bun-sqlite'
import * as schema from '../schema/modules.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { prepareStatements } from './statements.ts'

/**
 * Prepares a restored modules database: removes the choices of users who were deleted between the copies of this
 * database and of users, and gives the feed a new epoch.
 */
export async function forgetUsers(sqlite: Sqlite, ids: readonly string[]): Promise<void> {
  const statements = prepareStatements(drizzle(sqlite.raw, { schema }), sqlite)
  await sqlite.write((tx) => {
    // Subscribers must not continue from the numbers of the database that this one is a copy of.
    tx.run(statements.setEpoch, { epoch: crypto.randomUUID() })
    for (const userId of ids) {
      tx.run(statements.removeChoices, { userId })
      tx.run(statements.addDeletedUser, { userId })
    }
  })
}
