import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { AUTH_ITSELF, auditEvent } from '../../services/auth/audit/record.ts'
import { webhookSecretName } from '../../services/auth/keys/sealing.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { Deliverer, type DeliveryOutcome } from '../../services/auth/webhooks/deliverer.ts'
import { EventDispatcher } from '../../services/auth/webhooks/dispatcher.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { silentLog } from '../../services/kit/log.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { Receiver, type TestNode, testNode } from './cluster.ts'

// Several nodes in one process, each with a store and deliverers of its own, on one database.

interface Node extends TestNode<AuthStore> {
  opened: AuthStore
  start(): Promise<void>
  stop(): Promise<void>
}

const sealing = new Sealing(['a secret of the nodes'], systemRandom)
const parts = { clock: systemClock, log: silentLog }

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []
let receiver: Receiver
let server: ReturnType<typeof Bun.serve>
/** Answers as the receiver of webhooks. */
let answer: () => Promise<number>

async function openNode(amqp: boolean, deliverers: (node: Node) => { start(): unknown; stop(): Promise<void> }) {
  const opened = await openAuthStore(config, { amqp })
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened } as Node
  const deliverer = deliverers(node)
  await node.nodes.start()
  await deliverer.start()
  node.stop = () => deliverer.stop()
  all.push(node)
  return node
}

/** A node that dispatches to the webhooks over HTTP. */
const webhookNode = () =>
  openNode(
    false,
    ({ nodes, store }) =>
      new EventDispatcher({
        ...parts,
        store,
        nodes,
        sealing,
        random: systemRandom,
        config: { amqpUrl: undefined, amqpExchange: 'ch202', hosts: ['127.0.0.1'] },
        feed: { waitForAcks: async () => undefined },
        version: '0.0.0',
      }),
  )

/** A node that delivers to the message broker, in the order of the feed. */
const brokerNode = () =>
  openNode(true, (node) => {
    const { nodes, running, store } = node
    const deliverer = new Deliverer({
      ...parts,
      target: 'amqp',
      store,
      nodes,
      atOnce: 32,
      inOrder: true,
      async send({ event }): Promise<DeliveryOutcome> {
        await running()
        await Bun.sleep(2 + Math.random() * 10)
        receiver.receive(event.userId, event.data.number as number)
        await running()
        return { delivered: true, status: null }
      },
    })
    // The dispatcher looks for what other nodes stored.
    const looking = setInterval(() => deliverer.wake(), 50)
    return {
      start: () => deliverer.start(),
      async stop() {
        clearInterval(looking)
        await deliverer.stop()
      },
    }
  })

const write = (node: Node, userId: string) =>
  node.opened.addEvents(
    [{ id: systemRandom.id(), type: 'user.updated', at: Date.now(), userId, data: { number: receiver.next(userId) } }],
    // The clocks of the nodes differ.
    Date.now() + all.indexOf(node) * 700,
  )

async function addWebhook(): Promise<string> {
  const id = systemRandom.id()
  const store = await openAuthStore(config)
  await store.addWebhook(
    {
      id,
      url: `http://127.0.0.1:${server.port}/`,
      description: null,
      types: [],
      sealedSecret: sealing.seal(new Uint8Array(32), webhookSecretName(id)),
      status: 'active',
      createdAt: Date.now(),
    },
    9,
    auditEvent({ clock: systemClock, random: systemRandom }, AUTH_ITSELF, 'webhook.created', null, { id }),
  )
  await store.close()
  return id
}

const nonePending = () =>
  eventually(async () => {
    const store = all.at(-1)?.opened
    const waiting = await Promise.all((['webhook', 'amqp'] as const).map((to) => store?.waitingDeliveries(to)))
    return waiting.every((one) => one?.count === 0)
  })

beforeEach(async () => {
  config = await newDatabaseConfig()
  receiver = new Receiver()
  answer = async () => 204
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { data } = (await request.json()) as { data: { user_id: string; number: number } }
      const status = await answer()
      if (status === 204) receiver.receive(data.user_id, data.number)
      return new Response(null, { status })
    },
  })
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map((node) => node.stop()))
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
  await server.stop(true)
})

const users = Array.from({ length: 8 }, (_, index) => `user ${index}`)

