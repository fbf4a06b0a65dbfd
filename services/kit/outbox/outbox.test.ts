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
/** What the target was told, in order: `subject:number`. */
let told: string[]
/** What the target makes of a notice; throws to refuse it. */
let target: (notice: Notice) => Promise<void> | void

const nameOf = ({ subject, payload }: Notice) => `${subject}:${payload.number}`
const newOutbox = (together?: BatchSender) =>
  new Outbox({
    ...(together ? { together } : {}),
    target: 'auth',
    store,
    clock: systemClock,
    log: silentLog,
    async send(notice) {
      await target(notice)
      told.push(nameOf(notice))
    },
  })

beforeEach(() => {
  store = openUsersStore(join(directory, `${count++}.sqlite`))
  told = []
  target = () => undefined
  outbox = newOutbox()
})
afterEach(async () => {
  await outbox.stop()
  store.close()
})

const write = (subject: string, number: number) =>
  store.addNotice({ target: 'auth', kind: 'changed', subject, payload: { number } })
const writeAll = (subjects: string[], numbers = [1]) =>
  Promise.all(subjects.flatMap((subject) => numbers.map((number) => write(subject, number))))
const named = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)
/** What was told is acknowledged a moment later. */
const left = (count: number) => eventually(async () => (await store.countNotices()) === count)
const nothingLeft = () => left(0)
const refuse = () => {
  throw new Problem('validation_failed')
}
const down = () => {
  throw new Problem('auth_unavailable')
}

describe('what is waiting', () => {
  test('is told before and after the start, in order per subject, and then forgotten', async () => {
    await writeAll(['a', 'b', 'c'], [1, 2, 3])
    target = () => Bun.sleep(Math.random() * 5)
    outbox.start()
    await nothingLeft()
    await writeAll(['a', 'b', 'c'], [4, 5])
    outbox.poke()
    await nothingLeft()
    for (const subject of ['a', 'b', 'c'])
      expect(told.filter((name) => name.startsWith(subject))).toEqual([1, 2, 3, 4, 5].map((n) => `${subject}:${n}`))
  })

  test('of another target stays', async () => {
    await store.addNotice({ target: 'modules', kind: 'deleted', subject: 'a', payload: { number: 1 } })
    await write('a', 2)
    outbox.start()
    await eventually(async () => (await store.countNotices()) === 1)
    expect(told).toEqual(['a:2'])
    expect(await store.hasNotice('modules', 'a')).toBe(true)
  })

  test('several subjects are told at once, two notices of one subject never', async () => {
    await writeAll(named('s', 40), [1, 2])
    let most = 0
    const underWay: string[] = []
    target = async ({ subject }) => {
      expect(underWay).not.toContain(subject)
      underWay.push(subject)
      most = Math.max(most, underWay.length)
      await Bun.sleep(2)
      underWay.splice(underWay.indexOf(subject), 1)
    }
    outbox.start()
    await nothingLeft()
    expect(told).toHaveLength(80)
    expect(most).toBe(16)
  })

  test('is told by the next run where this one ended', async () => {
    await writeAll(['a', 'b'], [1, 2])
    target = down
    outbox.start()
    await Bun.sleep(30)
    await outbox.stop()
    expect([told, await store.countNotices()]).toEqual([[], 4])
    target = () => undefined
    outbox = newOutbox()
    outbox.start()
    await nothingLeft()
    expect(told.toSorted()).toEqual(['a:1', 'a:2', 'b:1', 'b:2'])
  })
})

describe('a target that does not take it', () => {
  test.each([
    ['is down', down],
    ['fails in another way', () => Promise.reject(new Error('reset'))],
    ['refuses', refuse],
  ])('%s: all of it is told when that is over, in order', async (_, failure) => {
    await writeAll(named('s', 30), [1, 2])
    let tries = 0
    target = () => {
      tries++
      return failure()
    }
    outbox.start()
    await eventually(() => tries > 40)
    expect(told).toEqual([])
    target = () => undefined
    await nothingLeft()
    expect(told).toHaveLength(60)
    for (const subject of named('s', 30))
      expect(told.indexOf(`${subject}:1`)).toBeLessThan(told.indexOf(`${subject}:2`))
  })

  test('a notice that was told in part is told again from there', async () => {
    await writeAll(['a'], [1, 2, 3])
    let refusals = 0
    target = ({ payload }) => (payload.number === 2 && ++refusals < 3 ? refuse() : undefined)
    outbox.start()
    await nothingLeft()
    expect(told).toEqual(['a:1', 'a:2', 'a:3'])
  })

  test.each([
    [300, 'refused', refuse],
    // More than a few of these can't be told from a target that is down.
    [10, 'not answered', down],
  ])('%d subjects that are %s at the head do not hold up the others', async (bad, _, failure) => {
    await writeAll(named('bad', bad), [1, 2])
    await writeAll(named('good', 20))
    target = ({ subject }) => (subject.startsWith('bad') ? failure() : undefined)
    outbox.start()
    await eventually(() => told.length === 20)
    expect(told.toSorted()).toEqual(
      named('good', 20)
        .map((name) => `${name}:1`)
        .toSorted(),
    )
    await left(2 * bad)

    // What comes later is told at once, too.
    await write('late', 1)
    await outbox.told('late', 2000)
    expect(told).toContain('late:1')
  })

  test('is asked ever more seldom while it refuses', async () => {
    await writeAll(named('bad', 50))
    let tries = 0
    target = () => {
      tries++
      return refuse()
    }
    outbox.start()
    await Bun.sleep(400)
    // 0, 50, 150 and 350 ms after the first time; a poke for other news does not bring it forward.
    for (let i = 0; i < 20; i++) outbox.poke()
    await Bun.sleep(20)
    expect(tries).toBeGreaterThan(100)
    expect(tries).toBeLessThanOrEqual(250)
  })
})

