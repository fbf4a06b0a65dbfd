import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { openUsersStore } from '../../db/users/store.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { silentLog } from '../../services/kit/log.ts'
import { Outbox } from '../../services/kit/outbox/outbox.ts'
import type { UsersStore } from '../../services/users/store.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { Receiver, type TestNode, testNode } from './cluster.ts'

// Several nodes in one process, each with a store and an outbox of its own, on one database.

type Node = TestNode<UsersStore> & { outbox: Outbox; opened: UsersStore }

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []
let receiver: Receiver
/** Handles a notice as the target, before it is received. */
let target: (node: Node, subject: string) => Promise<void>

async function openNode(): Promise<Node> {
  const opened = await openUsersStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened } as Node
  node.outbox = new Outbox({
    target: 'auth',
    store: node.store,
    nodes: node.nodes,
    clock: systemClock,
    log: silentLog,
    async send({ payload, subject }) {
      await node.running()
      await target(node, subject)
      receiver.receive(subject, payload.number as number)
      // The target has the notice, but a node that is frozen does not know it.
      await node.running()
    },
  })
  await node.nodes.start()
  node.outbox.start()
  all.push(node)
  return node
}

/** Writes the next notice about a subject, as the store does in the transaction of a change. */
async function write(node: Node, subject: string): Promise<void> {
  await node.opened.addNotice({ target: 'auth', kind: 'audit', subject, payload: { number: receiver.next(subject) } })
  node.outbox.wake()
}

const nonePending = () => eventually(async () => (await all[0]?.opened.waitingNotices('auth'))?.count === 0)

beforeEach(async () => {
  config = await newDatabaseConfig()
  receiver = new Receiver()
  target = async () => undefined
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map(({ outbox }) => outbox.stop()))
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
})

describe('notices of several nodes', () => {
  test('are each sent once, by the node that wrote them, in order per subject', async () => {
    const nodes = [await openNode(), await openNode(), await openNode()]
    const subjects = Array.from({ length: 12 }, (_, index) => `user ${index}`)
    const senders = new Set<string>()
    target = async ({ name }) => {
      senders.add(name)
      await Bun.sleep(Math.random() * 4)
    }
    // The changes of a user are made one after another, each by any node.
    await Promise.all(
      subjects.map(async (subject, index) => {
        for (let round = 0; round < 20; round++) await write(nodes[(index + round) % 3] as Node, subject)
      }),
    )
    await nonePending()
    expect({ ...receiver.faults(), count: receiver.count }).toEqual({
      missing: 0,
      disordered: 0,
      repeated: 0,
      count: 240,
    })
    expect(senders.size).toBe(3)
  })

  test('a request waits until the other node has delivered the older notice of the user, and its own after it', async () => {
    const [first, second] = [await openNode(), await openNode()]
    const released = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    target = async (node) => {
      if (node.name !== first.name) return
      begun.resolve()
      await released.promise
    }
    await write(first, 'ana')
    await begun.promise
    await write(second, 'ana')
    await write(second, 'eva')
    await second.outbox.waitForDelivery('eva', 60_000)
    // What is about another user was delivered meanwhile.
    expect(receiver.count).toBe(1)
    await second.outbox.waitForDelivery('ana', 100)
    expect(receiver.count).toBe(1)
    released.resolve()
    await second.outbox.waitForDelivery('ana', 60_000)
    expect({ ...receiver.faults(), count: receiver.count }).toEqual({
      missing: 0,
      disordered: 0,
      repeated: 0,
      count: 3,
    })
  })

  test('a node that stops leaves its notices to the others at once', async () => {
    const [first, second] = [await openNode(), await openNode()]
    target = async (node) => {
      if (node.name === first.name) throw new Error('This node cannot reach the target')
    }
    await write(first, 'ana')
    await write(second, 'ana')
    await first.outbox.stop()
    await first.nodes.stop()
    await nonePending()
    expect(receiver.faults()).toEqual({ missing: 0, disordered: 0, repeated: 0 })
  })
})

/** How often a notice may be sent twice: those that the target had when its sender died. */
const AT_ONCE = 16
/** Notices that wait at most: more would measure how fast they are read. */
const MOST_PENDING = 300

test('nodes are killed and frozen in the middle: no notice is missing or out of order', async () => {
  const subjects = Array.from({ length: 24 }, (_, index) => `user ${index}`)
  await Promise.all([openNode(), openNode(), openNode()])
  target = () => Bun.sleep(5 + Math.random() * 20)
  let isOver = false
  const running = () => all.filter((node) => !node.isFrozen())
  const writers = subjects.map(async (subject) => {
    while (!isOver) {
      const [node] = running().toSorted(() => Math.random() - 0.5)
      if (node && receiver.pending < MOST_PENDING) await write(node, subject)
      await Bun.sleep(20)
    }
  })
  let interrupted = 0
  const repetitions: number[] = []
  const overtakes = async (before: number) => {
    // The others continue, and the notices of the node that is gone are delivered.
    await eventually(async () => receiver.count > before + 200)
  }
  for (const event of ['freeze', 'kill', 'freeze', 'kill', 'freeze'] as const) {
    const node = running()[0] as Node
    const repeatedBefore = receiver.faults().repeated
    node.freeze()
    interrupted++
    await overtakes(receiver.count)
    await eventually(
      async () => (await running()[0]?.opened.renewNode(Date.now()))?.others.length === running().length - 1,
    )
    if (event === 'freeze') node.thaw()
    else await openNode()
    await overtakes(receiver.count)
    repetitions.push(receiver.faults().repeated - repeatedBefore)
  }
  isOver = true
  await Promise.all(writers)
  await nonePending()
  const { repeated, ...faults } = receiver.faults()
  console.info(`${receiver.count} notices, ${interrupted} nodes interrupted, sent twice: ${repetitions.join(' ')}`)
  expect(faults).toEqual({ missing: 0, disordered: 0 })
  expect(repeated).toBeLessThanOrEqual(interrupted * AT_ONCE * 2)
}, 120_000)
