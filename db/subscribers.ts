import type { StoredSubscriber, SubscriberStore } from '../services/kit/feed/stored-subscribers.ts'
import { type Engine, text } from './engine.ts'

/**
 * The subscribers of a feed that several nodes publish.
 * @param acked an expression for the number that a subscriber has acknowledged
 * @returns null for a database that one process has for itself
 */
export function subscriberStore(
  engine: Engine,
  { acked = 'subscribers.acked' }: { acked?: string } = {},
): SubscriberStore | null {
  if (engine.dialect === 'sqlite') return null
  const all = postgresOnly<StoredSubscriber>(`SELECT name, ${acked} AS acked, renewal FROM subscribers`)
  const acknowledge = engine.grouped(
    function* (tx, calls: readonly { name: string; acked: number }[]) {
      // A random number differs from every earlier one, also from those of a row that was removed.
      const rows = calls.map(({ acked, name }) => [name, acked, Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)])
      yield* tx.run(STATEMENTS.acknowledge, { rows: JSON.stringify(rows) })
      return calls.map(() => undefined)
    },
    ({ name }) => name,
  )
  return {
    acknowledge: (name, acked) => acknowledge({ name, acked }),
    subscribers: () => engine.all(all),
    async removeSubscriber(name, renewal) {
      await engine.write((tx) => tx.run(STATEMENTS.remove, { name, renewal }))
    },
  }
}

const STATEMENTS = {
  /** Writes rows, each a list of its columns, in the order of their names: two nodes that write the same rows do not block each other. */
  acknowledge: postgresOnly(`
    INSERT INTO subscribers (name, acked, renewal)
    SELECT value->>0, CAST(value->>1 AS bigint), CAST(value->>2 AS bigint)
    FROM jsonb_array_elements(CAST($rows AS text)::jsonb) AS list (value) ORDER BY value->>0
    ON CONFLICT (name) DO UPDATE SET acked = excluded.acked, renewal = excluded.renewal`),
  remove: postgresOnly(
    'DELETE FROM subscribers WHERE name = $name AND renewal = coalesce(CAST($renewal AS bigint), renewal)',
  ),
}

function postgresOnly<Row = never>(postgres: string) {
  return text<Row>({ sqlite: '', postgres })
}
