import type { AuthStore } from '../../services/auth/store/index.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import { EVENT_TYPES, type EventType } from '../../services/kit/schema/events.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import type { Facts } from './facts.ts'
import type { Feed } from './revocations.ts'

export type Events = Awaited<ReturnType<typeof eventStore>>

/** The name of the fact with the event types that were last announced in the feed. */
const PUBLISHED_TYPES = 'events_wanted'

/**
 * Events for webhooks and the message broker. An event is written only when one of them subscribes to its type, with a
 * delivery for each subscriber.
 * @param amqp whether every event also goes to a message broker
 */
export async function eventStore(sqlite: Sqlite, { facts, feed, amqp }: { facts: Facts; feed: Feed; amqp: boolean }) {
  const statements = prepare(sqlite)
  /** The types with a subscriber: in memory, because every write of an event asks for them. */
  let types: ReadonlySet<EventType> = new Set()
  const listeners: (() => void)[] = []
  const wakeAfterCommit = (tx: Transaction) => {
    for (const listener of listeners) tx.afterCommit(() => setImmediate(listener))
  }

  const readTypes = (tx: Transaction): ReadonlySet<EventType> => {
    const rows = tx.all(statements.subscribed).map((row) => JSON.parse(row.types) as EventType[])
    const isSubscribed = (type: EventType) => amqp || rows.some((list) => list.length === 0 || list.includes(type))
    return new Set(EVENT_TYPES.filter(isSubscribed))
  }

  /** Announces the types that have a subscriber in the feed. @returns the number of the entry, to wait for its acks */
  const publishTypes = (tx: Transaction, now: number): number => {
    const next = readTypes(tx)
    tx.afterCommit(() => {
      types = next
    })
    facts.writeFact(tx, PUBLISHED_TYPES, [...next].join(' '))
    return feed.writeRevocations(tx, [{ kind: 'events', subject: 'wanted', version: 0, until: now }]).seq
  }

  const writeEvents = (tx: Transaction, events: Event[], now?: number) => {
    let deliveries = 0
    for (const { id, type, userId, at, data } of events.filter((event) => types.has(event.type))) {
      if (tx.run(statements.insert, { id, type, userId, at, data: JSON.stringify(data) }).changes === 0) continue
      const delivery = { id, since: now ?? at }
      const toWebhooks = tx.run(statements.toWebhooks, { ...delivery, type }).changes
      const added = toWebhooks + (amqp ? tx.run(statements.toAmqp, delivery).changes : 0)
      // The last subscriber may have been removed by another write of this commit.
      if (added === 0) tx.run(statements.remove, { id })
      deliveries += added
    }
    if (deliveries > 0) wakeAfterCommit(tx)
  }

  await sqlite.write((tx) => {
    types = readTypes(tx)
    // AMQP_URL was set or removed since the last start.
    if ((facts.readFact(tx, PUBLISHED_TYPES) ?? '') !== [...types].join(' ')) publishTypes(tx, Date.now())
  })

  return {
    writeEvents,
    wakeAfterCommit,
    publishTypes,
    subscribedTypes: () => types,
    async addEvents(events: Event[], now: number) {
      await sqlite.write((tx) => writeEvents(tx, events, now))
    },
    onDeliveries: (listener: () => void) => {
      listeners.push(listener)
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

function prepare({ raw }: Sqlite) {
  return {
    insert: raw.query<unknown, { id: string; type: string; userId: string; at: number; data: string }>(
      'INSERT INTO events (id, type, user_id, at, data) VALUES ($id, $type, $userId, $at, $data) ON CONFLICT DO NOTHING',
    ),
    remove: raw.query<unknown, { id: string }>('DELETE FROM events WHERE id = $id'),
    toWebhooks: raw.query<unknown, { id: string; type: string; since: number }>(`
      INSERT INTO deliveries (event_id, target, since, next_at)
      SELECT $id, id, $since, $since FROM webhooks
      WHERE status = 'active' AND (types = '[]' OR EXISTS (SELECT 1 FROM json_each(types) WHERE value = $type))
      ORDER BY created_at, id`),
    toAmqp: raw.query<unknown, { id: string; since: number }>(
      "INSERT INTO deliveries (event_id, target, since, next_at) VALUES ($id, 'amqp', $since, $since)",
    ),
    subscribed: raw.query<{ types: string }, []>("SELECT types FROM webhooks WHERE status = 'active'"),
  }
}
