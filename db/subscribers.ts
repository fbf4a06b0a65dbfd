import { DatabaseUnavailable } from '../services/kit/database-unavailable.ts'
import type { Acknowledgement, StoredSubscriber, SubscriberStore } from '../services/kit/feed/stored-subscribers.ts'
import { type Body, type Engine, type Transaction, text } from './engine.ts'

/** The code of a failure: the server is not the primary any more, although it answers. */
const OLD_PRIMARY = 'OLD_PRIMARY'

/**
 * The subscribers of a feed that several nodes publish.
 * @param lastSeq a query for the number of the last change of the feed
 * @param acked an expression for the number that a subscriber has acknowledged
 * @returns null for a database that one process has for itself
 */
export function subscriberStore(
  engine: Engine,
  { acked = 'subscribers.acked', lastSeq }: { acked?: string; lastSeq: string },
): SubscriberStore | null {
  if (engine.dialect === 'sqlite') return null
  /** One row for each subscriber, or one without a name: the number is read in any case. */
  const all = postgresOnly<{ lastSeq: number; name: string | null; acked: number; renewal: number }>(`
    SELECT last.seq AS "lastSeq", subscribers.name, ${acked} AS acked, subscribers.renewal
    FROM (${lastSeq}) AS last (seq) LEFT JOIN subscribers ON true`)
  const acknowledge = engine.grouped(
    function* (tx, calls: readonly { name: string; acked: number }[]) {
      // A random number differs from every earlier one, also from those of a row that was removed.
      const rows = calls.map(({ acked, name }) => [name, acked, Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)])
      yield* tx.run(STATEMENTS.acknowledge, { rows: JSON.stringify(rows) })
      return rows.map(([, , renewal]) => Number(renewal))
    },
    ({ name }) => name,
  )
  return {
    acknowledge: async (name, acked) => ({ name, renewal: await acknowledge({ name, acked }) }),
    async subscribers() {
      const read = await engine.all(all)
      const rows = read.flatMap(({ acked, name, renewal }): StoredSubscriber[] =>
        name === null ? [] : [{ name, acked, renewal }],
      )
      return { lastSeq: read[0]?.lastSeq ?? 0, rows }
    },
    async removeSubscriber(name, renewal) {
      await engine.write((tx) => tx.run(STATEMENTS.remove, { name, renewal }))
    },
  }
}

/**
 * Checks that the snapshot of a transaction contains a poll that was committed before, and so everything that was committed
 * before the poll.
 * @throws DatabaseUnavailable when it does not: connections of this node lead to an old primary, or a later poll of the
 * subscriber has taken the place of this one
 */
export function* checkPoll(tx: Transaction, poll: Acknowledgement | undefined): Body<void> {
  if (poll && !(yield* tx.get(STATEMENTS.poll, { ...poll })))
    throw new DatabaseUnavailable('PostgreSQL lacks what was committed before', OLD_PRIMARY)
}

const STATEMENTS = {
  /** Writes rows, each a list of its columns, in the order of their names: two nodes that write the same rows do not block each other. */
  acknowledge: postgresOnly(`
    INSERT INTO subscribers (name, acked, renewal)
    SELECT value->>0, CAST(value->>1 AS bigint), CAST(value->>2 AS bigint)
    FROM jsonb_array_elements(CAST($rows AS text)::jsonb) AS list (value) ORDER BY value->>0
    ON CONFLICT (name) DO UPDATE SET acked = excluded.acked, renewal = excluded.renewal`),
  poll: postgresOnly<{ name: string }>(
    'SELECT name FROM subscribers WHERE name = $name AND renewal = CAST($renewal AS bigint)',
  ),
  remove: postgresOnly(
    'DELETE FROM subscribers WHERE name = $name AND renewal = coalesce(CAST($renewal AS bigint), renewal)',
  ),
}

function postgresOnly<Row = never>(postgres: string) {
  return text<Row>({ sqlite: '', postgres })
}
