import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openUsersStore } from '../../../db/users/store.ts'
import { eventually, PROMPT } from '../../../tests/support/eventually.ts'
import type { UsersStore } from '../../users/store.ts'
import { systemClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { Problem } from '../problem.ts'
import { type BatchSender, type Notice, Outbox } from './outbox.ts'

const directory = mkdtempSync(join(tmpdir(), 'ch202-outbox-'))
afterAll(() => rmSync(directory, { recursive: true }))

let count = 0
let store: UsersStore
let outbox: Outbox
/** The notices that the target received, in order: `subject:number`. */
let received: string[]
/** Handles a notice as the target; throws to refuse it. */
let target: (notice: Notice) => Promise<void> | void

const nameOf = ({ subject, payload }: Notice) => `${subject}:${payload.number}`
const newOutbox = (batch?: BatchSender) =>
  new Outbox({
    ...(batch ? { batch } : {}),
    target: 'auth',
    store,
    clock: systemClock,
    log: silentLog,
    async send(notice) {
      await target(notice)
      received.push(nameOf(notice))
    },
  })

beforeEach(async () => {
  store = await openUsersStore({ dataDir: join(directory, String(count++)) })
  received = []
  target = () => undefined
  outbox = newOutbox()
})
afterEach(async () => {
  await outbox.stop()
  await store.close()
})

const write = (subject: string, number: number) =>
  store.addNotice({ target: 'auth', kind: 'changed', subject, payload: { number } })
const writeAll = (subjects: string[], numbers = [1]) =>
  Promise.all(subjects.flatMap((subject) => numbers.map((number) => write(subject, number))))
const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)
const countOf = async (name: string) => (await store.waitingNotices(name)).count
/** Waits until so many notices are pending: a notice is acknowledged a moment after it was received. */
const pending = (count: number) => eventually(async () => (await countOf('auth')) === count)
const nonePending = () => pending(0)
const refuse = () => {
  throw new Problem('validation_failed')
}
const down = () => {
  throw new Problem('auth_unavailable')
}

describe('a pending notice', () => {
  test('is delivered, whether written before or after the start, in order per subject, and then deleted', async () => {
    await writeAll(['a', 'b', 'c'], [1, 2, 3])
    target = () => Bun.sleep(Math.random() * 5)
    outbox.start()
    await nonePending()
    await writeAll(['a', 'b', 'c'], [4, 5])
    outbox.wake()
    await nonePending()
    for (const subject of ['a', 'b', 'c'])
      expect(received.filter((name) => name.startsWith(subject))).toEqual([1, 2, 3, 4, 5].map((n) => `${subject}:${n}`))
  })

  test('of another target stays pending', async () => {
    await store.addNotice({ target: 'modules', kind: 'deleted', subject: 'a', payload: { number: 1 } })
    await write('a', 2)
    outbox.start()
    await eventually(async () => (await countOf('auth')) === 0)
    expect(received).toEqual(['a:2'])
    expect(await store.hasNotice('modules', 'a')).toBe(true)
  })

  test('is delivered beside those about other subjects, never beside another one about its own', async () => {
    await writeAll(numbered('s', 40), [1, 2])
    let maximum = 0
    const current: string[] = []
    target = async ({ subject }) => {
      expect(current).not.toContain(subject)
      current.push(subject)
      maximum = Math.max(maximum, current.length)
      await Bun.sleep(2)
      current.splice(current.indexOf(subject), 1)
    }
    outbox.start()
    await nonePending()
    expect(received).toHaveLength(80)
    expect(maximum).toBe(16)
  })

  test('is delivered after a restart', async () => {
    await writeAll(['a', 'b'], [1, 2])
    target = down
    outbox.start()
    await Bun.sleep(30)
    await outbox.stop()
    expect([received, await countOf('auth')]).toEqual([[], 4])
    target = () => undefined
    outbox = newOutbox()
    outbox.start()
    await nonePending()
    expect(received.toSorted()).toEqual(['a:1', 'a:2', 'b:1', 'b:2'])
  })
})

