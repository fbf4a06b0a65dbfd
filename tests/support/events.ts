import { type Event, type EventMessage, messageOf } from '../../services/kit/outbox/events.ts'
import { eventually } from './eventually.ts'
import { as, call } from './http.ts'
import { scrape } from './metrics.ts'
import { databaseRows } from './postgres/database-rows.ts'
import type { System } from './system.ts'

/** Adds a webhook for all events: auth stores them from then on, even if nothing listens at `url`. */
export async function addWebhook(system: System, url = 'http://127.0.0.1:9/'): Promise<void> {
  const body = { url }
  const { status, text } = await call(system.url.auth, 'POST /api/v1/admin/webhooks', { headers: as.operator, body })
  if (status !== 201) throw new Error(`webhook: ${status} ${text}`)
}

/** The deliveries of events in the database, in the order in which they were written. */
export async function outgoingEvents(system: System): Promise<EventMessage[]> {
  const rows = await databaseRows<Omit<Event, 'data'> & { data: string }>(
    system,
    'auth',
    `SELECT events.id, type, at, user_id AS "userId", data FROM deliveries JOIN events ON events.id = event_id
     ORDER BY deliveries.seq`,
  )
  return rows.map((row) => messageOf({ ...row, data: JSON.parse(row.data) }))
}

/** Waits until the outboxes of users and modules are empty, for as long as they become shorter. */
export async function outboxesEmpty(system: System): Promise<void> {
  for (const service of ['users', 'modules'] as const) {
    let pending = Number.POSITIVE_INFINITY
    const becomesShorter = async () => {
      const sum = (await scrape(system.url[service])).sum('ch202_outbox_waiting', { service })
      const before = pending
      // NaN: the database of a node does not answer.
      if (!Number.isNaN(sum)) pending = sum
      return pending < before
    }
    while (pending > 0) await eventually(becomesShorter)
  }
}
