import { expect, test } from 'bun:test'
import { eventually } from '../../../tests/support/eventually.ts'
import type { Clock } from '../clock.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import type { Poll } from './publisher.ts'
import { SharedFeedPublisher } from './shared-publisher.ts'
import { type StoredSubscriber, StoredSubscribers, type SubscriberStore } from './stored-subscribers.ts'
import { FEED_LEASE } from './subscriber.ts'

const EPOCH = 'this'

/** A feed in the memory of the test, and nodes that publish it. Clocks stand still until a test moves them. */
function newFeed() {
  const rows = new Map<string, StoredSubscriber>()
  const steps: string[] = []
  const feed = { last: 0, renewals: 0, fails: false }
  const store: SubscriberStore = {
    async acknowledge(name, acked) {
      if (feed.fails) throw new Error('The database is away')
      const renewal = ++feed.renewals
      rows.set(name, { name, acked, renewal })
      steps.push(`${name} acknowledges ${acked}`)
      return { name, renewal }
    },
    async subscribers() {
      if (feed.fails) throw new Error('The database is away')
      return { lastSeq: feed.last, rows: [...rows.values()] }
    },
    async removeSubscriber(name, renewal) {
      if (rows.get(name)?.renewal === renewal) rows.delete(name)
    },
  }
  /** @param startedAt what the monotonic clock of the node shows: no two machines have the same */
  const newNode = (name: string, startedAt: number) => {
    const time = { now: startedAt }
    const clock: Clock = { now: () => time.now, monotonic: () => time.now }
    const subscribers = new StoredSubscribers(store, clock)
    const publisher = new SharedFeedPublisher({
      clock,
      subscribers,
      nameOf: (subscriber) => subscriber,
      concerns: (other) => other !== name,
      readLastSeq: async () => feed.last,
    })
    const poll = (after: number, fields: Partial<Poll> = {}) =>
      publisher.answer({ subscriber: 'one', after, epoch: EPOCH, ...fields }, EPOCH, async (from) => {
        steps.push(`${name} reads the page after ${from}`)
        return { epoch: EPOCH, from, seq: feed.last, complete: true }
      })
    return { publisher, subscribers, poll, time, waitForAcks: () => publisher.waitForAcks(++feed.last) }
  }
  return { rows, steps, feed, store, nodes: [newNode('first', 1_000_000), newNode('second', 5)] as const }
}

/** Whether a promise resolves soon: some loops check only every 20 ms. */
async function resolvesSoon(promise: Promise<unknown>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), Bun.sleep(80).then(() => false)])
}

test('a writer on one node waits for a subscriber that polls another', async () => {
  const { nodes } = newFeed()
  const [first, second] = nodes
  await second.poll(0, { epoch: '' })
  const acks = first.waitForAcks()
  expect(await resolvesSoon(acks)).toBe(false)
  // Received, and not acknowledged yet.
  second.publisher.advance(1)
  expect(await second.poll(0)).toMatchObject({ from: 0, seq: 1 })
  expect(await resolvesSoon(acks)).toBe(false)
  const heldPoll = second.poll(1)
  await acks
  await heldPoll
})

test('a poll is written before its page is read', async () => {
  const { nodes, steps } = newFeed()
  await nodes[1].poll(0, { epoch: '' })
  await nodes[0].poll(0)
  expect(steps).toEqual([
    'one acknowledges 0',
    'second reads the page after 0',
    'one acknowledges 0',
    'first reads the page after 0',
  ])
})

test('a subscriber that has received more than a node has read continues there, and one ahead of all starts over', async () => {
  const { feed, nodes, rows } = newFeed()
  feed.last = 7
  expect(await nodes[0].poll(7)).toMatchObject({ from: 7 })
  expect(rows.get('one')).toMatchObject({ acked: 7 })
  expect(await nodes[1].poll(8)).toMatchObject({ from: 0 })
  expect(rows.get('one')).toMatchObject({ acked: 0 })
})

