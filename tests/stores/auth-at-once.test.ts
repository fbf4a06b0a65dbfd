import { describe, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore, SyncedAccount } from '../../services/auth/store/index.ts'
import { AT_ONCE, FEW_COMMITS, newUsers, ofEach, openBoth, testChanges, type Written, written } from './at-once.ts'
import { account, event, NOW, session } from './auth-suite.ts'

const stores = await openBoth((config) => openAuthStore(config, { amqp: true }))

const USER_AND_SESSIONS = [{ kind: 'user' }, { kind: 'session' }, { kind: 'session' }]
const ENDING = { reason: 'logout', now: NOW } as const
/** Gives the record of a user whose changes ended what was open before a version. */
const recordOf = (userId: string, { version = 1, ...changes }: Partial<SyncedAccount> = {}): SyncedAccount => ({
  ...account({ userId, email: `${userId}@example.org`, version, ...changes }),
  marks: { sessionsFrom: version, sessionKept: null, allSessionsFrom: version, tokensFrom: version },
})
/** Adds accounts, each with two sessions. */
async function logInAll(auth: AuthStore, ids: readonly string[]): Promise<void> {
  await ofEach(ids, (userId) => auth.syncAccount(recordOf(userId), NOW, event))
  for (const _ of ['one', 'two']) await ofEach(ids, (userId) => auth.openSession(session(userId), event()))
}
const sessionsOf = async (auth: AuthStore, userId: string) =>
  (await auth.listSessions(userId, NOW, { size: 10, page: 1 })).rows.length

const HOUR = 3_600_000
/** Requests a link for a user. The challenge and its mail have the id of the user. */
const requestLink = (auth: AuthStore, userId: string, { mailKind }: Pick<Written, 'mailKind'> = written()) =>
  auth.addChallenge(
    {
      id: userId,
      mailId: userId,
      userId,
      purpose: 'password_reset',
      address: `${userId}@example.org`,
      data: {},
      tokenHash: null,
      requestedAt: NOW,
      codeExpiresAt: NOW + HOUR,
      expiresAt: NOW + HOUR,
      tries: 0,
      takenAt: null,
    },
    {
      id: userId,
      kind: mailKind,
      email: `${userId}@example.org`,
      userId,
      locale: 'en',
      data: {},
      requestedAt: NOW,
      ip: null,
      requestId: null,
      tries: 0,
      nextAt: NOW,
      linkAt: null,
      lastError: null,
    },
  )
const hashOf = (user: string) => new TextEncoder().encode(user)
/** Finds the sessions of a user. */
const sessionIn = async (auth: AuthStore, userId: string) =>
  (await auth.listSessions(userId, NOW, { size: 1, page: 1 })).rows[0]

testChanges(stores, {
  'get another password': {
    prepare: logInAll,
    make: (auth, userId, { event: newEvent }) =>
      auth.syncAccount(recordOf(userId, { version: 2, passwordHash: 'another' }), NOW, newEvent),
    result: {
      outcome: 'synced',
      newPassword: true,
      ended: { sessions: 2, revocations: USER_AND_SESSIONS },
    },
    changed: (auth, ids) =>
      ofEach(ids, async (id) => {
        const isChanged = (await auth.accountById(id))?.passwordHash === 'another'
        expect(await sessionsOf(auth, id)).toBe(isChanged ? 0 : 2)
        return isChanged
      }),
  },
  'lose their accounts': {
    prepare: logInAll,
    make: (auth, userId, { event: newEvent }) => auth.deleteAccount(userId, NOW, newEvent),
    result: { sessions: 2, revocations: USER_AND_SESSIONS },
    changed: (auth, ids) => ofEach(ids, async (id) => (await auth.accountById(id)) === null),
  },
  'are dropped from the cache': {
    prepare: logInAll,
    make: (auth, userId, { event: newEvent }) => auth.dropAccount(userId, newEvent()),
    result: true,
    changed: (auth, ids) => ofEach(ids, async (id) => (await auth.accountById(id))?.cached === false),
  },
  'have an event': {
    make: (auth, userId) => auth.addEvents([{ id: userId, type: 'user.updated', at: NOW, userId, data: {} }], NOW),
    result: undefined,
    async changed(auth, ids) {
      const { rows } = await auth.listDeliveries({}, { size: 10_000, page: 1 })
      const events = new Set(rows.map(({ event: { id } }) => id))
      return ids.map((id) => events.has(id))
    },
    isSilent: true,
  },
  'end all their sessions': {
    prepare: logInAll,
    make: (auth, userId, { event: newEvent }) => auth.endSessionsOf(userId, ENDING, newEvent()),
    result: { sessions: 2, revocations: USER_AND_SESSIONS.slice(1) },
    changed: (auth, ids) => ofEach(ids, async (id) => (await sessionsOf(auth, id)) === 0),
  },
  'ask for a link': {
    make: requestLink,
    result: true,
    changed: (auth, ids) => ofEach(ids, (id) => auth.hasChallenge(id)),
  },
  'are sent a link': {
    prepare: (auth, ids) => ofEach(ids, (id) => requestLink(auth, id)),
    make: (auth, id, { event: newEvent }) =>
      auth.issueChallenge(
        { mailId: id, userId: id, tokenHash: hashOf(id), expiresAt: NOW + 2 * HOUR, isOnlyOne: true },
        NOW,
        newEvent(),
      ),
    result: { purpose: 'password_reset', expiresAt: NOW + 2 * HOUR },
    changed: (auth, ids) =>
      ofEach(ids, async (id) => (await auth.takeChallenge({ tokenHash: hashOf(id) }, 'password_reset', NOW)) !== null),
  },
  'have used a link': {
    prepare: (auth, ids) => ofEach(ids, (id) => requestLink(auth, id)),
    make: (auth, id, { event: newEvent }) => auth.finishChallenge(id, newEvent()),
    result: undefined,
    changed: (auth, ids) => ofEach(ids, async (id) => !(await auth.hasChallenge(id))),
  },
  'confirm a device': {
    make: (auth, id, { event: newEvent }) =>
      auth.addDevice(
        { id, userId: id, tokenHash: hashOf(id), createdAt: NOW, expiresAt: NOW + HOUR },
        { ip: null, userAgent: null },
        newEvent(),
      ),
    result: undefined,
    changed: (auth, ids) => ofEach(ids, async (id) => (await auth.deviceOf(id, hashOf(id), NOW)) !== null),
  },
  'authenticate again': {
    prepare: logInAll,
    async make(auth, id, { event: newEvent }) {
      const { id: sessionId = '' } = (await sessionIn(auth, id)) ?? {}
      const renewal = { sessionId, now: NOW + 1, methods: ['email'] as const, accessUntil: NOW + 2 * HOUR }
      return await auth.renewAuthentication(renewal, newEvent())
    },
    result: { session: { authTime: NOW + 1, amr: ['pwd', 'email'] } },
    changed: (auth, ids) => ofEach(ids, async (id) => (await sessionIn(auth, id))?.authTime === NOW + 1),
  },
  'fail to log in': {
    make: (auth, user, { event: newEvent }) =>
      auth.recordFailure([`account:${user}`, 'address:1'], NOW, () => [newEvent()]),
    result: undefined,
    changed: (auth, ids) => ofEach(ids, async (id) => (await auth.loginFailures(`account:${id}`)).times.length === 1),
  },
})