describe.each([
  ['a webhook', webhookNode],
  ['the message broker', brokerNode],
] as const)('the events that several nodes store for %s', (name, openOne) => {
  const open = async () => {
    if (name === 'a webhook') await addWebhook()
    for (let node = 0; node < 3; node++) await openOne()
  }

  test('arrive once, in order per user', async () => {
    await open()
    answer = async () => {
      await Bun.sleep(Math.random() * 5)
      return 204
    }
    await Promise.all(
      users.map(async (user, index) => {
        for (let round = 0; round < 12; round++) await write(all[(index + round) % 3] as Node, user)
      }),
    )
    await nonePending()
    expect({ ...receiver.faults(), count: receiver.count }).toEqual({
      missing: 0,
      disordered: 0,
      repeated: 0,
      count: 96,
    })
  })

  test('arrive, in order per user, while nodes are killed and frozen', async () => {
    await open()
    answer = async () => {
      await Bun.sleep(5 + Math.random() * 10)
      return 204
    }
    let isOver = false
    const running = () => all.filter((node) => !node.isFrozen())
    const writers = users.map(async (user) => {
      while (!isOver) {
        const [node] = running().toSorted(() => Math.random() - 0.5)
        if (node && receiver.pending < 100) await write(node, user)
        await Bun.sleep(20)
      }
    })
    const lease = `deliveries to ${name === 'a webhook' ? await onlyWebhook() : 'amqp'}`
    const repetitions: number[] = []
    for (const event of ['freeze', 'kill', 'freeze'] as const) {
      const holder = await eventually(() => running().find(({ nodes }) => nodes.holds(lease)))
      const before = receiver.faults().repeated
      holder.freeze()
      await eventually(() => running().some(({ nodes }) => nodes.holds(lease)))
      const count = receiver.count
      await eventually(() => receiver.count > count + 50)
      if (event === 'freeze') holder.thaw()
      else await openOne()
      await eventually(() => receiver.count > count + 100)
      repetitions.push(receiver.faults().repeated - before)
    }
    isOver = true
    await Promise.all(writers)
    await nonePending()
    const { repeated, ...faults } = receiver.faults()
    console.info(`${name}: ${receiver.count} deliveries, 3 nodes interrupted, sent twice: ${repetitions.join(' ')}`)
    expect(faults).toEqual({ missing: 0, disordered: 0 })
    // Those that were under way when their node died.
    expect(repeated).toBeLessThanOrEqual(3 * (name === 'a webhook' ? 4 : 32))
  }, 120_000)
})

async function onlyWebhook(): Promise<string> {
  const [webhook] = (await all[0]?.opened.webhooks()) ?? []
  return webhook?.id ?? ''
}

test('a webhook that one node adds is served when that node dies; one that it removes is not served by the others', async () => {
  const first = await webhookNode()
  const second = await webhookNode()
  await addWebhook()
  await eventually(async () => {
    const id = await onlyWebhook()
    return [first, second].some(({ nodes }) => nodes.holds(`deliveries to ${id}`))
  })
  const id = await onlyWebhook()
  const [holder, other] = first.nodes.holds(`deliveries to ${id}`) ? [first, second] : [second, first]
  holder.freeze()
  await eventually(() => other.nodes.holds(`deliveries to ${id}`))
  const event = auditEvent({ clock: systemClock, random: systemRandom }, AUTH_ITSELF, 'webhook.deleted', null, { id })
  await other.opened.removeWebhook(id, Date.now(), event)
  await eventually(() => !other.nodes.holds(`deliveries to ${id}`))
})

test('a failure of a node that lost the webhook does not postpone the delivery of the other', async () => {
  await addWebhook()
  await webhookNode()
  await webhookNode()
  const id = await onlyWebhook()
  const lease = `deliveries to ${id}`
  const holder = await eventually(() => all.find(({ nodes }) => nodes.holds(lease)))
  const other = all.find((node) => node !== holder) as Node
  const frozen = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  let attempts = 0
  answer = async () => {
    attempts++
    if (attempts === 1) {
      holder.freeze()
      frozen.resolve()
      return 500
    }
    await released.promise
    return 204
  }
  await other.opened.addEvents(
    [
      {
        id: systemRandom.id(),
        type: 'user.updated',
        at: Date.now(),
        userId: 'ana',
        data: { number: receiver.next('ana') },
      },
    ],
    Date.now(),
  )
  await frozen.promise
  await eventually(() => attempts === 2)
  holder.thaw()
  await eventually(() => holder.nodes.isSure())
  await Bun.sleep(300)
  const [delivery] = await other.opened.oldestDeliveries(id, 1)
  expect(delivery?.tries).toBe(0)
  released.resolve()
  await nonePending()
  expect(receiver.faults()).toEqual({ missing: 0, disordered: 0, repeated: 0 })
})
