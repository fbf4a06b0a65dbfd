import { expect, test } from 'bun:test'
import { eventually } from '../../../tests/support/eventually.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import { silentLog } from '../log.ts'
import { NodeSubscription } from './node-subscription.ts'
import { StoredSubscribers } from './stored-subscribers.ts'
import { FEED_LEASE } from './subscriber.ts'

/** A node whose database a test stops and whose clock a test moves. */
function newNode() {
  const time = { now: 1_000_000 }
  const clock = { now: () => time.now, monotonic: () => time.now }
  const database = {
    last: 0,
    isAway: false,
    isReadOnly: false,
    delay: 0,
    acks: [] as number[],
    kept: Promise.resolve(),
  }
  const unavailable = () => new DatabaseUnavailable('The database is away', 'TEST')
  const store = {
    async acknowledge(name: string, acked: number) {
      if (database.isAway || database.isReadOnly) throw unavailable()
      time.now += database.delay
      await database.kept
      database.acks.push(acked)
      return { name, renewal: database.acks.length }
    },
    subscribers: async () => ({ lastSeq: database.last, rows: [] }),
    removeSubscriber: async () => undefined,
  }
  const subscription = new NodeSubscription({
    name: 'this',
    subscribers: new StoredSubscribers(store, clock),
    async catchUp() {
      if (database.isAway) throw unavailable()
      return database.last
    },
    clock,
    log: silentLog,
  })
  return { subscription, database, time }
}

test('a node has a lease once its acknowledgement was written and what is new was read after that', async () => {
  const { database, subscription, time } = newNode()
  expect(subscription.hasLease).toBe(false)
  await subscription.catchUp()
  expect(database.acks).toEqual([0])
  expect(subscription.hasLease).toBe(true)
  time.now += FEED_LEASE
  expect(subscription.hasLease).toBe(false)
})

test('the lease counts from when the acknowledgement was sent', async () => {
  const { database, subscription, time } = newNode()
  database.delay = 400
  await subscription.catchUp()
  time.now += FEED_LEASE - 401
  expect(subscription.hasLease).toBe(true)
  time.now += 1
  expect(subscription.hasLease).toBe(false)
})

test('a change is acknowledged at once, and without changes the lease is renewed', async () => {
  const { database, subscription, time } = newNode()
  subscription.start()
  await eventually(() => database.acks.length > 0)
  database.last = 3
  await eventually(() => database.acks.at(-1) === 3)
  const before = database.acks.length
  time.now += 299
  await Bun.sleep(60)
  expect(database.acks).toHaveLength(before)
  time.now += 1
  await eventually(() => database.acks.length > before)
  await subscription.stop()
})

test.each(['isAway', 'isReadOnly'] as const)(
  'while the database %s, a node gets no lease, and asks it rarely',
  async (fault) => {
    const { database, subscription, time } = newNode()
    database[fault] = true
    await expect(subscription.catchUp()).rejects.toThrow(DatabaseUnavailable)
    expect(subscription.hasLease).toBe(false)
    expect(subscription.staleness).toBe(Number.POSITIVE_INFINITY)
    database[fault] = false
    await expect(subscription.catchUp()).rejects.toThrow(DatabaseUnavailable)
    time.now += 100
    await subscription.catchUp()
    expect(subscription.hasLease).toBe(true)
  },
)

/** Makes the database keep each acknowledgement. @returns a function that lets it answer all of them, and the next ones */
function keepAcknowledgements(node: ReturnType<typeof newNode>): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  node.database.kept = promise
  return resolve
}

test('while the database is silent, the first question waits for it, and the next ones do not', async () => {
  const node = newNode()
  keepAcknowledgements(node)
  node.subscription.start()
  const refused: string[] = []
  const ask = (name: string) => node.subscription.catchUp().catch(() => void refused.push(name))
  const first = ask('first')
  await Bun.sleep(20)
  expect(refused).toEqual([])
  node.time.now += 1000
  await Promise.all([first, ask('next')])
  expect(refused).toEqual(['next', 'first'])
})

test('a question whose time passed while the process stood still waits for the answer', async () => {
  const node = newNode()
  const answer = keepAcknowledgements(node)
  node.subscription.start()
  const question = node.subscription.catchUp()
  await Bun.sleep(10)
  Bun.sleepSync(1300)
  setTimeout(answer, 50)
  await question
  expect(node.subscription.hasLease).toBe(true)
  await node.subscription.stop()
})