describe.each(stores.both)('accounts that change at once on %s', (_, auth) => {
  test('end their sessions, each with the number of the last entry of its own', async () => {
    const ids = newUsers()
    await logInAll(auth, ids)
    const before = await auth.lastRevocation()
    const results = await Promise.all(
      ids.map((id, n) =>
        n % 2 === 0
          ? auth.syncAccount(recordOf(id, { version: 2 }), NOW, event).then(({ ended }) => ended)
          : auth.endSessionsOf(id, ENDING, event()),
      ),
    )
    const subjects = new Map<number, string>()
    for (let after = before; subjects.size < 2.5 * AT_ONCE; ) {
      const { revocations, seq } = await auth.revocationsAfter(after, 1)
      expect(seq).toBeGreaterThan(after)
      subjects.set(seq, revocations[0]?.subject ?? '')
      after = seq
    }
    for (const { revocations, seq } of results) expect(subjects.get(seq)).toBe(revocations.at(-1)?.subject ?? 'none')
  })

  test('and take the email of another, leave it to the one who has it', async () => {
    const [one = '', two = '', three = ''] = newUsers()
    await logInAll(auth, [one, two])
    const email = `${one}@example.org`
    // The last is about an older version: it ends sessions, and says nothing of the email.
    const late = { ...recordOf(one), marks: { sessionsFrom: 5, sessionKept: null, allSessionsFrom: 5, tokensFrom: 5 } }
    await Promise.all([
      auth.syncAccount(recordOf(two, { version: 2, email }), NOW, event),
      auth.syncAccount(recordOf(three, { version: 1 }), NOW, event),
      auth.syncAccount({ ...late, email: `old-${email}`, version: 0 }, NOW, event),
    ])
    expect(await auth.accountById(two)).toMatchObject({ email, cached: true })
    expect(await auth.accountById(one)).toMatchObject({ email, cached: false, sessionsFrom: 5, tokensFrom: 5 })
    expect(await auth.accountByEmail(email)).toMatchObject({ userId: two })
    expect([await sessionsOf(auth, one), await sessionsOf(auth, two)]).toEqual([0, 0])
  })
})

test.each(stores.both)(
  'logins of one address that fail at once on %s each count after those before it',
  async (_, auth) => {
    const counts: number[][] = []
    const address = `address:${newUsers()[0]}`
    const before = await auth.listAuditEvents({ type: 'test.failed' }, { size: 1, page: 1 })
    await Promise.all(
      newUsers().map((user, n) =>
        auth.recordFailure([`account:${user}`, address], NOW + n, (failures) => {
          counts[n] = failures.map(({ times }) => times.length)
          return [event('test.failed')]
        }),
      ),
    )
    expect(counts).toEqual(Array.from({ length: AT_ONCE }, (__, n) => [1, n + 1]))
    const expected = Array.from({ length: AT_ONCE }, (__, n) => NOW + n)
    expect((await auth.loginFailures(address)).times).toEqual(expected)
    const { total } = await auth.listAuditEvents({ type: 'test.failed' }, { size: 1, page: 1 })
    expect((total ?? 0) - (before.total ?? 0)).toBe(AT_ONCE)
  },
)

test('logins that begin at once take a few commits on PostgreSQL, and one of them the last place of an address', async () => {
  const { commitsDuring, onPostgres: auth } = stores
  await auth.registerNode({ process: 'one', address: '', version: '' }, NOW)
  const isFree = (index: number, _: unknown, underWay: number) => underWay < (index === 0 ? 9 : 1)
  const users = newUsers()
  const commits = await commitsDuring(async () => {
    const results = await Promise.all(
      users.map((user, n) => auth.takePlaces(n, ['address:full', `account:${user}`], isFree)),
    )
    expect(results.map(({ hasPlaces }) => hasPlaces)).toEqual(users.map((_, n) => n < 9))
    const returned = await Promise.all(users.map((_, n) => auth.leavePlaces([n, 0])))
    expect(returned).toEqual(users.map((_, n) => (n < 9 ? [n] : [])))
  })
  expect(commits).toBeLessThan(FEW_COMMITS)
  await auth.leaveNodes()
})
