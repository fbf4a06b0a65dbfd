import type { AuthStore } from '../../services/auth/store/index.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import { EVENT_TYPES, type EventType } from '../../services/kit/schema/events.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { Facts } from './facts.ts'
import type { Feed } from './revocations.ts'

export type Events = ReturnType<typeof eventStore>

/** Which types were wanted when the followers of the feed were last told. */
const TOLD = 'events_wanted'

/**
 * What the outside is told of. An event is written only where someone wants its type, with a delivery for each who does.
 * @param amqp whether all of them go to a message broker too
 */
export function eventStore(sqlite: Sqlite, { facts, feed, amqp }: { facts: Facts; feed: Feed; amqp: boolean }) {
  const { raw } = sqlite
  const insert = raw.query(
    'INSERT INTO events (id, type, user_id, at, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const remove = raw.query('DELETE FROM events WHERE id = ?')
  const toWebhooks = raw.query(`
    INSERT INTO deliveries (event_id, target, since, next_at)
    SELECT ?1, id, ?3, ?3 FROM webhooks
    WHERE status = 'active' AND (types = '[]' OR EXISTS (SELECT 1 FROM json_each(types) WHERE value = ?2))
    ORDER BY created_at, id`)
  const toAmqp = raw.query("INSERT INTO deliveries (event_id, target, since, next_at) VALUES (?, 'amqp', ?, ?)")
  const subscribed = raw.query<{ types: string }, []>("SELECT types FROM webhooks WHERE status = 'active'")

  let wanted: ReadonlySet<EventType> = new Set()
  const listeners: (() => void)[] = []
  // A transaction runs and commits within one turn: what is called in the next one finds it written.
  const wake = () => {
    for (const heard of listeners) setImmediate(heard)
  }

  /** Reads anew who wants what. To be called within the transaction of a change of it, and where that failed. */
  const readWanted = () => {
    const rows = subscribed.all().map(({ types }) => JSON.parse(types) as EventType[])
    wanted = new Set(
      EVENT_TYPES.filter((type) => amqp || rows.some((types) => types.length === 0 || types.includes(type))),
    )
  }

  /** Gives the change its place in the feed, so that it can be waited for that everyone knows. */
  const tellWanted = (now: number): number => {
    readWanted()
    facts.writeFact(TOLD, [...wanted].join(' '))
    return feed.writeRevocations([{ kind: 'events', subject: 'wanted', version: 0, until: now }]).seq
  }

  const write = (events: Event[], now?: number) => {
    let written = 0
    for (const { id, type, userId, at, data } of events.filter((event) => wanted.has(event.type))) {
      if (insert.run(id, type, userId, at, JSON.stringify(data)).changes === 0) continue
      const since = now ?? at
      const count = toWebhooks.run(id, type, since).changes + (amqp ? toAmqp.run(id, since, since).changes : 0)
      // Who wanted it is gone since this commit began.
      if (count === 0) remove.run(id)
      written += count
    }
    if (written > 0) wake()
  }

  readWanted()
  // AMQP_URL came or went with this start.
  if ((facts.readFact(TOLD) ?? '') !== [...wanted].join(' ')) tellWanted(Date.now())

  return {
    /** To be called within the transaction of the change that they tell of. */
    writeEvents: (events: Event[]) => write(events),
    wake,
    readWanted,
    tellWanted,
    subscribedTypes: () => wanted,
    async addEvents(events: Event[], now: number) {
      await sqlite.write(() => write(events, now))
    },
    onDeliveries: (heard: () => void) => {
      listeners.push(heard)
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
