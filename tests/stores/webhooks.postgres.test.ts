import { afterAll, beforeAll, expect, test } from 'bun:test'
import { SQL } from 'bun'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore, Webhook } from '../../services/auth/store/index.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import { newDatabaseConfig, sharedPostgres } from '../support/postgres/shared.ts'
import { event, id, NOW } from './auth-suite.ts'

// Events and webhooks of several nodes that share a database: each node is a store of its own.

let nodes: AuthStore[] = []
let sql: SQL
const webhookOf = (): Webhook => ({
  id: id(),
  url: 'https://example.org',
  description: null,
  types: [],
  sealedSecret: new Uint8Array(8),
  status: 'active',
  createdAt: NOW,
})
const first = webhookOf()
const eventOf = (): Event => ({ id: id(), type: 'user.updated', at: NOW, userId: id(), data: {} })
const eachNode = <Result>(work: (store: AuthStore, node: number) => Promise<Result>) => Promise.all(nodes.map(work))
const countRows = async (table: string) => Number((await sql.unsafe(`SELECT count(*) AS n FROM auth.${table}`))[0].n)

beforeAll(async () => {
  const [{ adminUrl }, config] = [await sharedPostgres(), await newDatabaseConfig()]
  sql = new SQL({ url: adminUrl(config.databaseUrl), max: 1 })
  const open = () => openAuthStore(config)
  const store = await open()
  // A node reads at its start which types have a subscriber.
  await store.addWebhook(first, 99, event())
  nodes = [store, await open(), await open()]
})
afterAll(async () => {
  for (const store of nodes) await store.close()
  await sql?.close()
})

test('events that several nodes are sent at once are stored once', async () => {
  const events = Array.from({ length: 20 }, eventOf)
  await eachNode((store, node) => store.addEvents(node ? events.toReversed() : events, NOW))
  expect([await countRows('events'), await countRows('deliveries')]).toEqual([20, 20])
  await nodes[0]?.giveUpDeliveries(first.id, NOW + 1, NOW)
})

test('an event is removed with its last delivery when several nodes remove them at once', async () => {
  await eachNode((store) => store.forgetDeliveries({ delivered: NOW + 1, dead: NOW + 1 }))
  const webhooks = [webhookOf(), webhookOf()]
  for (const webhook of webhooks) await nodes[0]?.addWebhook(webhook, 99, event())
  await nodes[0]?.addEvents(Array.from({ length: 50 }, eventOf), NOW)
  expect([await countRows('events'), await countRows('deliveries')]).toEqual([50, 150])
  await nodes[0]?.giveUpDeliveries(first.id, NOW + 1, NOW)
  await Promise.all([
    nodes[0]?.forgetDeliveries({ delivered: 0, dead: NOW + 1 }),
    ...webhooks.map((webhook, index) => nodes[index + 1]?.removeWebhook(webhook.id, NOW, event())),
  ])
  expect([await countRows('events'), await countRows('deliveries')]).toEqual([0, 0])
})

test('the number of webhooks is limited when several nodes add them at once', async () => {
  const results = await eachNode((store) => Promise.all([1, 2, 3].map(() => store.addWebhook(webhookOf(), 4, event()))))
  const numbers = results.flat().filter((seq) => seq !== null)
  expect([numbers.length, new Set(numbers).size, await countRows('webhooks')]).toEqual([3, 3, 4])
})

test('events that one node adds while another removes or disables a webhook leave nothing pending', async () => {
  const [adding, ending] = nodes
  if (!adding || !ending) throw new Error('There are no nodes')
  const { rows } = await adding.listDeliveries({}, { size: 9, page: 1 })
  expect(rows).toEqual([])
  for (const webhook of await adding.webhooks()) {
    const add = () => adding.addEvents([eventOf(), eventOf()], NOW)
    const end =
      webhook.id === first.id
        ? ending.setWebhookStatus(webhook.id, 'disabled', NOW, event())
        : ending.removeWebhook(webhook.id, NOW, event())
    await Promise.all([add(), end, add(), add(), add(), add()])
    const pending = await adding.listDeliveries({ target: webhook.id, status: 'pending' }, { size: 99, page: 1 })
    expect(pending.rows).toEqual([])
  }
})

test('a replay on one node and the end of an attempt on another: the delivery is due again, or delivered', async () => {
  const [sending, replaying] = nodes
  if (!sending || !replaying) throw new Error('There are no nodes')
  await sending.setWebhookStatus(first.id, 'active', NOW, event())
  for (let round = 0; round < 10; round++) {
    await sending.addEvents([eventOf()], NOW)
    const [delivery] = await sending.oldestDeliveries(first.id, 1)
    if (!delivery) throw new Error('There is no delivery')
    const [, replayed] = await Promise.all([
      sending.finishDelivery(delivery, 'dead', { status: 500, error: 'status' }, NOW),
      replaying.replayDeliveries({ seq: delivery.seq }, NOW, () => event()),
    ])
    expect(replayed).toBe(1)
    const due = await sending.deliveriesDue(first.id, NOW, NOW, 9)
    expect(due.map(({ seq, since, tries }) => [seq, since, tries])).toEqual([[delivery.seq, NOW + 1, 0]])
    await sending.finishDelivery({ seq: delivery.seq, since: NOW + 1 }, 'delivered', { status: 200, error: null }, NOW)
  }
})

test('a node without a lease writes events whose types another node has just subscribed to, and no others', async () => {
  const [other, behind] = nodes
  if (!other || !behind) throw new Error('There are no nodes')
  for (const webhook of await other.webhooks()) await other.removeWebhook(webhook.id, NOW, event())
  await behind.reloadSubscribedTypes(Number.MAX_SAFE_INTEGER)
  await other.addWebhook({ ...webhookOf(), types: ['user.updated'] }, 9, event())
  const [before, updated, created] = [eventOf(), eventOf(), { ...eventOf(), type: 'user.created' as const }]
  await behind.addEvents([before], NOW)
  behind.trustSubscribedTypes(() => false)
  await behind.addEvents([updated, created], NOW)
  const { rows } = await other.listDeliveries({}, { size: 9, page: 1 })
  expect(rows.map((delivery) => delivery.event.id)).toEqual([updated.id])
  expect(await countRows('events')).toBe(1)
})
