import { expect, test } from 'bun:test'
import { DatabaseUnavailable } from '../../kit/database-unavailable.ts'
import type { LocalTokenCheck, Verdict } from '../../kit/tokens/check.ts'
import { NodeTokenCheck } from './node-tokens.ts'

const MAX_LAG = 30_000
const VALID: Verdict = { valid: true, userId: 'ana', sessionId: 's', roles: [], expiresAt: 1, authTime: 1, amr: [] }
const REVOKED: Verdict = { valid: false, reason: 'revoked' }
const UNKNOWN_KEY: Verdict = { valid: false, reason: 'signature' }

/** @param afterwards the verdict when the node has read the feed; `away`: the database does not answer */
function verdictOf(
  before: Verdict,
  subscription: { hasLease: boolean; staleness: number; mustAsk?: boolean },
  afterwards: Verdict | 'away',
) {
  let verdict = before
  const local = { check: () => verdict, claims: () => verdict } as unknown as LocalTokenCheck
  const catchUp = async () => {
    if (afterwards === 'away') throw new DatabaseUnavailable('The database is away', 'TEST')
    verdict = afterwards
  }
  const tokens = new NodeTokenCheck({
    local,
    subscription: { mustAsk: false, ...subscription, catchUp },
    maxLag: MAX_LAG,
  })
  return tokens.check('token')
}

const LEASED = { hasLease: true, staleness: 0 }
const LOST = { hasLease: false, staleness: 1000 }
const CUT_OFF = { hasLease: false, staleness: MAX_LAG + 1 }

test('with a lease the memory of the node decides, at once', () => {
  expect(verdictOf(VALID, LEASED, REVOKED)).toEqual(VALID)
})

test('without a lease the node reads the feed first', async () => {
  expect(await verdictOf(VALID, LOST, REVOKED)).toEqual(REVOKED)
  expect(await verdictOf(UNKNOWN_KEY, LOST, VALID)).toEqual(VALID)
  expect(await verdictOf(VALID, CUT_OFF, VALID)).toEqual(VALID)
})

test('without a lease and a database it refuses what it knows, and accepts the rest until REVOCATION_MAX_LAG', async () => {
  expect(await verdictOf(REVOKED, LOST, 'away')).toEqual(REVOKED)
  expect(await verdictOf(VALID, LOST, 'away')).toEqual(VALID)
  expect(await verdictOf(REVOKED, CUT_OFF, 'away')).toEqual(REVOKED)
  await expect(verdictOf(VALID, CUT_OFF, 'away')).rejects.toThrow(DatabaseUnavailable)
})

test('a node that stood still accepts nothing before the database has answered', async () => {
  const thawed = { ...LOST, mustAsk: true }
  expect(await verdictOf(VALID, thawed, REVOKED)).toEqual(REVOKED)
  expect(await verdictOf(REVOKED, thawed, 'away')).toEqual(REVOKED)
  await expect(verdictOf(VALID, thawed, 'away')).rejects.toThrow(DatabaseUnavailable)
})
