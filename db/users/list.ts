import { and, asc, desc, eq, getTableColumns, not, type SQL, sql } from 'drizzle-orm'
import type { PageRequest, Slice } from '../../services/kit/schema/page.ts'
import { foldForSearch } from '../../services/kit/schema/search-text.ts'
import type { UserFilter } from '../../services/users/store.ts'
import { type Body, type Builder, type Dialect, dynamic, type Engine, type Transaction } from '../engine.ts'
import { pageBounds, sliceOf } from '../page-bounds.ts'
import { users } from '../schema/users.ts'
import type { Row } from './rows.ts'
import { BY_INDEX, contains, INDEX, inIndex, PLAN_BY_VALUES } from './search.ts'
import { STATEMENTS as statements } from './statements.ts'
import { userTotals } from './totals.ts'

const COLUMNS = getTableColumns(users)
const COUNT = { rows: sql<number>`count(*)` }
const PLACE = { seq: users.seq }
const LAST = { seq: sql<number>`coalesce(max(${users.seq}), 0)` }

/** Matches up to this number are sorted by email; more are found by a walk along the emails. */
const SORTED_AT_MOST = 2000
/** Rows that are counted in one turn of the event loop: a few milliseconds. */
const COUNTED_AT_ONCE = 10_000

interface Condition {
  where: SQL | undefined
  /** The folded search. */
  part?: string
  /** The condition on SQLite's index, if it can be used: the query joins it. */
  indexed?: SQL
}

/**
 * Lists of users, by page number and by cursor. A search takes as long among a million users as among a thousand: the
 * index gives the matches in the order of creation, and no more than the page shows.
 */
export function userLists(engine: Engine) {
  const { dialect } = engine
  const totalOf = userTotals(async () => (await engine.get(statements.lastChange))?.value ?? 0)

  function* pageOf(tx: Transaction, filter: UserFilter, condition: Condition, request: PageRequest): Body<Row[]> {
    const isDescending = filter.sort.startsWith('-')
    const byEmail = filter.sort.endsWith('email')
    const ordered = byEmail ? yield* inOrderOfEmail(tx, dialect, filter, condition) : condition
    const column = byEmail ? users.emailKey : placeIn(condition)
    const after = 'after' in request ? request.after[0] : undefined
    const place = byEmail ? String(after) : Number(after) || 0
    const rest = after === undefined ? undefined : isDescending ? sql`${column} < ${place}` : sql`${column} > ${place}`
    const { limit, offset } = pageBounds(request)
    yield* planSearch(tx, dialect, condition)
    return yield* tx.all(
      dynamic((db) =>
        select(db, COLUMNS, ordered)
          .where(and(ordered.where, rest))
          .orderBy((isDescending ? desc : asc)(column))
          .limit(limit)
          .offset(offset),
      ),
    )
  }

  return {
    async listUsers(filter: UserFilter, request: PageRequest): Promise<Slice<Row>> {
      const condition = conditionOf(dialect, filter)
      const rows = await engine.read((tx) => pageOf(tx, filter, condition, request))
      return sliceOf(
        rows,
        request,
        () => totalOf(filter, () => countMatches(engine, condition)),
        (row) => [filter.sort.endsWith('email') ? row.emailKey : row.seq],
      )
    },
  }
}

function select<Fields extends typeof COLUMNS | typeof COUNT | typeof PLACE>(
  db: Builder,
  fields: Fields,
  { indexed }: Condition,
) {
  const query = db.select(fields).from(users).$dynamic()
  return indexed === undefined ? query : query.innerJoin(INDEX, BY_INDEX)
}

function conditionOf(dialect: Dialect, { search, ...filter }: Partial<UserFilter>): Condition {
  const fields = fieldsMatch(dialect, filter)
  if (search === undefined) return { where: fields }
  const part = foldForSearch(search)
  const indexed = dialect === 'sqlite' ? inIndex(part) : undefined
  return { where: and(indexed, contains(dialect, part), fields), part, ...(indexed && { indexed }) }
}

function fieldsMatch(
  dialect: Dialect,
  { emailVerified, hasPassword, role, status, withoutRoles = [] }: Partial<UserFilter>,
): SQL | undefined {
  return and(
    status && eq(users.status, status),
    passwordMatches(hasPassword),
    emailVerified === undefined ? undefined : eq(users.emailVerified, emailVerified),
    role === undefined ? undefined : hasRole(dialect, role),
    ...withoutRoles.map((excluded) => not(hasRole(dialect, excluded))),
  )
}

function hasRole(dialect: Dialect, role: string): SQL {
  const part = JSON.stringify(role)
  return dialect === 'sqlite' ? sql`instr(${users.roles}, ${part}) > 0` : sql`strpos(${users.roles}, ${part}) > 0`
}

/** Written as text, not with a parameter, so that the database uses the partial index on users without a password. */
function passwordMatches(hasPassword: boolean | undefined): SQL | undefined {
  if (hasPassword === undefined) return undefined
  return hasPassword ? sql`${users.passwordHash} <> '!'` : sql`${users.passwordHash} = '!'`
}

/**
 * Adapts a search to the order of emails, which the index does not have: a few matches are selected by their places and
 * sorted; of many, the first are soon found by a walk along the emails. PostgreSQL decides by itself which to do.
 */
function* inOrderOfEmail(
  tx: Transaction,
  dialect: Dialect,
  { search, ...filter }: UserFilter,
  condition: Condition,
): Body<Condition> {
  const { indexed, part } = condition
  if (part === undefined || dialect !== 'sqlite') return condition
  const matches = yield* tx.all(
    dynamic((db) =>
      select(db, PLACE, condition)
        .where(and(indexed, contains(dialect, part)))
        .limit(SORTED_AT_MOST + 1),
    ),
  )
  const { where } = conditionOf(dialect, filter)
  if (matches.length > SORTED_AT_MOST) return { where: and(where, contains(dialect, part)) }
  const places = JSON.stringify(matches.map(({ seq }) => seq))
  return { where: and(where, sql`${users.seq} IN (SELECT value FROM json_each(${places}))`) }
}

function* planSearch(tx: Transaction, dialect: Dialect, { part }: Condition): Body<void> {
  if (dialect === 'postgres' && part !== undefined) yield* tx.run(PLAN_BY_VALUES)
}

/** The order of creation: as the index has it when the query joins it, so that SQLite walks along the index. */
function placeIn({ indexed }: Condition) {
  return indexed === undefined ? users.seq : sql`users_search.rowid`
}

/**
 * Counts the matches of a condition. SQLite runs in this process: it counts a search in parts, between which others are
 * served, because a million matches take half a second to count.
 */
async function countMatches(engine: Engine, condition: Condition): Promise<number> {
  // A transaction of its own: on PostgreSQL, no other query then waits on the same connection.
  const count = async (range?: SQL) => {
    const statement = dynamic((db) => select(db, COUNT, condition).where(and(condition.where, range)))
    const row = await engine.read(function* (tx) {
      yield* planSearch(tx, engine.dialect, condition)
      return yield* tx.get(statement)
    })
    return row?.rows ?? 0
  }
  if (condition.part === undefined || engine.dialect !== 'sqlite') return count()
  const place = placeIn(condition)
  const last = await engine.get(dynamic((db) => db.select(LAST).from(users)))
  let total = 0
  for (let from = 0; from < (last?.seq ?? 0); from += COUNTED_AT_ONCE) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve))
    total += await count(sql`${place} > ${from} AND ${place} <= ${from + COUNTED_AT_ONCE}`)
  }
  return total
}
