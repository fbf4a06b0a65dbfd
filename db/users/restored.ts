import { asc, gt, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { User } from '../../services/users/store.ts'
import { deletedIds, users } from '../schema/users.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { present } from './rows.ts'

const PAGE = 1000

/** Gives every user of a database, in the order of creation, page by page. */
export function* everyUser({ raw }: Sqlite): Generator<User> {
  const page = drizzle(raw)
    .select()
    .from(users)
    .where(gt(users.seq, sql.placeholder('after')))
    .orderBy(asc(users.seq))
    .limit(PAGE)
    .prepare()
  for (let after = 0; ; ) {
    const rows = page.all({ after })
    yield* rows.map(present)
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.seq
  }
}

/** The ids of the users who were deleted. */
export function deletedUsers({ raw }: Sqlite): string[] {
  return drizzle(raw)
    .select()
    .from(deletedIds)
    .all()
    .map(({ id }) => id)
}
