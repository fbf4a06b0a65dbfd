import type { AuthStore } from '../../../services/auth/store/index.ts'
import type { Event } from '../../../services/kit/outbox/events.ts'
import { EVENT_TYPES, type EventType } from '../../../services/kit/schema/events.ts'
import { type Body, type Engine, type Transaction, text } from '../../engine.ts'
import { groupedBodies } from '../../grouped-bodies.ts'
import type { Facts } from '../feed/facts.ts'
import type { Feed } from '../feed/revocations.ts'
import { removeUndelivered } from './delivery-removal.ts'

export type Events = Awaited<ReturnType<typeof eventStore>>

/** The name of the fact with the event types that were last announced in the feed. */
const PUBLISHED_TYPES = 'events_wanted'

/**
 * Events for webhooks and the message broker. An event is written only when one of them subscribes to its type, with a
 * delivery for each subscriber.
 * @param amqp whether every event also goes to a message broker
 */
export async function eventStore(engine: Engine, { facts, feed, amqp }: { facts: Facts; feed: Feed; amqp: boolean }) {
  /**
   * The types with a subscriber: in memory, because every write of an event asks for them. `seq` is the number of the
   * feed's entry that announced them.
   */
  let subscribed: { types: ReadonlySet<EventType>; seq: number } = { types: new Set(), seq: 0 }
  let areTypesCurrent = () => true
  /** Whether to write an event: also when another node may have subscribed to its type a moment ago. */
  const isSubscribed = (type: EventType) => subscribed.types.has(type) || !areTypesCurrent()
  const listeners: (() => void)[] = []
  const wakeAfterCommit = (tx: Transaction) => {
    for (const listener of listeners) tx.afterCommit(() => setImmediate(listener))
  }

  function* readTypes(tx: Transaction): Body<ReadonlySet<EventType>> {
    const lists = (yield* tx.all(STATEMENTS.subscriptions)).map(({ types }) => JSON.parse(types) as EventType[])
    const hasSubscriber = (type: EventType) => amqp || lists.some((list) => list.length === 0 || list.includes(type))
    return new Set(EVENT_TYPES.filter(hasSubscriber))
  }

  /** Announces the types that have a subscriber in the feed. @returns the number of the entry, to wait for its acks */
  function* publishTypes(tx: Transaction, now: number): Body<number> {
    const types = yield* readTypes(tx)
    yield* facts.writeFact(tx, PUBLISHED_TYPES, [...types].join(' '))
    const { seq } = yield* feed.writeRevocations(tx, [{ kind: 'events', subject: 'wanted', version: 0, until: now }])
    tx.afterCommit(() => {
      // Two commits may be reported in another order than that of the feed.
      if (seq > subscribed.seq) subscribed = { types, seq }
    })
    return seq
  }

  function* writeEvents(tx: Transaction, events: readonly Event[], now?: number): Body<void> {
    const ofTypes = events.filter(({ type }) => isSubscribed(type))
    if (ofTypes.length === 0) return
    const rows = ofTypes.map(({ id, type, userId, at, data }) => [id, type, userId, at, JSON.stringify(data)])
    const newIds = new Set((yield* tx.all(STATEMENTS.insert, { events: JSON.stringify(rows) })).map(({ id }) => id))
    // Deleted from the set, because the list may have an event twice.
    const newEvents = ofTypes.filter(({ id }) => newIds.delete(id))
    if (newEvents.length === 0) return
    const toDeliver = newEvents.map(({ id, type, at }) => [id, type, now ?? at])
    const deliveries = yield* tx.all(STATEMENTS.deliver, { events: JSON.stringify(toDeliver), amqp })
    const withDelivery = new Set(deliveries.map(({ eventId }) => eventId))
    // The last subscriber may have been removed since the types were read.
    const others = newEvents.filter(({ id }) => !withDelivery.has(id))
    yield* removeUndelivered(
      tx,
      others.map(({ id }) => id),
    )
    if (deliveries.length > 0) wakeAfterCommit(tx)
  }

  const add = groupedBodies(
    engine,
    (tx, { events, now }: { events: Event[]; now: number }) => writeEvents(tx, events, now),
    ({ events }) => events.map(({ id }) => id),
  )

  await engine.write(function* (tx) {
    const types = yield* readTypes(tx)
    tx.afterCommit(() => {
      subscribed = { types, seq: 0 }
    })
    // AMQP_URL was set or removed since the last start.
    const published = (yield* facts.readFact(tx, PUBLISHED_TYPES)) ?? ''
    if (published !== [...types].join(' ')) yield* publishTypes(tx, Date.now())
  })

  return {
    writeEvents,
    wakeAfterCommit,
    publishTypes,
    isSubscribed,
    subscribedTypes: () => subscribed.types,
    trustSubscribedTypes(areCurrent: () => boolean) {
      areTypesCurrent = areCurrent
    },
    async reloadSubscribedTypes(seq: number | null) {
      const types = await engine.read(readTypes)
      if (seq === null || seq > subscribed.seq) subscribed = { types, seq: seq ?? 0 }
    },
    addEvents: (events: Event[], now: number) => add({ events, now }),
    onDeliveries: (listener: () => void) => {
      listeners.push(listener)
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

const STATEMENTS = {
  /** Inserts events, each a list of its columns, and gives the ids of those that are new. */
  insert: text<{ id: string }>({
    sqlite: `
      INSERT INTO events (id, type, user_id, at, data)
      SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each($events) WHERE true ORDER BY key
      ON CONFLICT (id) DO NOTHING RETURNING id`,
    postgres: `
      INSERT INTO events (id, type, user_id, at, data)
      SELECT value->>0, value->>1, value->>2, CAST(value->>3 AS bigint), value->>4
      FROM jsonb_array_elements(CAST($events AS text)::jsonb) WITH ORDINALITY AS list (value, key) ORDER BY key
      ON CONFLICT (id) DO NOTHING RETURNING id`,
  }),
  /**
   * Adds the deliveries of events, each a list of its id, its type and when the deliveries begin. On PostgreSQL they are due
   * whatever the time is: the clock of the node that sends may be behind, and two events would be due in another order if
   * the clocks of those that wrote them differ.
   */
  deliver: text<{ eventId: string }>({
    sqlite: `
      INSERT INTO deliveries (event_id, target, since, next_at)
      SELECT event.value->>0, receiver.id, event.value->>2, event.value->>2
      FROM json_each($events) AS event CROSS JOIN (
        SELECT id, types, created_at FROM webhooks WHERE status = 'active'
        UNION ALL SELECT 'amqp', '[]', NULL WHERE $amqp = 1) AS receiver
      WHERE receiver.types = '[]'
        OR EXISTS (SELECT 1 FROM json_each(receiver.types) AS type WHERE type.value = event.value->>1)
      ORDER BY event.key, receiver.created_at NULLS LAST, receiver.id
      RETURNING event_id AS "eventId"`,
    postgres: `
      INSERT INTO deliveries (event_id, target, since, next_at)
      SELECT event.value->>0, receiver.id, CAST(event.value->>2 AS bigint), 0
      FROM jsonb_array_elements(CAST($events AS text)::jsonb) WITH ORDINALITY AS event (value, key) CROSS JOIN (
        SELECT id, types, created_at FROM webhooks WHERE status = 'active'
        UNION ALL SELECT 'amqp', '[]', NULL WHERE $amqp = 1) AS receiver
      WHERE receiver.types = '[]' OR receiver.types::jsonb @> (event.value->1)
      ORDER BY event.key, receiver.created_at NULLS LAST, receiver.id
      RETURNING event_id AS "eventId"`,
  }),
  subscriptions: text<{ types: string }>("SELECT types FROM webhooks WHERE status = 'active'"),
}