describe('a target that does not accept a notice', () => {
  test.each([
    ['is down', down],
    ['fails in another way', () => Promise.reject(new Error('reset'))],
    ['refuses', refuse],
  ])('%s: every notice is delivered afterwards, in order', async (_, failure) => {
    await writeAll(numbered('s', 30), [1, 2])
    let tries = 0
    target = () => {
      tries++
      return failure()
    }
    outbox.start()
    await eventually(() => tries > 40)
    expect(received).toEqual([])
    target = () => undefined
    await nonePending()
    expect(received).toHaveLength(60)
    for (const subject of numbered('s', 30))
      expect(received.indexOf(`${subject}:1`)).toBeLessThan(received.indexOf(`${subject}:2`))
  })

  test('refuses the second of three notices: delivery continues with the second', async () => {
    await writeAll(['a'], [1, 2, 3])
    let refusals = 0
    target = ({ payload }) => (payload.number === 2 && ++refusals < 3 ? refuse() : undefined)
    outbox.start()
    await nonePending()
    expect(received).toEqual(['a:1', 'a:2', 'a:3'])
  })

  test.each([
    [300, 'refused', refuse],
    // Many more of these would look like a target that is down.
    [10, 'not answered', down],
  ])('%d subjects at the head that are %s do not hold up the others', async (bad, _, failure) => {
    await writeAll(numbered('bad', bad), [1, 2])
    await writeAll(numbered('good', 20))
    target = ({ subject }) => (subject.startsWith('bad') ? failure() : undefined)
    outbox.start()
    await eventually(() => received.length === 20)
    expect(received.toSorted()).toEqual(
      numbered('good', 20)
        .map((name) => `${name}:1`)
        .toSorted(),
    )
    await pending(2 * bad)

    // A notice that is written later is delivered at once, too.
    await write('late', 1)
    await outbox.waitForDelivery('late', 2000)
    expect(received).toContain('late:1')
  })

  test('gets a refused notice again at growing intervals', async () => {
    await writeAll(numbered('bad', 50))
    let tries = 0
    target = () => {
      tries++
      return refuse()
    }
    outbox.start()
    await Bun.sleep(400)
    // At 0, 50, 150 and 350 ms. A wake for other notices does not bring a retry forward.
    for (let i = 0; i < 20; i++) outbox.wake()
    await Bun.sleep(20)
    expect(tries).toBeGreaterThan(100)
    expect(tries).toBeLessThanOrEqual(250)
  })
})

