import { expect, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { jwksMaxAge, needsSuccessor, remainingLead, retiredUntil } from './schedule.ts'

const NOW = Date.parse('2026-11-20T10:00:00Z')

test.each([
  [0, 0],
  [MINUTE, 0],
  [MINUTE + 30 * SECOND, 15],
  [2 * MINUTE, 30],
  [3 * MINUTE, 60],
  [HOUR, 60],
])('with a lead of %d ms the JWKS may be cached for %d seconds', (signingKeyLead, seconds) => {
  expect(jwksMaxAge({ signingKeyLead })).toBe(seconds)
})

test.each([
  ['was just published', NOW, 2 * MINUTE],
  ['was published a minute ago', NOW - MINUTE, MINUTE],
  ['has waited long enough', NOW - 2 * MINUTE, 0],
  ['waited while the service was stopped', NOW - HOUR, 2 * MINUTE - HOUR],
  ['was created in the future', NOW + DAY, 2 * MINUTE],
])('a pending key that %s', (_, createdAt, ms) => {
  expect(remainingLead({ createdAt }, NOW, 2 * MINUTE)).toBe(ms)
})

test.each([
  ['is new', NOW, false],
  ['is almost old enough', NOW - 30 * DAY + 2 * MINUTE + 1, false],
  ['reaches its maximum age after the lead', NOW - 30 * DAY + 2 * MINUTE, true],
  ['is older than its maximum age', NOW - 31 * DAY, true],
  ['was created in the future', NOW + DAY, false],
])('an active key that %s: it needs a successor, or it does not', (_, createdAt, expected) => {
  const config = { signingKeyLead: 2 * MINUTE, signingKeyMaxAge: 30 * DAY }
  expect(needsSuccessor({ createdAt }, NOW, config)).toBe(expected)
})

test('a retiring key outlives its last token by a minute', () => {
  expect(retiredUntil(NOW, { jwtExpire: 5 * MINUTE })).toBe(NOW + 6 * MINUTE)
})
