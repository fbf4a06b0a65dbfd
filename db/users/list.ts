import { and, asc, desc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { PageRequest, Slice } from '../../services/kit/page.ts'
import type { UserFilter } from '../../services/users/store.ts'
import { sliceOf, window } from '../pages.ts'
import * as schema from './schema.ts'
import { BY_INDEX, contains, INDEX, matches, phraseOf } from './search.ts'

const { users } = schema
const COLUMNS = getTableColumns(users)
const COUNT = { rows: sql<number>`count(*)` }
type Row = typeof users.$inferSelect

/** So few that they are sorted; more are found by walking along the order. */
const FEW = 2000
/** Rows that are counted in one turn of the event loop: a few milliseconds. */
const COUNTED_AT_ONCE = 20_000
const COUNTS_KEPT = 200

/** What is looked for; `phrase`: by the index, and `alone`: by nothing else. */
interface Wanted {
  where: SQL | undefined
  phrase?: string
  alone?: boolean
}

/**
 * Lists of users, by pages and by cursor. A search takes as long among a million as among a thousand: the index gives
 * its matches in the order of creation, and no more of them than are shown.
 */
export function userLists(db: BunSQLiteDatabase<typeof schema>) {
  /** Also those under way: of many who ask for one, one counts. */
  const counts = new Map<string, Promise<number>>()

  const select = <Fields extends typeof COLUMNS | { rows: SQL<number> }>(fields: Fields, { phrase }: Wanted) => {
    const all = db.select(fields).from(users).$dynamic()
    return phrase === undefined ? all : all.innerJoin(INDEX, BY_INDEX)
  }

  const wantedBy = (filter: UserFilter): Wanted => {
    const plain = and(
      filter.status && eq(users.status, filter.status),
      // As the condition of the index on those without a password.
      filter.hasPassword === undefined
        ? undefined
        : filter.hasPassword
          ? sql`${users.passwordHash} <> '!'`
          : sql`${users.passwordHash} = '!'`,
      filter.emailVerified === undefined ? undefined : eq(users.emailVerified, filter.emailVerified),
      filter.role === undefined ? undefined : sql`instr(${users.roles}, ${JSON.stringify(filter.role)}) > 0`,
    )
    if (filter.search === undefined) return { where: plain }
    const phrase = phraseOf(filter.search)
    if (phrase === undefined) return { where: and(plain, contains(filter.search)) }
    return { where: and(matches(phrase), plain), phrase, alone: plain === undefined }
  }

  /** By email the index does not go: few matches are sorted, of many the first are soon met along the emails. */
  const inOrderOfEmail = (filter: UserFilter, wanted: Wanted): Wanted => {
    if (wanted.phrase === undefined || filter.search === undefined) return wanted
    const found = db.all<{ rowid: number }>(
      sql`SELECT rowid FROM users_search WHERE ${matches(wanted.phrase)} LIMIT ${FEW + 1}`,
    )
    const { search, ...others } = filter
    const { where } = wantedBy(others)
    if (found.length > FEW) return { where: and(where, contains(search)) }
    const among = JSON.stringify(found.map(({ rowid }) => rowid))
    return { where: and(where, sql`${users.seq} IN (SELECT value FROM json_each(${among}))`) }
  }

  const countOf = (filter: UserFilter, wanted: Wanted): Promise<number> => {
    const { emailVerified, hasPassword, role, search, status } = filter
    const key = JSON.stringify([role, search, status, hasPassword, emailVerified])
    const known = counts.get(key)
    if (known !== undefined) return known
    const count = (part?: SQL) => {
      // Without the rows of the users it takes a tenth of the time.
      const counted = wanted.alone ? db.select(COUNT).from(INDEX).$dynamic() : select(COUNT, wanted)
      return counted.where(and(wanted.where, part)).get()?.rows ?? 0
    }
    const total = wanted.phrase === undefined ? Promise.resolve(count()) : countInTurns(db, count)
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
      const column = byEmail ? users.emailKey : wanted.phrase === undefined ? users.seq : sql`users_search.rowid`
      const after = 'after' in request ? request.after[0] : undefined
      const rest = after === undefined ? undefined : descending ? sql`${column} < ${after}` : sql`${column} > ${after}`
      const { limit, offset } = window(request)
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

/** Others have their turn meanwhile: a million matches take a fifth of a second to count. */
async function countInTurns(db: BunSQLiteDatabase<typeof schema>, count: (part: SQL) => number): Promise<number> {
  const last =
    db
      .select({ seq: sql<number>`coalesce(max(${users.seq}), 0)` })
      .from(users)
      .get()?.seq ?? 0
  let total = 0
  for (let from = 0; from < last; from += COUNTED_AT_ONCE) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve))
    total += count(sql`users_search.rowid > ${from} AND users_search.rowid <= ${from + COUNTED_AT_ONCE}`)
  }
  return total
}
