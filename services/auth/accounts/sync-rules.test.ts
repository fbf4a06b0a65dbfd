import { describe, expect, test } from 'bun:test'
import type { SyncedAccount } from '../store/index.ts'
import { decideSync, type StoredAccount, sessionsEndedBy } from './sync-rules.ts'

const NOW = 1_000_000

const record: SyncedAccount = {
  userId: 'user',
  email: 'user@example.org',
  username: 'user',
  roles: ['USER'],
  status: 'active',
  emailVerified: false,
  profile: { name: 'User' },
  passwordHash: 'hash',
  version: 5,
}
const stored: StoredAccount = {
  ...record,
  sessionsFrom: 2,
  tokensFrom: 1,
  factorsFrom: 0,
  syncedAt: 1,
  cached: true,
  deleted: false,
}
const marks = { sessionsFrom: 2, sessionKept: null, allSessionsFrom: 2, tokensFrom: 1 }

const decide = (before: Partial<StoredAccount> | undefined, synced: Partial<SyncedAccount>) =>
  decideSync(before && { ...stored, ...before }, { ...record, ...synced }, NOW)

const NOTHING = {
  revokesTokens: false,
  endsSessions: null,
  voidsChallenges: false,
  voidsFactors: false,
  newPassword: false,
}
const ended = (reason: string, except: object | null = null) => ({
  endsSessions: { reason, except },
  voidsChallenges: true,
})

interface Row {
  name: string
  before: Partial<StoredAccount> | undefined
  synced: Partial<SyncedAccount>
  outcome: 'synced' | 'unchanged'
  decision?: object
}

const ROWS: Row[] = [
  { name: 'a new user', before: undefined, synced: {}, outcome: 'synced', decision: { voidsChallenges: true } },
  { name: 'a deleted user', before: { deleted: true }, synced: { version: 9 }, outcome: 'unchanged' },
  { name: 'the same version again', before: {}, synced: {}, outcome: 'unchanged' },
  { name: 'an older version', before: {}, synced: { version: 4, passwordHash: 'old' }, outcome: 'unchanged' },
  { name: 'the same version of a dropped account', before: { cached: false }, synced: {}, outcome: 'synced' },
  { name: 'a new name', before: {}, synced: { version: 6, profile: { name: 'Other' } }, outcome: 'synced' },
  {
    name: 'another password',
    before: {},
    synced: { version: 6, passwordHash: 'other' },
    outcome: 'synced',
    decision: { ...ended('password_changed'), newPassword: true },
  },
  {
    name: 'a password for an account whose hash is unknown',
    before: { passwordHash: '', cached: false },
    synced: { version: 6 },
    outcome: 'synced',
  },
  {
    name: 'a new hash of the same password, by marks',
    before: {},
    synced: { version: 6, passwordHash: 'rehashed', marks },
    outcome: 'synced',
  },
  {
    name: 'a disabled user',
    before: {},
    synced: { version: 6, status: 'disabled' },
    outcome: 'synced',
    decision: ended('account_disabled'),
  },
  {
    name: 'other roles',
    before: {},
    synced: { version: 6, roles: [] },
    outcome: 'synced',
    decision: { revokesTokens: true },
  },
  {
    name: 'another email',
    before: {},
    synced: { version: 6, email: 'new@example.org' },
    outcome: 'synced',
    decision: { voidsChallenges: true },
  },
  {
    name: 'the same email in capitals',
    before: {},
    synced: { version: 6, email: 'User@Example.org' },
    outcome: 'synced',
  },
  {
    name: 'marks that end all sessions but one',
    before: {},
    synced: {
      version: 6,
      passwordHash: 'other',
      marks: { ...marks, sessionsFrom: 6, sessionKept: 'mine', allSessionsFrom: 3 },
    },
    outcome: 'synced',
    decision: { ...ended('password_changed', { id: 'mine', since: 3 }), newPassword: true },
  },
  {
    name: 'marks that keep a session of a disabled user',
    before: {},
    synced: { version: 6, status: 'disabled', marks: { ...marks, sessionsFrom: 6, sessionKept: 'mine' } },
    outcome: 'synced',
    decision: ended('account_disabled'),
  },
  {
    name: 'a late record whose marks end more',
    before: { version: 9 },
    synced: { marks: { ...marks, sessionsFrom: 8, tokensFrom: 8 } },
    outcome: 'unchanged',
    decision: { ...ended('account_disabled'), revokesTokens: true },
  },
]

test.each(ROWS)('$name', ({ before, synced, outcome, decision = {} }) => {
  const { account, ...rest } = decide(before, synced)
  expect(rest).toEqual({ ...NOTHING, ...decision, outcome } as typeof rest)
})

describe('the account that is stored', () => {
  test('is the record, when it is newer, with the marks that only grow', () => {
    expect(decide({ sessionsFrom: 4, tokensFrom: 4 }, { version: 6, profile: { name: 'Other' } }).account).toEqual({
      ...record,
      version: 6,
      profile: { name: 'Other' },
      cached: true,
      syncedAt: NOW,
      sessionsFrom: 4,
      tokensFrom: 4,
      factorsFrom: 0,
    })
  })

  test('of a new user starts with the marks of its version', () => {
    expect(decide(undefined, {}).account).toMatchObject({ sessionsFrom: 5, tokensFrom: 0 })
  })

  test('keeps everything but the marks, when the record is older', () => {
    const late = { version: 4, name: 'Old', marks: { ...marks, sessionsFrom: 3 } }
    const { deleted, ...account } = stored
    expect(decide({}, late).account).toEqual({ ...account, sessionsFrom: 3 })
  })

  test.each(['deleted', 'unchanged'])('is null when nothing changes: %s', (reason) => {
    expect(decide({ deleted: reason === 'deleted' }, {}).account).toBeNull()
  })
})

describe('the sessions that a change ends', () => {
  const sessions = [
    { id: 'old', version: 1 },
    { id: 'mine', version: 3 },
    { id: 'new', version: 6 },
  ]
  const KEPT: [
    name: string,
    except: { id: string; since: number } | null,
    ended: string[],
    survivor: string | undefined,
  ][] = [
    ['all of an older version', null, ['old', 'mine'], undefined],
    ['all but the kept one', { id: 'mine', since: 3 }, ['old'], 'mine'],
    ['the kept one too, when it is too old', { id: 'mine', since: 4 }, ['old', 'mine'], undefined],
    ['none of the new ones', { id: 'new', since: 1 }, ['old', 'mine'], undefined],
  ]
  test.each(KEPT)('are %s', (_, except, expected, survivor) => {
    const result = sessionsEndedBy(sessions, { version: 6, except })
    expect([result.ended.map(({ id }) => id), result.survivor?.id]).toEqual([expected, survivor])
  })
})
