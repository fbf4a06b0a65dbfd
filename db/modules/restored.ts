import { drizzle } from 'drizzle-orm/bun-sqlite'
import * as schema from '../schema/modules.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { prepareStatements } from './statements.ts'

/** Forgets users who were deleted after this database was copied and before that of users was; its feed begins anew. */
export async function forgetUsers(sqlite: Sqlite, ids: readonly string[]): Promise<void> {
  const query = prepareStatements(drizzle(sqlite.raw, { schema }), sqlite)
  await sqlite.write(() => {
    // What followers were told by the database that this is a copy of, they must not go on from.
    query.beginFeed.run({ epoch: crypto.randomUUID() })
    for (const userId of ids) {
      query.forgetChoices.run({ userId })
      query.markDeleted.run({ userId })
    }
  })
}
