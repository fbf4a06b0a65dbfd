import { expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { retryAfterOf, retryDelay } from './retry.ts'

const NOW = Date.parse('2026-11-20T10:00:00Z')

test.each([
  [0, 0.5, 0, SECOND],
  [0, 0, 0, 900],
  [0, 1, 0, 1100],
  [1, 0.5, 0, 5 * SECOND],
  [10, 0.5, 0, 8 * HOUR],
  [11, 0.5, 0, null],
  [11, 0.5, MINUTE, null],
  [0, 0.5, MINUTE, MINUTE],
  [5, 0.5, MINUTE, 30 * MINUTE],
  [0, 0.5, DAY, HOUR],
])('after %d earlier attempts, random %d, Retry-After %d: %p ms', (tries, random, retryAfter, delay) => {
  expect(retryDelay(tries, random, retryAfter)).toBe(delay)
})

test('twelve attempts take about a day', () => {
  const delays = Array.from({ length: 11 }, (_, tries) => retryDelay(tries, 0.5, 0) ?? 0)
  const total = delays.reduce((sum, delay) => sum + delay, 0)
  expect(total).toBeGreaterThan(23 * HOUR)
  expect(total).toBeLessThan(25 * HOUR)
})

test.each([
  [null, 0],
  ['0', 0],
  ['120', 2 * MINUTE],
  ['1e3', 0],
  ['-5', 0],
  ['soon', 0],
  ['Fri, 20 Nov 2026 10:01:00 GMT', MINUTE],
  ['Fri, 20 Nov 2026 09:59:00 GMT', 0],
])('Retry-After: %p is %d ms', (header, ms) => {
  expect(retryAfterOf(header, NOW)).toBe(ms)
})
