import { expect, test } from 'bun:test'
import type { Clock } from '../clock.ts'
import { FeedPublisher, type Poll, unknownLeasesUntil } from './publisher.ts'
import { FEED_LEASE } from './subscriber.ts'

const EPOCH = 'this'

/** Followers whose time stands still until it is moved. */
function at(servedBefore = false) {
  const time = { now: 1_000_000 }
  const clock: Clock = { now: () => time.now, monotonic: () => time.now }
  const followers = new FeedPublisher(clock, unknownLeasesUntil(clock, servedBefore))
  const poll = (after: number, fields: Partial<Poll> = {}) =>
    followers.answer({ follower: 'one', after, epoch: EPOCH, ...fields }, EPOCH, async (from, upTo) => ({
      epoch: EPOCH,
      from,
      seq: upTo,
      complete: true,
    }))
  return { followers, poll, time }
}

/** Whether it has come about by now, give or take the loops that look now and then. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), Bun.sleep(60).then(() => false)])
}

test('who changed something waits for the acknowledgement of each, or the end of its lease', async () => {
  const { followers, poll, time } = at()
  await poll(0, { epoch: '' })
  await poll(0, { epoch: '', follower: 'other' })
  const known = followers.knowUpTo(5)
  expect(await settled(known)).toBe(false)
  // Told, and not acknowledged yet.
  expect(await poll(0)).toMatchObject({ from: 0, seq: 5 })
  expect(await settled(known)).toBe(false)
  const held = poll(5)
  expect(await settled(known)).toBe(false)
  time.now += FEED_LEASE
  expect(await settled(known)).toBe(true)
  await held
  expect(await settled(followers.knowUpTo(5))).toBe(true)
})

test.each([
  ['of another database', 3, 'that', 4],
  ['from ahead of this one', 9, EPOCH, 4],
  ['that begins', 0, '', 4],
  ['that begins where nothing has changed yet', 0, '', 0],
])('a poll %s starts over, and is not held', async (_, after, epoch, last) => {
  const { followers, poll } = at()
  followers.advance(last)
  const polled = poll(after, { epoch })
  // A poll that is held waits for a timer of its own, which is later than this one.
  await Bun.sleep(1)
  expect(Bun.peek.status(polled)).toBe('fulfilled')
  expect(await polled).toMatchObject({ from: 0, seq: last })
})

test('followers of the run before are waited for by their leases', async () => {
  const { followers, time } = at(true)
  const known = followers.knowUpTo(1)
  expect(await settled(known)).toBe(false)
  time.now += FEED_LEASE
  expect(await settled(known)).toBe(true)
})

test('a follower that comes back after long is not forgotten while its poll is held', async () => {
  const { followers, poll, time } = at()
  followers.advance(1)
  await poll(0)
  time.now += 100_000
  const held = poll(1)
  followers.prune()
  await held
  expect(await settled(followers.knowUpTo(2))).toBe(false)
  time.now += 100_000
  followers.prune()
  expect(followers.isEmpty).toBe(true)
})
