import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type {
  AuthStore,
  Challenge,
  Issue,
  MailFilter,
  MailRequest,
  MailStatus,
  Rotation,
  Session,
  SyncedAccount,
  Webhook,
} from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { EVERY_VERSION } from '../../services/kit/tokens/revocations.ts'

export const NOW = 1_800_000_000_000
const ENDING = { reason: 'logout', now: NOW } as const
const HOUR = 3_600_000
const GRACE = 10_000

let counter = 0
export const id = () => `00000000-0000-7000-8000-${String(++counter).padStart(12, '0')}`
export const event = (type = 'test.event', userId: string | null = null): AuditEvent => ({
  id: id(),
  at: NOW,
  type,
  userId,
  actor: 'anyone',
  ip: null,
  requestId: null,
  detail: {},
})
const events = (type: string) => event(type)

export function account(changes: Partial<SyncedAccount> = {}): SyncedAccount {
  const userId = changes.userId ?? id()
  return {
    userId,
    email: `u${counter}@example.org`,
    username: null,
    roles: ['USER'],
    status: 'active',
    emailVerified: false,
    profile: {},
    passwordHash: 'hash-1',
    version: 1,
    ...changes,
  }
}

export function session(userId: string, changes: Partial<Session> = {}): Session {
  return {
    id: id(),
    userId,
    kind: 'v1',
    counter: 0,
    rotatedAt: NOW,
    createdAt: NOW,
    lastUsedAt: NOW,
    expiresAt: NOW + 24 * HOUR,
    endsAt: NOW + 90 * 24 * HOUR,
    accessUntil: NOW + HOUR,
    version: 1,
    ip: null,
    userAgent: null,
    authTime: NOW,
    amr: ['pwd'],
    ofGrant: false,
    ...changes,
  }
}

/** A mail in the queue. */
const mail = (changes: Partial<MailRequest> = {}): MailRequest => ({
  id: id(),
  kind: 'email_changed',
  email: 'a@example.org',
  userId: null,
  locale: 'ru',
  data: {},
  requestedAt: NOW,
  ip: null,
  requestId: null,
  tries: 0,
  nextAt: NOW,
  linkAt: null,
  lastError: null,
  ...changes,
})

export const rotation = (sessionId: string, presented: number, changes: Partial<Rotation> = {}): Rotation => ({
  sessionId,
  counter: presented,
  now: NOW,
  expiresAt: NOW + 24 * HOUR,
  accessUntil: NOW + HOUR,
  grace: GRACE,
  ...changes,
})

/**
 * The tests that every auth store must pass.
 * @param open opens an empty store, which the suite closes
 */
