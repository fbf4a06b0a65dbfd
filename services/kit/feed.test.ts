import { expect, test } from 'bun:test'
import type { EventType } from './events.ts'
import { FeedFollower, type FeedPage } from './feed.ts'
import { FEED_LEASE } from './following.ts'
import { silentLog } from './log.ts'

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
  const page = (): FeedPage => {
    polls++
    if (!wanted) throw new Error('Auth is away')
    const rest = { issuer: 'i', audience: 'a', keys: [], revoked: [] }
    return { epoch: 'this', seq, complete: true, wanted, ...rest }
  }
  const validate = () => Promise.reject(new Error('Auth is away'))
  const source = { poll: async () => page(), validate }
  const follower = new FeedFollower({ name: 'one', source, clock, log: silentLog, maxLag: 1000 })
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
