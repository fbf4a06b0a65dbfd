import type { AuthStore } from '../../services/auth/store/index.ts'
import { COUNTED_MOST, type Waiting } from '../../services/kit/outbox/waiting.ts'
import type { CountedSlice } from '../../services/kit/sliced-count.ts'
import { type Engine, text } from '../engine.ts'

/** Counts rows up to a limit, in the order of an index where there may be others. @param rows a query that gives a column `at` */
const waiting = (rows: string) =>
  text<Waiting>(`SELECT count(*) AS count, min(at) AS oldest FROM (${rows} LIMIT ${COUNTED_MOST}) AS part`)

/** Counts the rows that match among the first after a key. */
const slice = (table: string, key: string, condition: string, columns: string) =>
  text<CountedSlice>(`
    SELECT count(*) AS seen, count(CASE WHEN ${condition} THEN 1 END) AS count, max(${key}) AS last
    FROM (SELECT ${key}, ${columns} FROM ${table} WHERE ${key} > $after ORDER BY ${key} LIMIT $limit) AS slice`)

const PENDING = `SELECT since AS at FROM deliveries WHERE status = 'pending' AND target`

const statements = {
  mails: waiting('SELECT requested_at AS at FROM mail_requests ORDER BY requested_at, id'),
  // Two ranges of the index, because the deliveries between them may be many.
  webhook: waiting(`${PENDING} < 'amqp' UNION ALL ${PENDING} > 'amqp'`),
  amqp: waiting(`${PENDING} = 'amqp' ORDER BY target, seq`),
  clientLogouts: waiting('SELECT at FROM client_logouts'),
  dead: text<{ count: number }>(`
    SELECT count(*) AS count FROM (SELECT 1 FROM deliveries WHERE status = 'dead' LIMIT ${COUNTED_MOST}) AS part`),
  sessions: slice(
    'sessions',
    'id',
    'of_grant = 0 AND expires_at > $now AND ends_at > $now',
    'of_grant, expires_at, ends_at',
  ),
  accounts: slice('accounts', 'user_id', 'cached = 1', 'cached'),
}

const NOTHING: Waiting = { count: 0, oldest: null }
const EMPTY: CountedSlice = { count: 0, seen: 0, last: null }

/** The numbers of the database that metrics show. */
export function figureStore(engine: Engine) {
  return {
    waitingMails: async () => (await engine.get(statements.mails)) ?? NOTHING,
    waitingDeliveries: async (receiver: 'webhook' | 'amqp') => (await engine.get(statements[receiver])) ?? NOTHING,
    waitingClientLogouts: async () => (await engine.get(statements.clientLogouts)) ?? NOTHING,
    countDeadDeliveries: async () => (await engine.get(statements.dead))?.count ?? 0,
    countLiveSessions: async (now: number, after: string, limit: number) =>
      (await engine.get(statements.sessions, { now, after, limit })) ?? EMPTY,
    countCachedAccounts: async (after: string, limit: number) =>
      (await engine.get(statements.accounts, { after, limit })) ?? EMPTY,
  } satisfies Partial<AuthStore>
}
