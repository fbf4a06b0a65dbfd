import { and, asc, desc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import type { UserFilter } from '../../services/users/store.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import * as schema from '../schema/users.ts'
import { BY_INDEX, contains, INDEX, inIndex } from './search.ts'

const { users } = schema
const COLUMNS = getTableColumns(users)
const COUNT = { rows: sql<number>`count(*)` }
const PLACE = { seq: users.seq }
type Row = typeof users.$inferSelect

/** So few that they are sorted; more are found by walking along the order. */
const FEW = 2000
/** Rows that are counted in one turn of the event loop: a few milliseconds. */
const COUNTED_AT_ONCE = 10_000
const COUNTS_KEPT = 200

/** What is looked for. `part`: what a search looks for, folded; `indexed`: which rows the index gives, of its rows alone. */
interface Wanted {
  where: SQL | undefined
  part?: string
  indexed?: SQL
}

/**
 * Lists of users, by pages and by cursor. A search takes as long among a million as among a thousand: the index gives
 * its matches in the order of creation, and no more of them than are shown.
 */
export function userLists(db: BunSQLiteDatabase<typeof schema>) {
  /** Also those under way: of many who ask for one, one counts. */
  const counts = new Map<string, Promise<number>>()

  const select = <Fields extends typeof COLUMNS | typeof COUNT | typeof PLACE>(fields: Fields, { indexed }: Wanted) => {
    const all = db.select(fields).from(users).$dynamic()
    return indexed === undefined ? all : all.innerJoin(INDEX, BY_INDEX)
  }

  const wantedBy = ({ emailVerified, hasPassword, role, search, status }: Partial<UserFilter>): Wanted => {
    const plain = and(
      status && eq(users.status, status),
      // As the condition of the index on those without a password.
      hasPassword === undefined
        ? undefined
        : hasPassword
          ? sql`${users.passwordHash} <> '!'`
          : sql`${users.passwordHash} = '!'`,
      emailVerified === undefined ? undefined : eq(users.emailVerified, emailVerified),
      role === undefined ? undefined : sql`instr(${users.roles}, ${JSON.stringify(role)}) > 0`,
    )
    if (search === undefined) return { where: plain }
    const part = foldForSearch(search)
    const indexed = inIndex(part)
    return { where: and(indexed, contains(part), plain), part, ...(indexed && { indexed }) }
  }

  /** By email the index does not go: few matches are sorted, of many the first are soon met along the emails. */
  const inOrderOfEmail = ({ search, ...others }: UserFilter, wanted: Wanted): Wanted => {
    const { indexed, part } = wanted
    if (part === undefined) return wanted
    const matches = select(PLACE, wanted)
      .where(and(indexed, contains(part)))
      .limit(FEW + 1)
      .all()
    const { where } = wantedBy(others)
    if (matches.length > FEW) return { where: and(where, contains(part)) }
    const among = JSON.stringify(matches.map(({ seq }) => seq))
    return { where: and(where, sql`${users.seq} IN (SELECT value FROM json_each(${among}))`) }
  }

  const countOf = ({ emailVerified, hasPassword, role, status }: UserFilter, wanted: Wanted): Promise<number> => {
    const key = JSON.stringify([role, wanted.part, status, hasPassword, emailVerified])
    const known = counts.get(key)
    if (known !== undefined) return known
    const count = (part?: SQL) => select(COUNT, wanted).where(and(wanted.where, part)).get()?.rows ?? 0
    const total = wanted.part === undefined ? Promise.resolve(count()) : countInTurns(db, placeIn(wanted), count)
    if (counts.size >= COUNTS_KEPT) counts.clear()
    counts.set(key, total)
    total.catch(() => counts.delete(key))
    return total
  }

  return {
    /** To be called when a user came, went or changed: what was counted is void. */
    changed: () => counts.clear(),

    async listUsers(filter: UserFilter, request: PageRequest): Promise<Slice<Row>> {
      const descending = filter.sort.startsWith('-')
      const byEmail = filter.sort.endsWith('email')
      const wanted = wantedBy(filter)
      const looked = byEmail ? inOrderOfEmail(filter, wanted) : wanted
      const column = byEmail ? users.emailKey : placeIn(wanted)
      const after = 'after' in request ? request.after[0] : undefined
      const rest = after === undefined ? undefined : descending ? sql`${column} < ${after}` : sql`${column} > ${after}`
      const { limit, offset } = pageBounds(request)
      const rows = select(COLUMNS, looked)
        .where(and(looked.where, rest))
        .orderBy((descending ? desc : asc)(column))
        .limit(limit)
        .offset(offset)
        .all()
      const total = 'page' in request ? await countOf(filter, wanted) : 0
      return sliceOf(
        rows,
        request,
        () => total,
        (row) => [byEmail ? row.emailKey : row.seq],
      )
    },
  }
}

/** The place of a row in the order of creation, by the index where that gives the rows: it walks along it. */
function placeIn({ indexed }: Wanted) {
  return indexed === undefined ? users.seq : sql`users_search.rowid`
}

/** Others have their turn meanwhile: a million matches take half a second to count. */
async function countInTurns(
  db: BunSQLiteDatabase<typeof schema>,
  place: ReturnType<typeof placeIn>,
  count: (part: SQL) => number,
): Promise<number> {
  const last =
    db
      .select({ seq: sql<number>`coalesce(max(${users.seq}), 0)` })
      .from(users)
      .get()?.seq ?? 0
  let total = 0
  for (let from = 0; from < last; from += COUNTED_AT_ONCE) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve))
    total += count(sql`${place} > ${from} AND ${place} <= ${from + COUNTED_AT_ONCE}`)
  }
  return total
}
