import { describe, expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { concurrentAttempts, LOCKOUT_RULES, lockedUntil } from './lockout.ts'

const NOW = Date.parse('2026-11-20T10:00:00Z')
const { account, address } = LOCKOUT_RULES

/** Failures that are a second apart, the last of them `ago` milliseconds before now. */
const failures = (count: number, ago = 0) =>
  Array.from({ length: count }, (_, index) => NOW - ago - (count - 1 - index) * SECOND)

describe('an account is locked', () => {
  test.each([
    ['after no failure', [], 0, 0],
    ['after 9 failures', failures(9), 0, 0],
    ['after 10 failures', failures(10), 0, NOW + MINUTE],
    ['after 11 failures: twice as long', failures(11), 0, NOW + 2 * MINUTE],
    ['after 16 failures: an hour at most', failures(16), 0, NOW + HOUR],
    ['until a minute after the last of 10 failures', failures(10, MINUTE), 0, 0],
    ['after 10 failures, one of them before the window', [NOW - 15 * MINUTE, ...failures(9)], 0, 0],
    ['after 10 failures before a right password', failures(10, SECOND), NOW - SECOND, 0],
    [
      'after 100 failures in a day, even before a right password',
      failures(100, HOUR),
      NOW,
      NOW - HOUR - 99 * SECOND + DAY,
    ],
    ['after 100 failures, one of them a day ago', [NOW - DAY, ...failures(99, HOUR)], NOW - SECOND, 0],
    ['after 10 failures that a clock ahead recorded', failures(10, -HOUR), 0, NOW + MINUTE],
  ])('%s', (_, times, clearedAt, until) => {
    expect(lockedUntil({ times, clearedAt }, account, NOW)).toBe(until)
  })
})

describe('an address is locked', () => {
  test.each([
    ['after 299 failures', 299, 0],
    ['after 300 failures', 300, NOW + MINUTE],
    ['after 310 failures: a quarter of an hour at most', 310, NOW + 15 * MINUTE],
  ])('%s', (_, count, until) => {
    expect(lockedUntil({ times: failures(count), clearedAt: 0 }, address, NOW)).toBe(until)
  })
})

test.each([
  ['no failure', [], 0, 10],
  ['4 failures', failures(4), 0, 6],
  ['4 failures before the window', failures(4, 15 * MINUTE), 0, 10],
  ['4 failures before a right password', failures(4, SECOND), NOW - SECOND, 10],
  ['as many as lead to a lockout', failures(10), 0, 1],
])('after %s so many attempts may run at once', (_, times, clearedAt, attempts) => {
  expect(concurrentAttempts({ times, clearedAt }, account, NOW)).toBe(attempts)
})
