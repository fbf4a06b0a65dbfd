import { describe, expect, test } from 'bun:test'
import type { Account, Rotation } from '../store/index.ts'
import { decideRotation, type RefreshableSession } from './rotation.ts'

const NOW = 1_000_000
const GRACE = 10_000

const session: RefreshableSession = {
  id: 'session',
  userId: 'user',
  kind: 'v1',
  counter: 3,
  rotatedAt: NOW - 60_000,
  createdAt: NOW - 600_000,
  lastUsedAt: NOW - 60_000,
  expiresAt: NOW + 60_000,
  endsAt: NOW + 600_000,
  accessUntil: NOW - 1,
  version: 5,
  ip: null,
  userAgent: null,
  authTime: 0,
  amr: ['pwd'],
  ofGrant: false,
  refreshesSince: NOW - 60_000,
  refreshes: 1,
}

const account: Account = {
  userId: 'user',
  email: 'user@example.org',
  username: null,
  roles: ['USER'],
  status: 'active',
  emailVerified: false,
  profile: {},
  passwordHash: 'hash',
  version: 5,
  sessionsFrom: 5,
  tokensFrom: 1,
  factorsFrom: 0,
  syncedAt: 0,
  cached: true,
}

const rotation: Rotation = {
  sessionId: 'session',
  counter: 3,
  now: NOW,
  expiresAt: NOW + 120_000,
  accessUntil: NOW + 1000,
  grace: GRACE,
}

interface Case {
  session?: Partial<RefreshableSession>
  account?: Partial<Account> | null
  rotation?: Partial<Rotation>
}

function decide({ session: changes, account: accountChanges, rotation: rotationChanges }: Case) {
  return decideRotation(
    { ...session, ...changes },
    accountChanges === null ? undefined : { ...account, ...accountChanges },
    { ...rotation, ...rotationChanges },
  )
}

const OUTCOMES: [name: string, outcome: string, input: Case][] = [
  ['the current token', 'rotated', {}],
  ['a token from the future', 'gone', { rotation: { counter: 4 } }],
  ['a session at its last moment', 'rotated', { session: { expiresAt: NOW + 1 } }],
  ['a session that has just expired', 'gone', { session: { expiresAt: NOW } }],
  ['a session at its absolute end', 'gone', { session: { endsAt: NOW } }],
  ['an account that does not exist', 'gone', { account: null }],
  ['a disabled account', 'gone', { account: { status: 'disabled' } }],
  ['a session that a change of the account ended', 'gone', { account: { sessionsFrom: 6 } }],
  ['an ended session, although the token was used before', 'gone', { session: { endsAt: NOW, counter: 9 } }],
  ['the previous token at the end of the grace period', 'repeated', previous({ rotatedAt: NOW - GRACE })],
  ['the previous token after the grace period', 'reused', previous({ rotatedAt: NOW - GRACE - 1 })],
  ['the previous token when the clock was set back', 'reused', previous({ rotatedAt: NOW + 1 })],
  ['the token before the previous one', 'reused', { rotation: { counter: 1 }, session: { rotatedAt: NOW } }],
]

/** A request with the token before the current one. */
function previous(changes: Partial<RefreshableSession>): Case {
  return { session: changes, rotation: { counter: 2 } }
}

test.each(OUTCOMES)('%s: %s', (_, outcome, input) => {
  expect(decide(input).outcome).toBe(outcome as never)
})

test('a session that does not exist: gone', () => {
  expect(decideRotation(undefined, undefined, rotation)).toEqual({ outcome: 'gone' })
})

describe('a rotation', () => {
  test('moves the session on to the next token', () => {
    expect(decide({})).toEqual({
      outcome: 'rotated',
      account,
      session: {
        ...session,
        counter: 4,
        rotatedAt: NOW,
        lastUsedAt: NOW,
        expiresAt: NOW + 120_000,
        accessUntil: NOW + 1000,
        refreshesSince: NOW,
        refreshes: 1,
      },
    })
  })

  test('never outlives the absolute end of the session', () => {
    const endsAt = NOW + 50
    expect(decide({ session: { endsAt } })).toMatchObject({ session: { expiresAt: endsAt } })
  })

  test('never shortens the time until which access tokens must be revoked', () => {
    const accessUntil = NOW + 99_000
    expect(decide({ session: { accessUntil } })).toMatchObject({ session: { accessUntil } })
  })
})

test('a repeated answer leaves the counter and the time of the rotation', () => {
  const rotatedAt = NOW - 5
  const decision = decide(previous({ rotatedAt }))
  expect(decision).toMatchObject({ session: { counter: 3, rotatedAt, expiresAt: session.expiresAt, refreshes: 1 } })
})

describe('the limit on refreshes', () => {
  const limit = { most: 2, window: 60_000 }
  const LIMITS: [name: string, changes: Partial<RefreshableSession>, expected: object][] = [
    ['counts a refresh in the window', { refreshes: 1, refreshesSince: NOW - 1 }, { session: { refreshes: 2 } }],
    [
      'refuses one too many, until the window ends',
      { refreshes: 2, refreshesSince: NOW - 1 },
      { outcome: 'limited', until: NOW + 59_999 },
    ],
    [
      'begins a new window after the end of the last',
      { refreshes: 2, refreshesSince: NOW - 60_000 },
      { session: { refreshes: 1, refreshesSince: NOW } },
    ],
    [
      'begins a new window when the clock was set back',
      { refreshes: 2, refreshesSince: NOW + 1 },
      { session: { refreshes: 1, refreshesSince: NOW } },
    ],
  ]
  test.each(LIMITS)('%s', (_, changes, expected) => {
    expect(decide({ session: changes, rotation: { limit } })).toMatchObject(expected)
  })

  test('does not hide a reuse', () => {
    const full = { refreshes: 2, refreshesSince: NOW, counter: 9 }
    expect(decide({ session: full, rotation: { limit } })).toEqual({ outcome: 'reused' })
  })
})