export function authStoreSuite(open: () => Promise<AuthStore>): void {
  let store: AuthStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  /** Adds a user with a session. */
  const logIn = async (changes: Partial<SyncedAccount> = {}, sessionChanges: Partial<Session> = {}) => {
    const user = account(changes)
    await store.syncAccount(user, NOW, events)
    const opened = session(user.userId, sessionChanges)
    expect(await store.openSession(opened, event())).toBe('opened')
    return { user, session: opened }
  }

  describe('the password cache', () => {
    test('takes a newer version and ignores an older one', async () => {
      const user = account({ version: 3, passwordHash: 'third' })
      expect((await store.syncAccount(user, NOW, events)).outcome).toBe('synced')
      const older = { ...user, version: 2, passwordHash: 'second', roles: ['ADMIN'] }
      expect((await store.syncAccount(older, NOW, events)).outcome).toBe('unchanged')
      expect((await store.syncAccount(user, NOW, events)).outcome).toBe('unchanged')
      expect(await store.accountById(user.userId)).toMatchObject({ version: 3, passwordHash: 'third', roles: ['USER'] })
    })

    test('recognises a new password, as opposed to a new hash of the same one and to other changes that end sessions', async () => {
      const user = account()
      const marks = (from: number) => ({ sessionsFrom: from, sessionKept: null, allSessionsFrom: from, tokensFrom: 1 })
      const steps: [change: Partial<typeof user>, from: number, isNew: boolean][] = [
        [{ passwordHash: 'hash-1' }, 1, false],
        [{ passwordHash: 'hash-1 again, rehashed' }, 1, false],
        [{ passwordHash: 'hash-2' }, 3, true],
        [{ passwordHash: 'hash-2', status: 'disabled' }, 4, false],
        // One notice for two changes: disabled and enabled again.
        [{ passwordHash: 'hash-2' }, 5, false],
        [{ passwordHash: 'hash-3', status: 'disabled' }, 6, true],
      ]
      for (const [index, [change, from, isNew]] of steps.entries()) {
        const synced = { ...user, ...change, version: index + 1, marks: marks(from) }
        expect([index, (await store.syncAccount(synced, NOW, events)).newPassword]).toEqual([index, isNew])
      }
    })

    test('R23: a user may have no password; setting the first one, or removing it, ends earlier sessions', async () => {
      const { user } = await logIn()
      const sessions = async () => (await store.listSessions(user.userId, NOW, { size: 9, page: 1 })).rows
      await store.syncAccount({ ...user, version: 2, passwordHash: null }, NOW, events)
      expect(await store.accountById(user.userId)).toMatchObject({ cached: true, passwordHash: null, sessionsFrom: 2 })
      expect(await sessions()).toEqual([])
      await store.syncAccount({ ...user, version: 3, passwordHash: null }, NOW, events)
      expect(await store.accountById(user.userId)).toMatchObject({ version: 3, sessionsFrom: 2 })
      await store.syncAccount({ ...user, version: 4, passwordHash: 'hash' }, NOW, events)
      expect(await store.accountById(user.userId)).toMatchObject({ passwordHash: 'hash', sessionsFrom: 4 })
    })

    test('finds an account by username, and by email in upper or lower case; an email belongs to one account', async () => {
      const first = account({ email: 'One@example.org', username: 'one' })
      await store.syncAccount(first, NOW, events)
      expect((await store.accountByEmail('oNE@example.org'))?.userId).toBe(first.userId)
      expect((await store.accountByUsername('one'))?.userId).toBe(first.userId)
      const second = account({ email: 'one@EXAMPLE.org' })
      await store.syncAccount(second, NOW + 1, events)
      expect((await store.accountByEmail('one@example.org'))?.userId).toBe(second.userId)
      expect(await store.accountById(first.userId)).toMatchObject({ cached: false, passwordHash: '' })
    })

    test('of users who are added at once with one email or username, one has it; an earlier owner loses it', async () => {
      const sync = (user: SyncedAccount) => store.syncAccount(user, NOW, events)
      const [owner, other] = [account({ email: 'owner@example.org' }), account({ username: 'other' })]
      for (const user of [owner, other]) await sync(user)
      const sameEmail = [account({ email: 'shared@example.org' }), account({ email: 'SHARED@example.org', version: 7 })]
      const sameUsername = [account({ username: 'shared' }), account({ username: 'shared' })]
      const heirs = [account({ email: 'Owner@example.org' }), account({ username: 'other', roles: ['A'] })]
      const alone = account({ passwordHash: null })
      const repeated = { ...alone, version: 2 }
      await Promise.all([...sameEmail, ...sameUsername, ...heirs, alone, repeated].map(sync))

      const stored = (users: SyncedAccount[]) => Promise.all(users.map(({ userId }) => store.accountById(userId)))
      const cached = async (users: SyncedAccount[]) => (await stored(users)).filter((one) => one?.cached)
      expect(await cached(sameEmail)).toEqual([await store.accountByEmail('shared@example.org')])
      expect(await cached(sameUsername)).toEqual([await store.accountByUsername('shared')])
      expect(await cached([owner, other])).toEqual([])
      expect(await stored([...heirs, alone])).toMatchObject([
        { cached: true, username: null },
        { cached: true, username: 'other', roles: ['A'] },
        { cached: true, passwordHash: null, version: 2 },
      ])
    })

    test('R21: a search finds a part of an email or a username in any case and any Unicode form', async () => {
      const user = account({ email: 'Ivan@Пётр-Straße.example', username: 'ivan.petrov' })
      await store.syncAccount(user, NOW, events)
      const idsOf = async (search: string) =>
        (await store.listAccounts(search, { size: 9, page: 1 })).rows.map(({ userId }) => userId)
      const forms = ['ПЕТР', 'пётр', 'Пётр'.normalize('NFD'), 'STRASSE', user.email.toUpperCase(), 'AN.PETR', 'ß']
      for (const search of forms) expect([search, await idsOf(search)]).toEqual([search, [user.userId]])
      for (const search of ['пэтр', 'example\u{1f40e}', 'exampleivan', '%', `${user.email}.`])
        expect([search, await idsOf(search)]).toEqual([search, []])
      await store.syncAccount({ ...user, version: 2, email: 'sidorov@example.org', username: null }, NOW, events)
      expect([await idsOf('петр'), await idsOf('SIDOROV')]).toEqual([[], [user.userId]])
      await store.deleteAccount(user.userId, NOW, events)
      expect(await idsOf('sidorov')).toEqual([])
    })

    test('a deleted user stays deleted when late notices arrive', async () => {
      const { user } = await logIn()
      const ended = await store.deleteAccount(user.userId, NOW, events)
      expect(ended.sessions).toBe(1)
      expect(ended.revocations).toContainEqual(
        expect.objectContaining({ kind: 'user', subject: user.userId, version: EVERY_VERSION }),
      )
      await store.syncAccount({ ...user, version: 99 }, NOW, events)
      expect(await store.accountById(user.userId)).toBeNull()
      expect(await store.openSession(session(user.userId, { version: 99 }), event())).toBe('account_changed')
    })

    test('a dropped account keeps its sessions but serves no login; the same version restores it', async () => {
      const { user, session: open } = await logIn()
      expect(await store.dropAccount(user.userId, event())).toBe(true)
      expect(await store.dropAccount(user.userId, event())).toBe(false)
      expect(await store.accountById(user.userId)).toMatchObject({ cached: false, passwordHash: '' })
      expect((await store.rotateSession(rotation(open.id, 0), events)).outcome).toBe('rotated')
      expect((await store.syncAccount(user, NOW, events)).outcome).toBe('synced')
      expect(await store.accountById(user.userId)).toMatchObject({ cached: true, passwordHash: 'hash-1' })
    })

    test('without marks, what a change ends follows from the difference', async () => {
      const { user, session: open } = await logIn()
      const roles = await store.syncAccount({ ...user, version: 2, roles: ['USER', 'EDITOR'] }, NOW, events)
      expect(roles.ended.revocations).toEqual([
        { kind: 'user', subject: user.userId, version: 2, until: expect.any(Number) },
      ])
      const name = await store.syncAccount(
        { ...user, version: 3, roles: ['USER', 'EDITOR'], profile: { name: 'x' } },
        NOW,
        events,
      )
      expect(name.ended).toMatchObject({ sessions: 0, seq: 0 })
      const password = await store.syncAccount(
        { ...user, version: 4, roles: ['USER', 'EDITOR'], passwordHash: 'hash-2' },
        NOW,
        events,
      )
      expect(password.ended.revocations.map(({ kind, subject }) => [kind, subject])).toEqual([['session', open.id]])
      expect(await store.sessionById(open.id)).toBeNull()
    })

    test('marks keep the session that changed the password, unless an earlier change kept none', async () => {
      const { user, session: current } = await logIn()
      const other = session(user.userId)
      await store.openSession(other, event())
      const marks = { sessionsFrom: 2, sessionKept: current.id, allSessionsFrom: 1, tokensFrom: 1 }
      const synced = await store.syncAccount({ ...user, version: 2, marks }, NOW, events)
      const sessions = synced.ended.revocations.filter(({ kind }) => kind === 'session')
      expect(sessions.map(({ subject }) => subject)).toEqual([other.id])
      // The same notice again ends nothing more.
      expect((await store.syncAccount({ ...user, version: 2, marks }, NOW, events)).ended.sessions).toBe(0)
      const strict = { sessionsFrom: 5, sessionKept: current.id, allSessionsFrom: 4, tokensFrom: 1 }
      expect((await store.syncAccount({ ...user, version: 5, marks: strict }, NOW, events)).ended.sessions).toBe(1)
    })

    test('a late notice still ends the sessions that its marks name', async () => {
      const { user, session: open } = await logIn()
      await store.syncAccount(
        { ...user, version: 7, marks: { sessionsFrom: 1, sessionKept: null, allSessionsFrom: 1, tokensFrom: 1 } },
        NOW,
        events,
      )
      const marks = { sessionsFrom: 5, sessionKept: null, allSessionsFrom: 5, tokensFrom: 5 }
      const late = await store.syncAccount({ ...user, version: 5, profile: { name: 'late' }, marks }, NOW, events)
      expect(late.ended.sessions).toBe(1)
      expect(await store.sessionById(open.id)).toBeNull()
      expect((await store.accountById(user.userId))?.profile).toEqual({})
    })
  })

  describe('sessions', () => {
    test('a session is not opened from a version before a password change, nor for a disabled user', async () => {
      const user = account()
      await store.syncAccount(user, NOW, events)
      await store.syncAccount({ ...user, version: 2, passwordHash: 'hash-2' }, NOW, events)
      expect(await store.openSession(session(user.userId, { version: 1 }), event())).toBe('account_changed')
      await store.syncAccount({ ...user, version: 3, passwordHash: 'hash-2', status: 'disabled' }, NOW, events)
      expect(await store.openSession(session(user.userId, { version: 3 }), event())).toBe('account_changed')
    })

    test('the current token rotates, the previous one repeats the answer within the grace period, an older one ends the session', async () => {
      const { session: open } = await logIn()
      expect(await store.rotateSession(rotation(open.id, 0), events)).toMatchObject({
        outcome: 'rotated',
        session: { counter: 1 },
      })
      expect(await store.rotateSession(rotation(open.id, 0, { now: NOW + GRACE }), events)).toMatchObject({
        outcome: 'repeated',
        session: { counter: 1 },
      })
      expect((await store.rotateSession(rotation(open.id, 1, { now: NOW + 2 }), events)).outcome).toBe('rotated')
      const reused = await store.rotateSession(rotation(open.id, 0, { now: NOW + 3 }), events)
      expect(reused).toMatchObject({ outcome: 'reused', ended: { sessions: 1 } })
      expect((await store.rotateSession(rotation(open.id, 2), events)).outcome).toBe('gone')
    })

    test('the grace period ends, even when the clock is set back; a future counter is refused', async () => {
      const late = await logIn()
      await store.rotateSession(rotation(late.session.id, 0), events)
      const after = await store.rotateSession(rotation(late.session.id, 0, { now: NOW + GRACE + 1 }), events)
      expect(after.outcome).toBe('reused')
      const back = await logIn()
      await store.rotateSession(rotation(back.session.id, 0), events)
      expect((await store.rotateSession(rotation(back.session.id, 0, { now: NOW - HOUR }), events)).outcome).toBe(
        'reused',
      )
      const ahead = await logIn()
      expect((await store.rotateSession(rotation(ahead.session.id, 1), events)).outcome).toBe('gone')
    })

    test('downtime does not count towards the grace period', async () => {
      const { session: open } = await logIn()
      await store.rotateSession(rotation(open.id, 0), events)
      await store.recordHeartbeat(NOW + 2000)
      await store.resumeGrace(NOW + HOUR, GRACE)
      await store.resumeGrace(NOW + 2 * HOUR, GRACE)
      const repeated = await store.rotateSession(rotation(open.id, 0, { now: NOW + 2 * HOUR + 7000 }), events)
      expect(repeated.outcome).toBe('repeated')
      const spent = await store.rotateSession(rotation(open.id, 0, { now: NOW + 2 * HOUR + 8001 }), events)
      expect(spent.outcome).toBe('reused')
    })

    test('a session ends at its absolute end; too many refreshes are refused for a while', async () => {
      const { session: open } = await logIn({}, { endsAt: NOW + HOUR })
      expect((await store.rotateSession(rotation(open.id, 0, { now: NOW + HOUR }), events)).outcome).toBe('gone')
      const busy = await logIn()
      const limit = { most: 2, window: 60_000 }
      for (const presented of [0, 1])
        await store.rotateSession(rotation(busy.session.id, presented, { limit, now: NOW + 1 }), events)
      expect(await store.rotateSession(rotation(busy.session.id, 2, { limit, now: NOW + 1 }), events)).toEqual({
        outcome: 'limited',
        until: NOW + 60_000,
      })
    })

    test('only its owner can end a session, or all their sessions; the feed lists the ended ones', async () => {
      const { user, session: open } = await logIn()
      const before = await store.lastRevocation()
      expect(await store.endSession(open.id, id(), ENDING, event())).toBeNull()
      const ended = await store.endSession(open.id, user.userId, ENDING, event())
      expect(ended).toMatchObject({ sessions: 1 })
      expect(ended?.seq).toBeGreaterThan(before)
      expect(await store.endSession(open.id, user.userId, ENDING, event())).toBeNull()
      const page = await store.revocationsAfter(before, 10)
      expect(page.revocations.map(({ kind, subject }) => [kind, subject])).toEqual([['session', open.id]])
      for (let n = 0; n < 3; n++) await store.openSession(session(user.userId), event())
      expect((await store.endSessionsOf(user.userId, ENDING, event())).sessions).toBe(3)
      expect((await store.endSessionsOf(user.userId, ENDING, event())).sessions).toBe(0)
    })

    test('nobody ends the sessions of a user with one of the roles that they name, also if it is given meanwhile', async () => {
      const { user, session: open } = await logIn()
      const end = () => store.endSession(open.id, null, ENDING, event(), ['ADMIN', 'SUPPORT'])
      const endAll = async () =>
        (await store.endSessionsOf(user.userId, ENDING, event(), ['SUPPORT', 'ADMIN'])).sessions
      const changed = (version: number, roles: string[]) => store.syncAccount({ ...user, version, roles }, NOW, events)
      for (const [version, role] of [
        [2, 'ADMIN'],
        [4, 'SUPPORT'],
      ] as const) {
        await changed(version, ['USER', role])
        expect([await end(), await endAll()]).toEqual([null, 0])
        // Of several at once, each is decided by its own roles.
        const other = await logIn()
        const both = await Promise.all([end(), store.endSession(other.session.id, null, ENDING, event(), [role])])
        expect(both.map((ended) => ended?.sessions ?? 0)).toEqual([0, 1])
        await changed(version + 1, ['USER', `${role}_2`])
      }
      expect((await end())?.sessions).toBe(1)
      await store.openSession(session(user.userId, { version: 5 }), event())
      expect(await endAll()).toBe(1)
    })
  })

  describe('at once', () => {
    test('of many refreshes with one token, one rotates and the others get its answer', async () => {
      const { session: open } = await logIn()
      const refreshes = Array.from({ length: 20 }, () => store.rotateSession(rotation(open.id, 0), events))
      const results = await Promise.all(refreshes)
      expect(results.map(({ outcome }) => outcome).toSorted()).toEqual([...Array(19).fill('repeated'), 'rotated'])
      expect((await store.sessionById(open.id))?.counter).toBe(1)
    })

    test('no session survives a password change that it did not know of', async () => {
      const { user } = await logIn()
      const opened = Array.from({ length: 8 }, () => session(user.userId))
      const change = { ...user, version: 2, passwordHash: 'hash-2' }
      const [first = 'account_changed', ...others] = opened.map((row) => store.openSession(row, event()))
      const [synced, ...outcomes] = await Promise.all([store.syncAccount(change, NOW, events), first, ...others])
      expect(await store.listSessions(user.userId, NOW, { size: 99, page: 1 })).toMatchObject({ total: 0 })
      const ended = new Set(synced.ended.revocations.map(({ subject }) => subject))
      const open = opened.filter((_, index) => outcomes[index] === 'opened')
      expect(open.filter((row) => !ended.has(row.id))).toEqual([])
      expect(synced.ended.sessions).toBe(open.length + 1)
    })

    test('of two logouts of one session, one ends it', async () => {
      const { session: open } = await logIn()
      const before = await store.lastRevocation()
      const ended = await Promise.all([1, 2, 3].map(() => store.endSession(open.id, null, ENDING, event())))
      expect(ended.filter((result) => result !== null)).toHaveLength(1)
      expect((await store.revocationsAfter(before, 10)).revocations).toHaveLength(1)
    })
  })

  test('the numbers of the feed continue after the entries were deleted', async () => {
    const { session: open } = await logIn()
    const until = (await store.endSession(open.id, null, ENDING, event()))?.revocations[0]?.until ?? 0
    const last = await store.lastRevocation()
    await store.forgetExpired(until + 100 * 24 * HOUR)
    // Where several nodes read the feed, they find the last entry.
    const remaining = store.subscribers ? [open.id] : []
    const page = await store.revocationsAfter(0, 10)
    expect([page.revocations.map(({ subject }) => subject), await store.lastRevocation()]).toEqual([remaining, last])
    const next = await logIn()
    expect((await store.endSession(next.session.id, null, ENDING, event()))?.seq).toBeGreaterThan(last)
  })

  describe('keys', () => {
    const key = (kid: string) => ({
      kid,
      alg: 'EdDSA' as const,
      x: 'x',
      sealedPrivateKey: new Uint8Array([1]),
      status: 'pending' as const,
      createdAt: NOW + counter++,
      goneAt: null,
      forAccessTokens: true,
    })

    test('one key signs, earlier ones retire; each change has an entry in the feed', async () => {
      await store.addFirstSigningKey({ ...key('earlier'), status: 'active' }, null)
      // Another node that starts at the same time has a key of its own.
      expect(await store.addFirstSigningKey({ ...key('refused'), status: 'active' }, event())).toBeNull()
      const first = Number(await store.addSigningKey(key('first'), null))
      const activated = await store.activateSigningKey('first', { now: NOW, goneAt: NOW }, null)
      const second = Number(await store.addSigningKey(key('second'), event()))
      const times = { now: NOW, goneAt: NOW + HOUR }
      const last = await store.activateSigningKey('second', times, event())
      expect((await store.signingKeys()).map(({ kid, status, goneAt }) => [kid, status, goneAt])).toEqual([
        ['earlier', 'retiring', NOW],
        ['first', 'retiring', NOW + HOUR],
        ['second', 'active', null],
      ])
      const numbers = [first, activated, second, last, await store.removeSigningKey('first', NOW, null)].map(Number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      expect(new Set(numbers).size).toBe(5)
      expect(await store.removeSigningKey('first', NOW, null)).toBeNull()
    })

    test('at most one key is pending, and one is always active, whatever is asked for', async () => {
      await store.addFirstSigningKey({ ...key('active'), status: 'active' }, null)
      const statuses = async () => {
        const keys = (await store.signingKeys()).filter(({ status }) => status !== 'retiring')
        return keys.map(({ kid, status }) => `${kid} ${status}`)
      }
      const [before = ''] = await statuses()
      const active = before.replace(' active', '')
      expect(await store.addSigningKey(key('next'), null)).not.toBeNull()
      const last = await store.lastRevocation()
      const times = { now: NOW, goneAt: NOW }
      expect(await store.addSigningKey(key('another'), event())).toBeNull()
      for (const kid of [active, 'another', 'unknown'])
        expect(await store.activateSigningKey(kid, times, event())).toBeNull()
      expect(await store.removeSigningKey(active, NOW, event())).toBe('active')
      expect([await statuses(), await store.lastRevocation()]).toEqual([[before, 'next pending'], last])
      await store.removeSigningKey('next', NOW, null)
      expect(await store.activateSigningKey('next', times, event())).toBeNull()
      expect(await statuses()).toEqual([before])
    })
  })

  describe('challenges', () => {
    const hash = () => new Uint8Array(Buffer.from(id()))
    const CODE = HOUR / 6
    /** Queues a mail and makes its link valid. `issue` does so again, as another attempt does. */
    const request = async (
      userId: string,
      { at, purpose = 'password_reset', requestedAt = NOW }: Partial<Challenge> & { at?: number } = {},
    ) => {
      const mailId = id()
      const ids = { mailId, id: id(), purpose, address: 'a@example.org', userId: null, tokenHash: null }
      const times = { requestedAt, codeExpiresAt: requestedAt + CODE, expiresAt: requestedAt + HOUR }
      await store.addChallenge(
        { ...ids, ...times, data: {}, tries: 0, takenAt: null },
        mail({ id: mailId, kind: 'password_reset', requestedAt }),
      )
      const issued = { mailId, tokenHash: hash(), userId, expiresAt: NOW + HOUR }
      const issue = (more: Partial<Issue> = {}, now = at ?? requestedAt) =>
        store.issueChallenge({ ...issued, isOnlyOne: purpose === 'password_reset', ...more }, now, event())
      return { id: ids.id, token: issued.tokenHash, first: await issue(), issue }
    }
    /** Takes a challenge by its token. @returns the user */
    const take = async (tokenHash: Uint8Array, now = NOW, purpose: Challenge['purpose'] = 'password_reset') =>
      (await store.takeChallenge({ tokenHash }, purpose, now))?.userId ?? null

    test('only one request takes a token; a returned token can be taken again, unless it was voided meanwhile', async () => {
      const { user } = await logIn()
      const { id: challengeId, token } = await request(user.userId)
      const tries = await Promise.all(Array.from({ length: 20 }, () => take(token)))
      expect(tries.filter((userId) => userId !== null)).toEqual([user.userId])
      await store.returnChallenge(challengeId)
      expect(await take(token)).toBe(user.userId)
      await store.syncAccount({ ...user, version: 2, passwordHash: 'hash-2' }, NOW, events)
      await store.returnChallenge(challengeId)
      expect(await take(token)).toBeNull()
    })

    test('a newer reset voids an older one; a newer verification does not; each expires', async () => {
      const { user } = await logIn()
      const { token: first } = await request(user.userId)
      const { token: second } = await request(user.userId, { requestedAt: NOW + 1 })
      expect(await take(first)).toBeNull()
      expect(await take(second, NOW + HOUR)).toBeNull()
      expect(await take(second, NOW + HOUR - 1)).toBe(user.userId)
      const verifications = [
        await request(user.userId, { purpose: 'email_verification' }),
        await request(user.userId, { purpose: 'email_verification', requestedAt: NOW + 1 }),
      ]
      for (const { token } of verifications) expect(await take(token, NOW, 'email_verification')).toBe(user.userId)
    })

    test('R5: a mail keeps the link of its first attempt', async () => {
      const { user } = await logIn()
      const { first, id: challengeId, issue, token } = await request(user.userId)
      expect(first).toMatchObject({ tokenHash: Buffer.from(token), expiresAt: NOW + HOUR, codeExpiresAt: NOW + CODE })
      expect(await issue({ tokenHash: hash(), expiresAt: NOW + 2 * HOUR }, NOW + 1)).toEqual(first)
      expect(await take(token)).toBe(user.userId)
      expect(await issue()).toMatchObject({ tokenHash: Buffer.from(token) })
      await store.finishChallenge(challengeId, null)
      expect(await issue()).toBeNull()
      expect(await take(token)).toBeNull()
    })

    test('R5: a link that expired, was voided or was requested earlier is not issued again, and voids none', async () => {
      const { user } = await logIn()
      const { issue } = await request(user.userId)
      expect(await issue({}, NOW + HOUR)).toBeNull()
      const { token } = await request(user.userId, { requestedAt: NOW + 2 })
      expect(await issue()).toBeNull()
      const late = await request(user.userId, { requestedAt: NOW + 1, at: NOW + 3 })
      expect([late.first, await late.issue()]).toEqual([null, null])
      expect(await take(token, NOW + 3)).toBe(user.userId)
    })

    test('R5: a link with a future time, from before the clock was set back, does not block a new one', async () => {
      const { user } = await logIn()
      const ahead = await request(user.userId, { requestedAt: NOW + HOUR / 2, at: NOW })
      const { first, token } = await request(user.userId)
      expect(first).not.toBeNull()
      expect(await take(token)).toBe(user.userId)
      expect(await ahead.issue()).toBeNull()
    })

    test('R5: nothing is issued for a mail that does not exist', async () => {
      const { user } = await logIn()
      const issue = { mailId: id(), tokenHash: hash(), userId: user.userId, expiresAt: NOW + HOUR }
      expect(await store.issueChallenge({ ...issue, isOnlyOne: false }, NOW, event())).toBeNull()
    })

    test('check 41: of tries at once, as many are counted as may be; another purpose and an expired code count as unknown', async () => {
      const { user } = await logIn()
      const { id: challengeId, token } = await request(user.userId)
      expect(await store.tryCode(challengeId, 'email_code', 5, NOW)).toBeNull()
      expect(await take(token, NOW, 'email_code')).toBeNull()
      expect(await store.tryCode(challengeId, 'password_reset', 5, NOW + CODE)).toBeNull()
      const tries = await Promise.all(
        Array.from({ length: 50 }, () => store.tryCode(challengeId, 'password_reset', 5, NOW)),
      )
      expect(tries.filter((each) => each !== null)).toHaveLength(5)
      expect(await store.tryCode(id(), 'password_reset', 5, NOW)).toBeNull()
      // The link is not guessed: it stays.
      expect(await take(token)).toBe(user.userId)
    })

    test('void those of a user by purpose and time; a deletion ends all of them, and the devices', async () => {
      const { user } = await logIn()
      const device = { id: id(), userId: user.userId, tokenHash: hash(), createdAt: NOW, expiresAt: NOW + HOUR }
      await store.addDevice(device, { ip: null, userAgent: null }, event())
      expect(await store.deviceOf(user.userId, device.tokenHash, NOW)).toMatchObject({ id: device.id })
      expect(await store.deviceOf(id(), device.tokenHash, NOW)).toBeNull()
      expect(await store.deviceOf(user.userId, device.tokenHash, NOW + HOUR)).toBeNull()
      const undo = await request(user.userId, { purpose: 'email_undo', requestedAt: NOW })
      const later = await request(user.userId, { purpose: 'email_undo', requestedAt: NOW + 5 })
      await store.voidChallenges(user.userId, ['email_undo'], NOW + 1)
      expect(await take(later.token, NOW, 'email_undo')).toBeNull()
      // A new password removes devices, and leaves the link that undoes a change of the email.
      await store.syncAccount({ ...user, version: 2, passwordHash: 'hash-2' }, NOW, events)
      expect(await store.deviceOf(user.userId, device.tokenHash, NOW)).toBeNull()
      expect(await take(undo.token, NOW, 'email_undo')).toBe(user.userId)
      await store.returnChallenge(undo.id)
      await store.deleteAccount(user.userId, NOW, events)
      expect(await take(undo.token, NOW, 'email_undo')).toBeNull()
    })
  })

  describe('mails in the queue', () => {
    const ask = async (nextAt: number, tries = 0) => {
      const row = mail({ tries, nextAt, data: { userAgent: 'Mozilla/5.0' } })
      await store.addMailRequest(row)
      return row.id
    }
    const due = async (now: number) => (await store.mailRequestsDue(now, now + HOUR, 10)).map((request) => request.id)

    test('are due at their time, or when a clock that ran ahead postponed them; a start makes all due', async () => {
      for (const request of await store.mailRequestsDue(NOW + HOUR, NOW, 100)) await store.removeMailRequest(request.id)
      const [now, soon, late] = [await ask(NOW), await ask(NOW + 5), await ask(NOW + 2 * HOUR)]
      expect(await due(NOW)).toEqual([now, late])
      expect(await store.nextMailRequest(NOW)).toBe(NOW + 5)
      expect(await store.nextMailRequest(NOW + 5)).toBe(NOW + 2 * HOUR)
      await store.postponeMailRequest(now, NOW + 7, 'deferred')
      expect(await due(NOW + 5)).toEqual([soon, late])
      expect(await due(NOW + 7)).toEqual([soon, now, late])
      await store.hastenMailRequests(NOW + 1)
      expect((await due(NOW + 1)).toSorted()).toEqual([now, soon, late].toSorted())
      const [row] = (await store.mailRequestsDue(NOW + 1, NOW + HOUR, 10)).filter((request) => request.id === now)
      expect(row).toMatchObject({ tries: 1, lastError: 'deferred', linkAt: null, data: { userAgent: 'Mozilla/5.0' } })
      expect((await store.waitingMails()).count).toBe(3)
      for (const requestId of [now, soon, late]) await store.removeMailRequest(requestId)
      expect([(await store.waitingMails()).count, await store.nextMailRequest(0)]).toEqual([0, null])
    })
  })

  describe('mails that were sent or have failed', () => {
    const DAY = 24 * HOUR
    const SENT = { status: 'sent', attempts: 1, lastError: null } as const
    const FAILED = { status: 'failed', attempts: 1, lastError: 'mailbox_refused' } as const
    const queue = async (changes: Partial<MailRequest> = {}) => {
      const row = mail(changes)
      await store.addMailRequest(row)
      return row
    }
    /** A challenge of a mail, and what the first attempt to send the mail adds to it. */
    const issued = ({ id: mailId, requestedAt }: MailRequest, purpose: Challenge['purpose']) => {
      const times = { requestedAt, codeExpiresAt: requestedAt + HOUR, expiresAt: requestedAt + HOUR }
      const more = { userId: null, data: {}, tokenHash: null, tries: 0, takenAt: null }
      const request: Challenge = { id: id(), purpose, address: 'a@example.org', mailId, ...times, ...more }
      const issue: Issue = { mailId, userId: id(), tokenHash: Buffer.from(id()), ...times, isOnlyOne: false }
      return { request, issue }
    }
    const listed = async (filter: MailFilter = {}) => (await store.listMails(filter, { size: 200, page: 1 })).rows

    test('leave the queue, and are not queued again by a repeated notice', async () => {
      const [sent, failed] = [await queue({ tries: 2 }), await queue()]
      await store.finishMailRequest(sent.id, SENT, NOW + 5)
      await store.finishMailRequest(failed.id, FAILED, NOW + 6)
      const { request: repeated } = issued(sent, 'email_verification')
      await store.addMailRequest(sent)
      await store.addMailRequest(failed)
      await store.addChallenge(repeated, sent)
      expect([(await store.waitingMails()).count, await store.nextMailRequest(0)]).toEqual([0, null])
      expect(await store.tryCode(repeated.id, repeated.purpose, 5, NOW)).toBeNull()
      expect(await store.mailById(sent.id)).toMatchObject({
        status: 'sent',
        tries: 3,
        lastError: null,
        finishedAt: NOW + 5,
      })
      expect(await store.mailById(failed.id)).toMatchObject({
        status: 'failed',
        tries: 1,
        lastError: 'mailbox_refused',
      })
      // Another node may find that the mail was sent after all, and never that it was not.
      await store.finishMailRequest(failed.id, SENT, NOW + 7)
      await store.finishMailRequest(sent.id, FAILED, NOW + 7)
      expect((await listed()).map(({ status }) => status)).toEqual(['sent', 'sent'])
    })

    test('are listed with those that wait, newest first, by pages and by cursors', async () => {
      await store.forgetMails(NOW + DAY)
      const [ana, ben] = [id(), id()]
      const all: MailRequest[] = []
      for (let n = 0; n < 9; n++)
        // Three at each time: their ids decide.
        all.push(
          await queue({
            requestedAt: NOW + Math.floor(n / 3),
            userId: n % 2 ? ana : ben,
            kind: n % 2 ? 'notice' : 'device',
          }),
        )
      const ids = (rows: { id: string }[]) => rows.map((row) => row.id)
      const newest = ids(all).reverse()
      const walk = async (filter: MailFilter, between: (page: number) => Promise<unknown>) => {
        const seen: string[] = []
        let after: (string | number)[] | undefined
        for (let page = 0; ; page++) {
          const slice = await store.listMails(filter, after ? { size: 2, after } : { size: 2, page: 1 })
          seen.push(...ids(slice.rows))
          if (!slice.next) return seen
          after = slice.next
          await between(page)
        }
      }
      // Mails change the table while someone walks: each is seen once.
      const finish = (n: number) => store.finishMailRequest(all[n]?.id ?? '', n % 4 ? SENT : FAILED, NOW)
      expect(await walk({}, async (page) => [await finish(page), await finish(8 - page)])).toEqual(newest)
      await store.retryMail(all[0]?.id ?? '', false, NOW, event())
      expect(await walk({}, async () => 0)).toEqual(newest)
      expect(await walk({ userId: ana }, async () => 0)).toEqual(
        ids(all.filter(({ userId }) => userId === ana)).reverse(),
      )
      expect(ids(await listed({ kind: 'device', userId: ben }))).toEqual(
        ids(all.filter(({ kind }) => kind === 'device')).reverse(),
      )
      const byStatus = { queued: [4, 0], sent: [7, 6, 5, 3, 2, 1], failed: [8] }
      for (const [status, expected] of Object.entries(byStatus) as [MailStatus, number[]][])
        expect([status, ids(await listed({ status }))]).toEqual([status, expected.map((n) => all[n]?.id ?? '')])
      const page = await store.listMails({}, { size: 4, page: 2 })
      expect([page.total, ids(page.rows)]).toEqual([9, newest.slice(4, 8)])
      expect((await store.listMails({ status: 'sent' }, { size: 4, page: 1 })).total).toBe(6)
      for (const { id } of all) await store.finishMailRequest(id, SENT, NOW)
    })

    test('a failed one is queued again as long as its link is valid; one that waits becomes due', async () => {
      const { user } = await logIn()
      const row = mail({ kind: 'email_verification', userId: user.userId })
      const { issue, request } = issued(row, 'email_verification')
      issue.userId = user.userId
      await store.addChallenge(request, row)
      const waits = await queue({ nextAt: NOW + 2 * HOUR })
      const retry = (mailId: string, hasChallenge = false) => store.retryMail(mailId, hasChallenge, NOW + 9, event())
      expect(await retry(waits.id)).toBe('queued')
      expect((await store.mailRequestsDue(NOW + 9, NOW + 2 * HOUR, 9)).map((due) => due.id)).toContain(waits.id)
      expect(await store.issueChallenge(issue, NOW, null)).not.toBeNull()
      await store.finishMailRequest(row.id, FAILED, NOW)
      expect(await retry(row.id, true)).toBe('queued')
      const again = (await store.mailRequestsDue(NOW + 9, NOW + HOUR, 9)).find((due) => due.id === row.id)
      expect(again).toMatchObject({
        tries: 0,
        lastError: null,
        linkAt: null,
        requestedAt: NOW,
        data: { retriedAt: NOW + 9 },
      })
      // The second attempt makes the link valid for as long as the first one did.
      const renewed = await store.issueChallenge({ ...issue, expiresAt: NOW + 3 * HOUR }, NOW + 9, null)
      expect(renewed?.expiresAt).toBe(NOW + 3 * HOUR)
      await store.finishMailRequest(row.id, FAILED, NOW)
      await store.voidChallenges(user.userId, ['email_verification'])
      expect(await retry(row.id, true)).toBe('void')
      await store.finishMailRequest(waits.id, SENT, NOW)
      expect([await retry(waits.id), await retry(id())]).toEqual(['sent', 'unknown'])
      expect((await store.waitingMails()).count).toBe(0)
    })

    test('are queued with the row of the audit that names who caused them, or neither is', async () => {
      const user = account({ roles: ['USER', 'ADMIN'] })
      const { userId } = user
      await store.syncAccount(user, NOW, events)
      const rows = async () => (await store.listAuditEvents({ userId }, { size: 9, page: 1 })).rows
      const before = await rows()
      const add = (more: { withoutRoles?: string[] }, row = mail({ kind: 'invitation', userId })) => {
        const invited = event('user.invited', userId)
        const request = { ...issued(row, 'invitation').request, userId }
        return { invited, row, request, added: store.addChallenge(request, row, { ...more, event: invited }) }
      }
      const { added, invited, request, row } = add({ withoutRoles: ['SUPPORT'] })
      expect(await added).toBe(true)
      expect(await rows()).toEqual([invited, ...before])
      // One that is repeated, and one that is refused.
      expect(await store.addChallenge(request, row, { event: invited })).toBe(true)
      expect(await add({ withoutRoles: ['ADMIN'] }).added).toBe(false)
      expect(await rows()).toEqual([invited, ...before])
      expect(await listed({ userId })).toHaveLength(1)
      await store.finishMailRequest(row.id, SENT, NOW)
    })

    test('of a user with one of the named roles are not queued, and void no earlier one', async () => {
      const user = account({ roles: ['USER', 'ADMIN'] })
      const { userId } = user
      await store.syncAccount(user, NOW, events)
      const add = (withoutRoles: string[]) => {
        const row = mail({ kind: 'invitation', userId })
        const { issue, request } = issued(row, 'invitation')
        const added = store.addChallenge({ ...request, userId }, row, { withoutRoles })
        return { added, take: () => store.issueChallenge({ ...issue, userId }, NOW, null) }
      }
      const first = add(['SUPPORT'])
      expect(await first.added).toBe(true)
      const [queued] = await listed({ userId })
      expect(await add(['SUPPORT', 'ADMIN']).added).toBe(false)
      expect(await listed({ userId })).toEqual(queued ? [queued] : [])
      expect(await first.take()).not.toBeNull()
      await store.finishMailRequest(queued?.id ?? '', SENT, NOW)
    })

    test('are gone with their user, whoever is known by then, and after their time', async () => {
      const { user } = await logIn()
      const row = mail({ kind: 'password_reset' })
      const { issue, request } = issued(row, 'password_reset')
      await store.addChallenge(request, row)
      await store.issueChallenge({ ...issue, userId: user.userId }, NOW, null)
      const late = await queue({ userId: user.userId })
      await store.finishMailRequest(row.id, SENT, NOW)
      expect((await listed({ userId: user.userId })).map(({ status }) => status)).toEqual(['queued', 'sent'])
      await store.deleteAccount(user.userId, NOW, events)
      await store.finishMailRequest(late.id, SENT, NOW)
      expect(await listed({ userId: user.userId })).toEqual([])
      const [old, young] = [await queue(), await queue()]
      await store.finishMailRequest(old.id, SENT, NOW + DAY)
      await store.finishMailRequest(young.id, FAILED, NOW + 2 * DAY)
      await store.forgetMails(NOW + 2 * DAY)
      expect((await listed()).map((each) => each.id)).toEqual([young.id])
    })
  })

  describe('events of sessions', () => {
    const webhook: Webhook = {
      id: id(),
      url: 'https://example.org',
      description: null,
      types: [],
      sealedSecret: new Uint8Array(8),
      status: 'active',
      createdAt: NOW,
    }
    beforeAll(() => store.addWebhook(webhook, 99, event()))
    afterAll(() => store.removeWebhook(webhook.id, NOW, event()))
    /** The events of a user, oldest first. */
    const eventsOf = async (userId: string) => {
      const { rows } = await store.listDeliveries({ target: webhook.id }, { size: 200, page: 1 })
      const ofUser = rows.map((row) => row.event).filter((candidate) => candidate.userId === userId)
      return ofUser.reverse().map(({ at, data, type }) => [type, data.session_id, data.reason ?? data.kind, at])
    }
    const LATER = NOW + 2 * HOUR
    const ENDED_BY: [reason: string, end: (user: SyncedAccount) => Promise<unknown>][] = [
      ['operator', ({ userId }) => store.endSessionsOf(userId, { reason: 'operator', now: LATER }, event())],
      ['operator', () => store.endAllSessions({ reason: 'operator', now: LATER }, event())],
      ['password_changed', (user) => store.syncAccount({ ...user, version: 2, passwordHash: '2' }, LATER, events)],
      ['account_disabled', (user) => store.syncAccount({ ...user, version: 2, status: 'disabled' }, LATER, events)],
      ['account_deleted', ({ userId }) => store.deleteAccount(userId, LATER, events)],
    ]

    test.each(ENDED_BY)(
      'report the end of each session once, and not of those that had expired: %s',
      async (reason, end) => {
        const { session: first, user } = await logIn()
        const expired = session(user.userId, { expiresAt: LATER })
        const ended = session(user.userId, { endsAt: LATER })
        for (const opened of [expired, ended]) await store.openSession(opened, event())
        await end(user)
        await end(user)
        expect(await eventsOf(user.userId)).toEqual([
          ...[first, expired, ended].map((opened) => ['session.created', opened.id, 'v1', NOW]),
          ['session.revoked', first.id, reason, LATER],
        ])
      },
    )

    test('are not written for a session that was not opened, nor without a subscriber', async () => {
      const { session: first, user } = await logIn()
      const unknown = id()
      expect(await store.openSession(session(unknown), event())).toBe('account_changed')
      await store.setWebhookStatus(webhook.id, 'disabled', NOW, event())
      await store.openSession(session(user.userId), event())
      await store.endSessionsOf(user.userId, ENDING, event())
      await store.setWebhookStatus(webhook.id, 'active', NOW, event())
      expect(await eventsOf(user.userId)).toEqual([['session.created', first.id, 'v1', NOW]])
      expect(await eventsOf(unknown)).toEqual([])
    })
  })

  describe('limits', () => {
    const WINDOW = 60_000
    const hit = (now: number) => store.countHit('rule', 'subject', WINDOW, now)

    test('count a hit that is written after a later one: the clocks of nodes differ, and requests overtake each other', async () => {
      await hit(NOW)
      await hit(NOW - 1)
      expect(await hit(NOW - 2000)).toEqual({ count: 3, since: NOW })
      expect(await hit(NOW + WINDOW - 1)).toEqual({ count: 4, since: NOW })
      expect(await hit(NOW + WINDOW)).toEqual({ count: 1, since: NOW + WINDOW })
    })

    test('begin again when the clock was set back', async () => {
      await hit(NOW)
      expect(await hit(NOW - 2001)).toEqual({ count: 1, since: NOW - 2001 })
    })

    test('keep the times of others that are slightly later, and drop those of a clock that was set back', async () => {
      const once = (times: readonly number[]) => (times.length > 0 ? Number.POSITIVE_INFINITY : 0)
      const rule = { name: 'pace', window: WINDOW, next: once }
      expect(await store.keepPace(rule, 'subject', NOW)).toBe(0)
      expect(await store.keepPace(rule, 'subject', NOW - 2000)).toBe(Number.POSITIVE_INFINITY)
      expect(await store.keepPace(rule, 'subject', NOW - 2001)).toBe(0)
    })
  })

  describe('failed logins', () => {
    test('are kept for a day, and can be cleared or forgotten', async () => {
      const subject = `account:${id()}`
      await store.recordFailure([subject], NOW, () => [event('login.failed')])
      await store.recordFailure([subject], NOW + 5, () => [])
      expect(await store.loginFailures(subject)).toEqual({ subject, times: [NOW, NOW + 5], clearedAt: 0 } as never)
      await store.clearFailures(subject, NOW + 6, 'keep')
      expect(await store.loginFailures(subject)).toMatchObject({ times: [NOW, NOW + 5], clearedAt: NOW + 6 })
      await store.recordFailure([subject], NOW + 24 * HOUR + 1, () => [])
      expect((await store.loginFailures(subject)).times).toEqual([NOW + 5, NOW + 24 * HOUR + 1])
      await store.forgetFailures(NOW + 72 * HOUR)
      expect((await store.loginFailures(subject)).times).toEqual([])
    })
  })

  describe('the audit', () => {
    test('stores an event once, and is listed from the newest', async () => {
      const userId = id()
      const events = Array.from({ length: 5 }, () => event('test.walked', userId))
      for (const added of events) await store.addAuditEvent(added)
      await store.addAuditEvent(events[0] as AuditEvent)
      const first = await store.listAuditEvents({ userId, type: 'test.walked' }, { size: 3, page: 1 })
      expect([first.total, first.rows.map((row) => row.id)]).toEqual([5, [4, 3, 2].map((n) => events[n]?.id ?? '')])
      const rest = await store.listAuditEvents({ userId, type: 'test.walked' }, { size: 3, after: first.next ?? [] })
      expect([rest.rows.map((row) => row.id), rest.next]).toEqual([[1, 0].map((n) => events[n]?.id ?? ''), null])
    })

    test('is listed by several types, page by page, however many others lie between', async () => {
      const userId = id()
      const types = ['test.shown', 'test.seen']
      const events = Array.from({ length: 60 }, (_, n) => event(n % 20 === 0 ? 'test.shown' : 'test.hidden', userId))
      for (const added of [...events, event('test.seen', userId), event('test.shown', id())])
        await store.addAuditEvent(added)
      const pages = [await store.listAuditEvents({ userId, types }, { size: 1, page: 1 })]
      for (let after = pages[0]?.next; after; after = pages.at(-1)?.next)
        pages.push(await store.listAuditEvents({ userId, types }, { size: 1, after }))
      expect(pages.map(({ rows }) => rows.map(({ type }) => type))).toEqual([
        ['test.seen'],
        ...Array(3).fill(['test.shown']),
      ])
      expect([pages[0]?.total, pages.at(-1)?.next]).toEqual([4, null])
      expect((await store.listAuditEvents({ userId, types: [] }, { size: 1, page: 1 })).rows).toEqual([])
    })

    test('is listed from a row on, oldest first', async () => {
      const userId = id()
      const events = Array.from({ length: 4 }, () => event('test.followed', userId))
      for (const added of events) await store.addAuditEvent(added)
      const after = (await store.placeOfAuditEvent(events[0]?.id ?? '')) ?? []
      const first = await store.listAuditEvents({ userId }, { size: 2, after }, 'oldest first')
      const rest = await store.listAuditEvents({ userId }, { size: 2, after: first.next ?? [] }, 'oldest first')
      expect([...first.rows, ...rest.rows].map((row) => row.id)).toEqual(events.slice(1).map((added) => added.id))
      expect([rest.next, await store.placeOfAuditEvent(id())]).toEqual([null, null])
    })
  })

  test('keeps facts, answers a probe, and has an epoch', async () => {
    expect(await store.fact('nothing')).toBeNull()
    await store.setFact('something', 'one')
    await store.setFact('something', 'two')
    expect(await store.fact('something')).toBe('two')
    await store.probe()
    expect(store.epoch).toMatch(/^[0-9a-f-]{36}$/)
  })
}