describe('what can be told together', () => {
  /** The notices of each call, in order. */
  let calls: string[][]
  const together = (send: (notices: Notice[]) => Promise<void> | void = () => undefined): BatchSender => ({
    takes: ({ kind }) => kind === 'changed',
    async send(notices) {
      await send(notices)
      calls.push(notices.map(nameOf))
      told.push(...notices.map(nameOf))
    },
  })
  beforeEach(() => {
    calls = []
  })

  test('is, and in order per subject; of two about one subject the second comes after', async () => {
    await writeAll(named('s', 300), [1, 2, 3])
    await store.addNotice({ target: 'auth', kind: 'deleted', subject: 's7', payload: { number: 4 } })
    outbox = newOutbox(together(() => Bun.sleep(1)))
    outbox.start()
    await nothingLeft()
    expect(told).toHaveLength(901)
    expect(calls.length).toBeLessThan(20)
    for (const call of calls) {
      const subjects = call.map((name) => name.split(':')[0])
      expect(new Set(subjects).size).toBe(subjects.length)
    }
    expect(calls.flat()).toHaveLength(900)
    expect(calls.flat()).not.toContain('s7:4')
    for (const subject of named('s', 300))
      expect(told.filter((name) => name.startsWith(`${subject}:`))).toEqual(
        (subject === 's7' ? [1, 2, 3, 4] : [1, 2, 3]).map((n) => `${subject}:${n}`),
      )
  })

  test('is not acknowledged before it was taken', async () => {
    await writeAll(named('s', 20))
    const gate = Promise.withResolvers<void>()
    outbox = newOutbox(together(() => gate.promise))
    outbox.start()
    const heard = outbox.told('s3', 5000)
    await Bun.sleep(30)
    expect(await store.countNotices()).toBe(20)
    gate.resolve()
    await heard
    expect(await store.countNotices()).toBe(0)
  })

  test('is told apart when it fails: one that is refused holds up no other, and none is lost', async () => {
    await writeAll([...named('good', 100), 'bad'])
    const bad = (notices: Notice[]) => notices.some(({ subject }) => subject === 'bad')
    outbox = newOutbox(together((notices) => (bad(notices) ? refuse() : undefined)))
    target = (notice) => (bad([notice]) ? refuse() : undefined)
    outbox.start()
    await eventually(() => told.length === 100)
    await left(1)
    target = () => undefined
    expect(await outbox.drained(3000)).toBe(true)
    expect(told.at(-1)).toBe('bad:1')
  })

  test('is told when the target is back', async () => {
    await writeAll(named('s', 100), [1, 2])
    let tries = 0
    let failing = true
    outbox = newOutbox(together(() => (failing ? down() : undefined)))
    target = () => {
      tries++
      if (failing) down()
    }
    outbox.start()
    await eventually(() => tries > 40)
    expect([told, await store.countNotices()]).toEqual([[], 200])
    failing = false
    await nothingLeft()
    expect(told).toHaveLength(200)
    for (const subject of named('s', 100))
      expect(told.indexOf(`${subject}:1`)).toBeLessThan(told.indexOf(`${subject}:2`))
  })

  test('does not hold up what someone waits for', async () => {
    for (let n = 0; n < 4; n++) await writeAll(named(`s${n}-`, 1000))
    await writeAll(['late'], [1, 2])
    outbox = newOutbox(together(() => Bun.sleep(20)))
    outbox.start()
    await outbox.told('late', 5000)
    expect(told.filter((name) => name.startsWith('late'))).toEqual(['late:1', 'late:2'])
    expect(told.length).toBeLessThan(2000)
    expect(await store.countNotices()).toBeGreaterThan(2000)
    await nothingLeft()
  })
})

describe('waiting for it', () => {
  test('told resolves once nothing about the subject is waiting', async () => {
    await outbox.told('nobody', 5000)
    await writeAll(['slow', 'quick'], [1, 2])
    const gate = Promise.withResolvers<void>()
    target = ({ subject }) => (subject === 'slow' ? gate.promise : undefined)
    outbox.start()
    await outbox.told('quick', 5000)
    expect(told).toEqual(['quick:1', 'quick:2'])
    const slow = outbox.told('slow', 5000)
    gate.resolve()
    await slow
    expect(await store.hasNotice('auth', 'slow')).toBe(false)
  })

  test('told gives up after its patience, and the notice is told later', async () => {
    await write('a', 1)
    target = down
    outbox.start()
    const began = performance.now()
    await outbox.told('a', 100)
    expect(performance.now() - began).toBeWithin(95, PROMPT)
    expect(await store.hasNotice('auth', 'a')).toBe(true)
    target = () => undefined
    await nothingLeft()
  })

  test('drained says whether all was told; what is refused does not count', async () => {
    await writeAll(['a', 'b'])
    target = ({ subject }) => (subject === 'a' ? refuse() : undefined)
    outbox.start()
    expect(await outbox.drained(3000)).toBe(true)
    expect([told, await store.countNotices()]).toEqual([['b:1'], 1])
    target = down
    await write('c', 1)
    expect(await outbox.drained(100)).toBe(false)
    target = () => undefined
    expect(await outbox.drained(3000)).toBe(true)
    expect(told.toSorted()).toEqual(['a:1', 'b:1', 'c:1'])
  })

  test('drained brings forward what was set aside', async () => {
    await write('a', 1)
    target = refuse
    outbox.start()
    // By now it is tried again after a second or more.
    await Bun.sleep(800)
    target = () => undefined
    const began = performance.now()
    expect(await outbox.drained(3000)).toBe(true)
    await nothingLeft()
    expect(performance.now() - began).toBeLessThan(900)
  })
})