describe('a batch', () => {
  /** The notices of each call, in order. */
  let calls: string[][]
  const batchSender = (send: (notices: Notice[]) => Promise<void> | void = () => undefined): BatchSender => ({
    accepts: ({ kind }) => kind === 'changed',
    async send(notices) {
      await send(notices)
      calls.push(notices.map(nameOf))
      received.push(...notices.map(nameOf))
    },
  })
  beforeEach(() => {
    calls = []
  })

  test('has one notice per subject; the next notices follow in order', async () => {
    await writeAll(numbered('s', 300), [1, 2, 3])
    await store.addNotice({ target: 'auth', kind: 'deleted', subject: 's7', payload: { number: 4 } })
    outbox = newOutbox(batchSender(() => Bun.sleep(1)))
    outbox.start()
    await nonePending()
    expect(received).toHaveLength(901)
    expect(calls.length).toBeLessThan(20)
    for (const call of calls) {
      const subjects = call.map((name) => name.split(':')[0])
      expect(new Set(subjects).size).toBe(subjects.length)
    }
    expect(calls.flat()).toHaveLength(900)
    expect(calls.flat()).not.toContain('s7:4')
    for (const subject of numbered('s', 300))
      expect(received.filter((name) => name.startsWith(`${subject}:`))).toEqual(
        (subject === 's7' ? [1, 2, 3, 4] : [1, 2, 3]).map((n) => `${subject}:${n}`),
      )
  })

  test('is not acknowledged before the target has accepted it', async () => {
    await writeAll(numbered('s', 20))
    const gate = Promise.withResolvers<void>()
    outbox = newOutbox(batchSender(() => gate.promise))
    outbox.start()
    const delivery = outbox.waitForDelivery('s3', 5000)
    await Bun.sleep(30)
    expect(await countOf('auth')).toBe(20)
    gate.resolve()
    await delivery
    expect(await countOf('auth')).toBe(0)
  })

  test('that fails is sent one by one: a refused notice holds up no other, and none is lost', async () => {
    await writeAll([...numbered('good', 100), 'bad'])
    const hasBad = (notices: Notice[]) => notices.some(({ subject }) => subject === 'bad')
    outbox = newOutbox(batchSender((notices) => (hasBad(notices) ? refuse() : undefined)))
    target = (notice) => (hasBad([notice]) ? refuse() : undefined)
    outbox.start()
    await eventually(() => received.length === 100)
    await pending(1)
    target = () => undefined
    expect(await outbox.drain(3000)).toBe(true)
    expect(received.at(-1)).toBe('bad:1')
  })

  test('is sent when the target is back', async () => {
    await writeAll(numbered('s', 100), [1, 2])
    let tries = 0
    let failing = true
    outbox = newOutbox(batchSender(() => (failing ? down() : undefined)))
    target = () => {
      tries++
      if (failing) down()
    }
    outbox.start()
    await eventually(() => tries > 40)
    expect([received, await countOf('auth')]).toEqual([[], 200])
    failing = false
    await nonePending()
    expect(received).toHaveLength(200)
    for (const subject of numbered('s', 100))
      expect(received.indexOf(`${subject}:1`)).toBeLessThan(received.indexOf(`${subject}:2`))
  })

  test('does not hold up a notice that a caller waits for', async () => {
    for (let n = 0; n < 4; n++) await writeAll(numbered(`s${n}-`, 1000))
    await writeAll(['late'], [1, 2])
    outbox = newOutbox(batchSender(() => Bun.sleep(20)))
    outbox.start()
    await outbox.waitForDelivery('late', 5000)
    expect(received.filter((name) => name.startsWith('late'))).toEqual(['late:1', 'late:2'])
    expect(received.length).toBeLessThan(2000)
    expect(await countOf('auth')).toBeGreaterThan(2000)
    await nonePending()
  })
})

describe('waiting', () => {
  test('waitForDelivery resolves when no notice about the subject is pending', async () => {
    await outbox.waitForDelivery('nobody', 5000)
    await writeAll(['slow', 'fast'], [1, 2])
    const gate = Promise.withResolvers<void>()
    target = ({ subject }) => (subject === 'slow' ? gate.promise : undefined)
    outbox.start()
    await outbox.waitForDelivery('fast', 5000)
    expect(received).toEqual(['fast:1', 'fast:2'])
    const slow = outbox.waitForDelivery('slow', 5000)
    gate.resolve()
    await slow
    expect(await store.hasNotice('auth', 'slow')).toBe(false)
  })

  test('waitForDelivery stops waiting after its patience, and the notice is delivered later', async () => {
    await write('a', 1)
    target = down
    outbox.start()
    const began = performance.now()
    await outbox.waitForDelivery('a', 100)
    expect(performance.now() - began).toBeWithin(95, PROMPT)
    expect(await store.hasNotice('auth', 'a')).toBe(true)
    target = () => undefined
    await nonePending()
  })

  test('drain reports whether everything was delivered; refused notices do not count', async () => {
    await writeAll(['a', 'b'])
    target = ({ subject }) => (subject === 'a' ? refuse() : undefined)
    outbox.start()
    expect(await outbox.drain(3000)).toBe(true)
    expect([received, await countOf('auth')]).toEqual([['b:1'], 1])
    target = down
    await write('c', 1)
    expect(await outbox.drain(100)).toBe(false)
    target = () => undefined
    expect(await outbox.drain(3000)).toBe(true)
    expect(received.toSorted()).toEqual(['a:1', 'b:1', 'c:1'])
  })

  test('drain retries at once what is in backoff', async () => {
    await write('a', 1)
    target = refuse
    outbox.start()
    // By now the next retry is a second or more away.
    await Bun.sleep(800)
    target = () => undefined
    const began = performance.now()
    expect(await outbox.drain(3000)).toBe(true)
    await nonePending()
    expect(performance.now() - began).toBeLessThan(900)
  })
})
