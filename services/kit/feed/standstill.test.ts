import { afterEach, expect, test } from 'bun:test'
import { Standstill } from './standstill.ts'

let now = 1000
let standstill: Standstill
const start = () => {
  standstill = new Standstill(() => now)
  standstill.start()
  standstill.answered(standstill.begin())
}
afterEach(() => standstill.stop())

/** The process runs for this time. */
function run(ms: number): void {
  for (let end = now + ms; now < end; now += 100) expect(standstill.begin()).toBeNumber()
}

test('a process that runs on need not ask, however long it has no answer', () => {
  start()
  run(60_000)
  expect(standstill.mustAsk).toBe(false)
})

test('a process that stood still must ask until an attempt is answered that began afterwards', () => {
  start()
  const before = standstill.begin()
  now += 5000
  expect(standstill.mustAsk).toBe(true)
  standstill.answered(before)
  expect(standstill.mustAsk).toBe(true)
  standstill.answered(standstill.begin())
  expect(standstill.mustAsk).toBe(false)
})

test('an attempt that fails during a standstill says nothing; one after it does, and the process must ask on', () => {
  start()
  const attempt = standstill.begin()
  now += 5000
  expect(standstill.failed(attempt)).toBe(false)
  expect(standstill.failed(standstill.begin())).toBe(true)
  expect(standstill.mustAsk).toBe(true)
})

test('a process that was cut off before it stood still goes on as it did', () => {
  start()
  expect(standstill.failed(standstill.begin())).toBe(true)
  now += 5000
  expect(standstill.mustAsk).toBe(false)
  standstill.answered(standstill.begin())
  now += 5000
  expect(standstill.mustAsk).toBe(true)
})

test('a timer notices a standstill that no question meets', async () => {
  start()
  now += 5000
  const attempt = standstill.begin()
  now += 5000
  await Bun.sleep(250)
  // Time that passes after the timer has looked does not hide it.
  expect(standstill.failed(attempt)).toBe(false)
})