test('a writer waits for the lease of a subscriber that has stopped, by its own clock, and the next one does not', async () => {
  const { nodes } = newFeed()
  const [first, second] = nodes
  await second.poll(0, { epoch: '' })
  const acks = first.waitForAcks()
  expect(await resolvesSoon(acks)).toBe(false)
  // The clock of another node counts for nothing.
  second.time.now += 10 * FEED_LEASE
  first.time.now += FEED_LEASE - 1
  expect(await resolvesSoon(acks)).toBe(false)
  first.time.now += 1
  await acks
  await first.waitForAcks()
  // The other node has not seen yet that the subscriber stands still.
  expect(await resolvesSoon(second.waitForAcks())).toBe(false)
})

test('a subscriber that polls again counts again', async () => {
  const { nodes } = newFeed()
  const [first, second] = nodes
  await second.poll(0, { epoch: '' })
  await first.subscribers.read()
  first.time.now += FEED_LEASE
  await second.poll(0)
  expect(await resolvesSoon(first.waitForAcks())).toBe(false)
})

test('a subscriber that has not polled for ten seconds is removed, and one that has polled meanwhile is not', async () => {
  const { nodes, rows } = newFeed()
  const [first, second] = nodes
  await second.poll(0, { epoch: '' })
  await second.poll(0, { epoch: '', subscriber: 'other' })
  await first.subscribers.read()
  await second.poll(0, { subscriber: 'other' })
  first.time.now += 10_000
  await first.subscribers.read()
  expect([...rows.keys()]).toEqual(['other'])
})

test('a node does not wait for itself: it applies what it publishes', async () => {
  const { nodes, store } = newFeed()
  await store.acknowledge('first', 0)
  await nodes[0].waitForAcks()
  expect(await resolvesSoon(nodes[1].waitForAcks())).toBe(false)
})

test('without the database a writer waits until every lease has ended, and cannot say that all know of the change', async () => {
  const { feed, nodes } = newFeed()
  feed.fails = true
  const acks = nodes[0].waitForAcks()
  acks.catch(() => undefined)
  expect(await resolvesSoon(acks)).toBe(false)
  nodes[0].time.now += FEED_LEASE
  await expect(acks).rejects.toThrow(DatabaseUnavailable)
})

test('a writer whose process stood still while it waited asks the database once more', async () => {
  const { nodes, store } = newFeed()
  await store.acknowledge('one', 0)
  const acks = nodes[0].waitForAcks()
  nodes[0].time.now += 10 * FEED_LEASE
  await acks
})

test('rows of a server that lacks the change do not count: it is an old primary', async () => {
  const { nodes, store } = newFeed()
  let lastSeq = 0
  store.subscribers = async () => ({ lastSeq, rows: [{ name: 'one', acked: 0, renewal: 1 }] })
  await nodes[0].subscribers.read()
  nodes[0].time.now += FEED_LEASE
  const acks = nodes[0].waitForAcks()
  expect(await resolvesSoon(acks)).toBe(false)
  // The subscriber has not polled the new primary either.
  lastSeq = 1
  await acks
})

test('a read that had begun before the change does not count', async () => {
  const { nodes, store } = newFeed()
  const results: PromiseWithResolvers<StoredSubscriber[]>[] = []
  store.subscribers = async () => {
    const result = Promise.withResolvers<StoredSubscriber[]>()
    results.push(result)
    return { lastSeq: 1, rows: await result.promise }
  }
  const before = nodes[0].subscribers.read()
  const acks = nodes[0].waitForAcks()
  results[0]?.resolve([])
  await before
  expect(await resolvesSoon(acks)).toBe(false)
  results[1]?.resolve([{ name: 'one', acked: 0, renewal: 1 }])
  await eventually(() => results.length > 2)
  expect(await resolvesSoon(acks)).toBe(false)
  results[2]?.resolve([{ name: 'one', acked: 1, renewal: 2 }])
  await acks
})
