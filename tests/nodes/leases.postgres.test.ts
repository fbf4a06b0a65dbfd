import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openUsersStore } from '../../db/users/store.ts'
import type { UsersStore } from '../../services/users/store.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { type TestNode, testNode } from './cluster.ts'

// The list of the nodes, and the work that one of them at a time does.

type Node = TestNode<UsersStore> & { opened: UsersStore }

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []

async function openNode(): Promise<Node> {
  const opened = await openUsersStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened }
  await node.nodes.start()
  all.push(node)
  return node
}

const holders = () => all.filter(({ nodes }) => nodes.holds('work')).map(({ name }) => name)

beforeEach(async () => {
  config = await newDatabaseConfig()
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
})

test('of nodes that claim work at once, one gets it; another one when the first stops', async () => {
  const [first, second] = [await openNode(), await openNode(), await openNode()]
  await Promise.all(all.map(({ nodes }) => nodes.claim('work')))
  // A node that could not renew its row in time, on a busy machine, claims it again.
  await eventually(() => holders().length > 0)
  expect(holders()).toHaveLength(1)
  const holder = all.find(({ nodes }) => nodes.holds('work')) ?? first
  await holder.nodes.stop()
  await eventually(() => holders().length === 1 && holders()[0] !== holder.name)
  expect(second).toBeDefined()
})

test('a node that gives work up leaves it to the others; one that claims other work gets that', async () => {
  const [first, second] = [await openNode(), await openNode()]
  await eventually(() => first.nodes.claim('work'))
  expect(await second.nodes.claim('work')).toBe(false)
  await eventually(() => second.nodes.claim('other work'))
  expect(second.nodes.holds('work')).toBe(false)
  await first.nodes.release('work')
  await eventually(() => second.nodes.holds('work'))
  expect(first.nodes.holds('work')).toBe(false)
})

test('the work of a node that freezes is taken over; when it returns, it does not have it for a moment', async () => {
  const [first, second] = [await openNode(), await openNode()]
  await eventually(() => first.nodes.claim('work'))
  await second.nodes.claim('work')
  first.freeze()
  const frozenAt = performance.now()
  let both = 0
  await eventually(() => {
    if (holders().length > 1) both++
    return second.nodes.holds('work')
  })
  const takenAfter = performance.now() - frozenAt
  first.thaw()
  for (let moment = 0; moment < 50; moment++) {
    if (first.nodes.holds('work')) both++
    await Bun.sleep(10)
  }
  // It is a node again, with another name, and would take the work over in its turn.
  await eventually(async () => first.nodes.isSure() && (await second.opened.renewNode(Date.now())).others.length === 1)
  expect([both, first.nodes.holds('work'), second.nodes.holds('work')]).toEqual([0, false, true])
  expect(takenAfter).toBeGreaterThan(1500)
  console.info(`taken over after ${Math.round(takenAfter)} ms`)
})

test('a node that froze, and does not know it yet, is refused by the transaction that changes something', async () => {
  const [first, second] = [await openNode(), await openNode()]
  await eventually(() => first.nodes.claim('work'))
  await second.nodes.claim('work')
  first.freeze()
  await eventually(() => second.nodes.holds('work'))
  expect(await first.opened.claimLeases(['work'])).toEqual([])
  expect((await first.opened.renewNode(Date.now())).isRegistered).toBe(false)
})

test('nodes that were all cut off from the database hold each other for alive when they return', async () => {
  const [first, second] = [await openNode(), await openNode()]
  await eventually(() => first.nodes.claim('work'))
  await second.nodes.claim('work')
  const observer = await openUsersStore(config)
  const namesOf = async () => (await observer.renewNode(Date.now())).others.map(({ name }) => name).toSorted()
  const names = await namesOf()
  const renewals = async () =>
    (await observer.renewNode(Date.now())).others.reduce((sum, other) => sum + other.renewals, 0)
  first.freeze()
  const before = await renewals()
  // The second node sees that the first one stands still, before it is cut off as well.
  await eventually(async () => (await renewals()) >= before + 2)
  second.freeze()
  await Bun.sleep(3000)
  expect([first.nodes.holds('work'), second.nodes.holds('work')]).toEqual([false, false])
  second.thaw()
  await eventually(() => second.nodes.isSure())
  first.thaw()
  await eventually(() => first.nodes.isSure())
  await Bun.sleep(600)
  await eventually(() => first.nodes.holds('work'))
  expect([second.nodes.holds('work'), await namesOf()]).toEqual([false, names])
  await observer.close()
})

test('two processes with the same name are two nodes', async () => {
  config.nodeName = 'ch202'
  const [first, second] = [await openNode(), await openNode()]
  const rows = (await first.opened.renewNode(Date.now())).others
  expect(rows.map(({ name }) => name.split('/')[0])).toEqual(['ch202'])
  expect((await second.opened.renewNode(Date.now())).others[0]?.name).not.toBe(rows[0]?.name)
})
