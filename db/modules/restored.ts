import type { Engine } from '../engine.ts'
import { removeUsers } from './feed.ts'
import { STATEMENTS as statements } from './statements.ts'

/**
 * Prepares a restored modules database: removes the choices of users who were deleted between the copies of this
 * database and of users, and gives the feed a new epoch.
 */
export async function forgetUsers(engine: Engine, ids: readonly string[]): Promise<void> {
  await engine.write(function* (tx) {
    // Subscribers must not continue from the numbers of the database that this one is a copy of.
    yield* tx.run(statements.setEpoch, { epoch: crypto.randomUUID() })
    yield* removeUsers(tx, ids)
  })
}
