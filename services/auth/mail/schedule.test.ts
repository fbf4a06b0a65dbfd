import { expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { expiryOf, type Failure, retryDelay } from './schedule.ts'

const NOW = Date.parse('2026-11-20T10:00:00Z')
const FAILURES = {
  unreachable: { outcome: 'retry', reason: 'unreachable' },
  deferred: { outcome: 'retry', reason: 'deferred' },
  denied: { outcome: 'misconfigured', reason: 'relay_denied' },
} satisfies Record<string, Failure>

test.each([
  ['password_reset', 'unreachable', 0, SECOND],
  ['password_reset', 'unreachable', 1, 2 * SECOND],
  ['password_reset', 'unreachable', 6, MINUTE],
  ['password_reset', 'unreachable', 1000, MINUTE],
  ['password_reset', 'deferred', 0, 30 * SECOND],
  ['password_reset', 'deferred', 4, 8 * MINUTE],
  ['password_reset', 'deferred', 5, 10 * MINUTE],
  ['password_reset', 'denied', 0, 5 * MINUTE],
  ['password_reset', 'denied', 1, 10 * MINUTE],
  ['email_changed', 'deferred', 7, HOUR],
  ['email_changed', 'denied', 1000, HOUR],
] as const)('%s, %s after %d earlier attempts: %d ms', (kind, failure, tries, delay) => {
  expect(retryDelay(FAILURES[failure], { kind, tries })).toBe(delay)
})

test.each([
  ['password_reset', 30 * MINUTE],
  ['email_changed', DAY],
] as const)('a %s mail expires after %d ms', (kind, lifetime) => {
  expect(expiryOf({ kind, requestedAt: NOW, data: {} })).toBe(NOW + lifetime)
  expect(expiryOf({ kind, requestedAt: NOW, data: { retriedAt: NOW + 2 * DAY } })).toBe(NOW + 2 * DAY + lifetime)
})
