import { expect, test } from 'bun:test'
import type { Clock } from '../clock.ts'
import { FeedPublisher, type Poll, unknownLeasesUntil } from './publisher.ts'
import { FEED_LEASE } from './subscriber.ts'

const EPOCH = 'this'

/** A publisher whose clock stands still until a test moves it. */
function newPublisher(servedBefore = false) {
  const time = { now: 1_000_000 }
  const clock: Clock = { now: () => time.now, monotonic: () => time.now }
  const publisher = new FeedPublisher(clock, unknownLeasesUntil(clock, servedBefore))
  const poll = (after: number, fields: Partial<Poll> = {}) =>
    publisher.answer({ subscriber: 'one', after, epoch: EPOCH, ...fields }, EPOCH, async (from, upTo) => ({
      epoch: EPOCH,
      from,
      seq: upTo,
      complete: true,
    }))
  return { publisher, poll, time }
}

/** Whether a promise resolves soon: some loops check only every 20 ms. */
async function resolvesSoon(promise: Promise<unknown>): Promise<boolean> {
  return await Promise.race([promise.then(() => true), Bun.sleep(60).then(() => false)])
}

test('a writer waits until each subscriber has acknowledged the change or lost its lease', async () => {
  const { publisher, poll, time } = newPublisher()
  await poll(0, { epoch: '' })
  await poll(0, { epoch: '', subscriber: 'other' })
  const acks = publisher.waitForAcks(5)
  expect(await resolvesSoon(acks)).toBe(false)
  // Received, and not acknowledged yet.
  expect(await poll(0)).toMatchObject({ from: 0, seq: 5 })
  expect(await resolvesSoon(acks)).toBe(false)
  const heldPoll = poll(5)
  expect(await resolvesSoon(acks)).toBe(false)
  time.now += FEED_LEASE
  expect(await resolvesSoon(acks)).toBe(true)
  await heldPoll
  expect(await resolvesSoon(publisher.waitForAcks(5))).toBe(true)
})

test.each([
  ['from another database', 3, 'that', 4],
  ['from ahead of this database', 9, EPOCH, 4],
  ['of a new subscriber', 0, '', 4],
  ['of a new subscriber, before any change', 0, '', 0],
])('a poll %s starts over and is not held', async (_, after, epoch, last) => {
  const { publisher, poll } = newPublisher()
  publisher.advance(last)
  const polled = poll(after, { epoch })
  // A poll that is held waits for a timer of its own, which is later than this one.
  await Bun.sleep(1)
  expect(Bun.peek.status(polled)).toBe('fulfilled')
  expect(await polled).toMatchObject({ from: 0, seq: last })
})

test('a writer waits for the leases of subscribers that the previous process had', async () => {
  const { publisher, time } = newPublisher(true)
  const acks = publisher.waitForAcks(1)
  expect(await resolvesSoon(acks)).toBe(false)
  time.now += FEED_LEASE
  expect(await resolvesSoon(acks)).toBe(true)
})

test('a subscriber that comes back after a long time is not forgotten while its poll is held', async () => {
  const { publisher, poll, time } = newPublisher()
  publisher.advance(1)
  await poll(0)
  time.now += 100_000
  const heldPoll = poll(1)
  publisher.prune()
  await heldPoll
  expect(await resolvesSoon(publisher.waitForAcks(2))).toBe(false)
  time.now += 100_000
  publisher.prune()
  expect(publisher.isEmpty).toBe(true)
})
