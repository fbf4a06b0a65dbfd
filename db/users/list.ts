import { and, asc, desc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import type { UserFilter } from '../../services/users/store.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import * as schema from '../schema/users.ts'
import type { Transaction } from '../sqlite/engine.ts'
import type { Row } from './rows.ts'
import { BY_INDEX, contains, INDEX, inIndex } from './search.ts'

const { users } = schema
const COLUMNS = getTableColumns(users)
const COUNT = { rows: sql<number>`count(*)` }
const PLACE = { seq: users.seq }

/** Matches up to this number are sorted by email; more are found by a walk along the emails. */
const SORTED_AT_MOST = 2000
/** Rows that are counted in one turn of the event loop: a few milliseconds. */
const COUNTED_AT_ONCE = 10_000
/** Totals that are cached. */
const MOST_TOTALS = 200

interface Condition {
  where: SQL | undefined
  /** The folded search. */
  part?: string
  /** The condition on the index, if it can be used: the query joins it. */
  indexed?: SQL
}

type Database = BunSQLiteDatabase<typeof schema>

/**
 * Lists of users, by page number and by cursor. A search takes as long among a million users as among a thousand: the
 * index gives the matches in the order of creation, and no more than the page shows.
 */
export function userLists(db: Database) {
  /** Totals by filter. Pending ones are shared too: of many requests for one total, only one counts. */
  const totals = new Map<string, Promise<number>>()

  const totalOf = ({ emailVerified, hasPassword, role, status }: UserFilter, condition: Condition): Promise<number> => {
    const key = JSON.stringify([role, condition.part, status, hasPassword, emailVerified])
    const cached = totals.get(key)
    if (cached !== undefined) return cached
    const total = countMatches(db, condition)
    if (totals.size >= MOST_TOTALS) totals.clear()
    totals.set(key, total)
    total.catch(() => totals.delete(key))
    return total
  }

  return {
    /** Drops the cached totals, in a transaction that adds, changes or removes a user. */
    changed: (_tx: Transaction) => totals.clear(),

    async listUsers(filter: UserFilter, request: PageRequest): Promise<Slice<Row>> {
      const isDescending = filter.sort.startsWith('-')
      const byEmail = filter.sort.endsWith('email')
      const condition = conditionOf(filter)
      const ordered = byEmail ? inOrderOfEmail(db, filter, condition) : condition
      const column = byEmail ? users.emailKey : placeIn(condition)
      const after = 'after' in request ? request.after[0] : undefined
      const rest =
        after === undefined ? undefined : isDescending ? sql`${column} < ${after}` : sql`${column} > ${after}`
      const { limit, offset } = pageBounds(request)
      const rows = select(db, COLUMNS, ordered)
        .where(and(ordered.where, rest))
        .orderBy((isDescending ? desc : asc)(column))
        .limit(limit)
        .offset(offset)
        .all()
      const total = 'page' in request ? await totalOf(filter, condition) : 0
      return sliceOf(
        rows,
        request,
        () => total,
        (row) => [byEmail ? row.emailKey : row.seq],
      )
    },
  }
}

function select<Fields extends typeof COLUMNS | typeof COUNT | typeof PLACE>(
  db: Database,
  fields: Fields,
  { indexed }: Condition,
) {
  const query = db.select(fields).from(users).$dynamic()
  return indexed === undefined ? query : query.innerJoin(INDEX, BY_INDEX)
}

function conditionOf({ search, ...filter }: Partial<UserFilter>): Condition {
  const fields = fieldsMatch(filter)
  if (search === undefined) return { where: fields }
  const part = foldForSearch(search)
  const indexed = inIndex(part)
  return { where: and(indexed, contains(part), fields), part, ...(indexed && { indexed }) }
}

function fieldsMatch({ emailVerified, hasPassword, role, status }: Partial<UserFilter>): SQL | undefined {
  return and(
    status && eq(users.status, status),
    passwordMatches(hasPassword),
    emailVerified === undefined ? undefined : eq(users.emailVerified, emailVerified),
    role === undefined ? undefined : sql`instr(${users.roles}, ${JSON.stringify(role)}) > 0`,
  )
}

/** Written as text, not with a parameter, so that SQLite uses the partial index on users without a password. */
function passwordMatches(hasPassword: boolean | undefined): SQL | undefined {
  if (hasPassword === undefined) return undefined
  return hasPassword ? sql`${users.passwordHash} <> '!'` : sql`${users.passwordHash} = '!'`
}

/**
 * Adapts a search to the order of emails, which the index does not have: a few matches are selected by their places and
 * sorted; of many, the first are soon found by a walk along the emails.
 */
function inOrderOfEmail(db: Database, { search, ...filter }: UserFilter, condition: Condition): Condition {
  const { indexed, part } = condition
  if (part === undefined) return condition
  const matches = select(db, PLACE, condition)
    .where(and(indexed, contains(part)))
    .limit(SORTED_AT_MOST + 1)
    .all()
  const { where } = conditionOf(filter)
  if (matches.length > SORTED_AT_MOST) return { where: and(where, contains(part)) }
  const places = JSON.stringify(matches.map(({ seq }) => seq))
  return { where: and(where, sql`${users.seq} IN (SELECT value FROM json_each(${places}))`) }
}

/** The order of creation: as the index has it when the query joins it, so that SQLite walks along the index. */
function placeIn({ indexed }: Condition) {
  return indexed === undefined ? users.seq : sql`users_search.rowid`
}

/** Counts a search in parts, between which others are served: a million matches take half a second to count. */
async function countMatches(db: Database, condition: Condition): Promise<number> {
  const count = (range?: SQL) => select(db, COUNT, condition).where(and(condition.where, range)).get()?.rows ?? 0
  if (condition.part === undefined) return count()
  const place = placeIn(condition)
  const last = db
    .select({ seq: sql<number>`coalesce(max(${users.seq}), 0)` })
    .from(users)
    .get()
  let total = 0
  for (let from = 0; from < (last?.seq ?? 0); from += COUNTED_AT_ONCE) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve))
    total += count(sql`${place} > ${from} AND ${place} <= ${from + COUNTED_AT_ONCE}`)
  }
  return total
}
