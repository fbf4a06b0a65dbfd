import { expect, test } from 'bun:test'
import { silentLog } from '../log.ts'
import type { EventType } from '../schema/events.ts'
import { type RevocationPage, RevocationSubscriber } from './revocation-subscriber.ts'
import { FEED_LEASE, FeedSubscriber } from './subscriber.ts'

test('every event is wanted until auth has said which are, and again when it is silent for long', async () => {
  const said: EventType[][] = [['user.created'], ['module.enabled', 'module.disabled'], []]
  let wanted: EventType[] | undefined
  let seq = 0
  let now = 1_000_000
  const clock = { now: () => now, monotonic: () => now }
  let polls = 0
  /** What a poll told has been taken when the next but one is sent. */
  const heard = async () => {
    const before = polls
    while (polls < before + 2) await Bun.sleep(5)
  }
  const next = async () => {
    wanted = said.shift()
    seq++
    await heard()
  }
  const page = (): RevocationPage => {
    polls++
    if (!wanted) throw new Error('Auth is away')
    const rest = { issuer: 'i', audience: 'a', keys: [], revoked: [] }
    return { epoch: 'this', seq, complete: true, wanted, ...rest }
  }
  const validate = () => Promise.reject(new Error('Auth is away'))
  const source = { poll: async () => page(), validate }
  const follower = new RevocationSubscriber({ name: 'one', source, clock, log: silentLog, maxLag: 1000 })
  const types: EventType[] = ['user.created', 'module.enabled', 'user.deleted']
  const wants = () => types.map((type) => follower.wants(type))
  expect(wants()).toEqual([true, true, true])
  await follower.start(20)
  expect(wants()).toEqual([true, true, true])
  await next()
  expect(wants()).toEqual([true, false, false])
  await next()
  expect(wants()).toEqual([false, true, false])
  await next()
  expect(wants()).toEqual([false, false, false])
  // Who lets auth know what it wants is answered without waiting for one that has lost its lease.
  wanted = undefined
  await heard()
  expect(wants()).toEqual([false, false, false])
  now += FEED_LEASE
  expect(wants()).toEqual([true, true, true])
  await follower.stop()
})

test('S2: a feed that is not there yet is no fault while the services start; one that is lost is', async () => {
  let [now, polls, isUp] = [1_000_000, 0, false]
  const lines: string[] = []
  const log = {
    ...silentLog,
    warn: ({ event }: { event: string }) => lines.push(event),
    info: () => lines.push('info'),
  }
  const start = (comingUp?: number) => {
    const following = new FeedSubscriber({
      poll: async () => {
        polls++
        if (!isUp) throw new Error('It is away')
        return { epoch: 'this', seq: 0, complete: true }
      },
      take: () => undefined,
      clock: { now: () => now, monotonic: () => now },
      log,
      target: 'auth',
      comingUp,
    })
    void following.start(0)
    return following
  }
  const polled = async () => {
    const before = polls
    while (polls < before + 2) await Bun.sleep(5)
  }

  let following = start()
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
  await following.stop()

  // One that does not come is said, once.
  lines.length = 0
  isUp = false
  following = start()
  await polled()
  now += 10_000
  await polled()
  await polled()
  expect(lines).toEqual(['feed.lost'])
  await following.stop()

  // What does not start with the others says so at once.
  lines.length = 0
  following = start(0)
  await polled()
  expect(lines).toEqual(['feed.lost'])
  await following.stop()
})
