import { expect, test } from 'bun:test'
import { silentLog } from '../log.ts'
import type { EventType } from '../schema/events.ts'
import { type RevocationPage, RevocationSubscriber } from './revocation-subscriber.ts'
import { FEED_LEASE, FeedSubscriber } from './subscriber.ts'

test('every type of event counts as subscribed until the first page of auth, and again after the lease', async () => {
  const pages: EventType[][] = [['user.created'], ['module.enabled', 'module.disabled'], []]
  let subscribedTypes: EventType[] | undefined
  let seq = 0
  let now = 1_000_000
  const clock = { now: () => now, monotonic: () => now }
  let polls = 0
  /** Waits until a page was applied: that is certain when the poll after the next one is sent. */
  const applied = async () => {
    const before = polls
    while (polls < before + 2) await Bun.sleep(5)
  }
  const nextPage = async () => {
    subscribedTypes = pages.shift()
    seq++
    await applied()
  }
  const page = (): RevocationPage => {
    polls++
    if (!subscribedTypes) throw new Error('Auth is down')
    const rest = { issuer: 'i', audience: 'a', keys: [], revoked: [] }
    return { epoch: 'this', seq, complete: true, wanted: subscribedTypes, ...rest }
  }
  const validate = () => Promise.reject(new Error('Auth is down'))
  const source = { poll: async () => page(), validate }
  const subscriber = new RevocationSubscriber({ name: 'one', source, clock, log: silentLog, maxLag: 1000 })
  const types: EventType[] = ['user.created', 'module.enabled', 'user.deleted']
  const subscribed = () => types.map((type) => subscriber.isSubscribed(type))
  expect(subscribed()).toEqual([true, true, true])
  await subscriber.start(20)
  expect(subscribed()).toEqual([true, true, true])
  await nextPage()
  expect(subscribed()).toEqual([true, false, false])
  await nextPage()
  expect(subscribed()).toEqual([false, true, false])
  await nextPage()
  expect(subscribed()).toEqual([false, false, false])
  // When a webhook subscribes to a type, auth does not wait for a subscriber that has lost its lease.
  subscribedTypes = undefined
  await applied()
  expect(subscribed()).toEqual([false, false, false])
  now += FEED_LEASE
  expect(subscribed()).toEqual([true, true, true])
  await subscriber.stop()
})

test('S2: the log has no line for a missing feed while the services start, and one for a lost feed', async () => {
  let [now, polls, isUp] = [1_000_000, 0, false]
  const lines: string[] = []
  const log = {
    ...silentLog,
    warn: ({ event }: { event: string }) => lines.push(event),
    info: () => lines.push('info'),
  }
  const start = (startupGrace?: number) => {
    const subscriber = new FeedSubscriber({
      poll: async () => {
        polls++
        if (!isUp) throw new Error('The publisher is down')
        return { epoch: 'this', seq: 0, complete: true }
      },
      apply: () => undefined,
      clock: { now: () => now, monotonic: () => now },
      log,
      target: 'auth',
      startupGrace,
    })
    void subscriber.start(0)
    return subscriber
  }
  const polled = async () => {
    const before = polls
    while (polls < before + 2) await Bun.sleep(5)
  }

  let subscriber = start()
  await polled()
  now += 9_000
  await polled()
  isUp = true
  await polled()
  expect(lines).toEqual([])
  isUp = false
  await polled()
  expect(lines).toEqual(['feed.lost'])
  isUp = true
  await polled()
  expect(lines).toEqual(['feed.lost', 'info'])
  await subscriber.stop()

  // A feed that does not come up is logged once.
  lines.length = 0
  isUp = false
  subscriber = start()
  await polled()
  now += 10_000
  await polled()
  await polled()
  expect(lines).toEqual(['feed.lost'])
  await subscriber.stop()

  // Without a startup grace it is logged at once.
  lines.length = 0
  subscriber = start(0)
  await polled()
  expect(lines).toEqual(['feed.lost'])
  await subscriber.stop()
})

test('a publisher whose answers take long is not silent, although its subscriber is out of date', async () => {
  let now = 1_000_000
  let isUp = true
  let polls = 0
  const page: RevocationPage = {
    epoch: 'this',
    seq: 0,
    complete: true,
    issuer: 'i',
    audience: 'a',
    keys: [],
    revoked: [],
    wanted: [],
  }
  const source = {
    poll: async () => {
      polls++
      await Bun.sleep(1)
      if (!isUp) throw new Error('Auth is down')
      now += 2000
      return page
    },
    validate: () => Promise.reject(new Error('Auth is down')),
  }
  const clock = { now: () => now, monotonic: () => now }
  const subscriber = new RevocationSubscriber({ name: 'one', source, clock, log: silentLog, maxLag: 30_000 })
  expect(subscriber.silence).toBe(Number.POSITIVE_INFINITY)
  await subscriber.start(60_000)
  expect([subscriber.silence, subscriber.staleness]).toEqual([0, 2000])
  isUp = false
  while (polls < 3) await Bun.sleep(5)
  now += 5000
  expect([subscriber.silence, subscriber.staleness]).toEqual([5000, 7000])
  await subscriber.stop()
})
