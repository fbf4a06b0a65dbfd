import { asc, gt, sql } from 'drizzle-orm'
import type { User } from '../../services/users/store.ts'
import { built, type Engine } from '../engine.ts'
import { deletedIds, users } from '../schema/users.ts'
import { present } from './rows.ts'

const PAGE = 1000

const statements = {
  page: built((db) =>
    db
      .select()
      .from(users)
      .where(gt(users.seq, sql.placeholder('after')))
      .orderBy(asc(users.seq))
      .limit(PAGE),
  ),
  deletedIds: built((db) => db.select().from(deletedIds)),
}

/** Gives every user of a database, in the order of creation, page by page. */
export async function* everyUser(engine: Engine): AsyncGenerator<User> {
  for (let after = 0; ; ) {
    const rows = await engine.all(statements.page, { after })
    yield* rows.map(present)
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.seq
  }
}

/** The ids of the users who were deleted. */
export async function deletedUsers(engine: Engine): Promise<string[]> {
  return (await engine.all(statements.deletedIds)).map(({ id }) => id)
}
