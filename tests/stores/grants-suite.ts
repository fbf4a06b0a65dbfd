import { afterAll, beforeAll, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import type {
  AuthorizationCode,
  AuthStore,
  Client,
  CodeUse,
  Session,
  SyncedAccount,
} from '../../services/auth/store/index.ts'
import { HOUR, MINUTE } from '../../services/kit/clock.ts'
import { EVERY_VERSION } from '../../services/kit/tokens/revocations.ts'
import { account, event, id, NOW, rotation, session } from './auth-suite.ts'
import { clientOf } from './clients-suite.ts'

const UNTIL = NOW + HOUR
const ENDING = { reason: 'logout', now: NOW } as const
const ONLINE = ['openid']
const OFFLINE = ['openid', 'offline_access']

/** Adds a user who is signed in, and a client that is told of logouts. */
export async function signedIn(
  store: AuthStore,
  changes: Partial<SyncedAccount> = {},
): Promise<{ session: Session; client: Client }> {
  const user = account(changes)
  await store.syncAccount(user, NOW, event)
  const opened = session(user.userId)
  await store.openSession(opened, event())
  return { session: opened, client: await addedClient(store) }
}

async function addedClient(store: AuthStore): Promise<Client> {
  const client = clientOf({ backchannelLogoutUri: 'https://shop.example.org/logout' })
  await store.addClient(client, null, 10_000, event())
  return client
}

/** The marks of a change that ends every session opened before a version of the account. */
function marksFrom(version: number) {
  return { sessionsFrom: version, tokensFrom: 0, allSessionsFrom: version, sessionKept: null }
}

/** Lets a user allow a client scopes. @returns whether their session still lets them */
export function consentTo(
  store: AuthStore,
  { client, session }: { session: Session; client: Client },
  scopes: string[],
) {
  const { id: sessionId, userId } = session
  return store.giveConsent({ userId, sessionId, clientId: client.id, scopes, givenAt: NOW }, event())
}

/** Adds a code for what a user gave a client. */
export async function addedCode(
  store: AuthStore,
  { client, session: { id: sessionId, userId } }: { session: Session; client: Client },
  scopes: string[],
  changes: Partial<AuthorizationCode> = {},
): Promise<Buffer> {
  const hash = randomBytes(32)
  await store.addCode({
    hash,
    clientId: client.id,
    userId,
    sessionId,
    redirectUri: 'https://shop.example.org/ä',
    scopes,
    resource: null,
    nonce: 'n 🐎',
    codeChallenge: null,
    createdAt: NOW,
    expiresAt: NOW + MINUTE,
    version: 1,
    authTime: NOW,
    amr: ['pwd'],
    usedAt: null,
    grantId: null,
    ...changes,
  })
  return hash
}

/** The use of a code. */
export function codeUse(hash: Uint8Array, changes: Partial<CodeUse> = {}): CodeUse {
  const grantId = id()
  return {
    hash,
    now: NOW,
    grantId,
    clientVersion: 1,
    firstParty: true,
    accessUntil: NOW + HOUR,
    offlineSession: ({ userId }) => session(userId, { id: grantId, ofGrant: true }),
    event: ({ userId }) => event('grant.issued', userId),
    ...changes,
  }
}

/**
 * The tests of grants that every auth store must pass.
 * @param open opens an empty store, which the suite closes
 */
export function grantStoreSuite(open: () => Promise<AuthStore>): void {
  let store: AuthStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  type SignedIn = Awaited<ReturnType<typeof signedIn>>
  /** Gives the client of a user a grant. */
  const granted = async (of: SignedIn, scopes: string[], changes: Partial<CodeUse> = {}) => {
    const used = await store.useCode(codeUse(await addedCode(store, of, scopes), changes))
    if (used.outcome !== 'granted') throw new Error(used.outcome)
    return used
  }
  const outcome = async (hash: Uint8Array, changes: Partial<CodeUse> = {}) =>
    (await store.useCode(codeUse(hash, changes))).outcome
  const listed = async ({ session: { userId } }: SignedIn, now = NOW) => await store.grantsOf(userId, now)
  const subjectsOf = async (work: () => Promise<unknown>) => {
    const before = await store.lastRevocation()
    await work()
    return (await store.revocationsAfter(before, 100)).revocations.map(({ subject }) => subject).sort()
  }
  /** The sessions of which a client is to be told. */
  const noticesTo = async (client: Client) => {
    const due = await store.clientLogoutsDue(NOW)
    return due.filter(({ clientId }) => clientId === client.id).map(({ sessionId }) => sessionId)
  }

  test('a code is returned as it was added, and unknown ones do not exist', async () => {
    const of = await signedIn(store)
    const hash = await addedCode(store, of, OFFLINE, { resource: 'https://orders.example.org', amr: ['pwd', 'mfa'] })
    const code = await store.code(hash)
    expect(code).toMatchObject({
      clientId: of.client.id,
      nonce: 'n 🐎',
      scopes: OFFLINE,
      amr: ['pwd', 'mfa'],
      usedAt: null,
    })
    expect(code?.hash.toString()).toBe(hash.toString())
    expect([await store.code(randomBytes(32)), await outcome(randomBytes(32))]).toEqual([null, 'gone'])
  })

  test('a code works once, within its life, and a second use ends what it gave whenever it comes', async () => {
    for (const scopes of [ONLINE, OFFLINE]) {
      const of = await signedIn(store)
      expect(await outcome(await addedCode(store, of, scopes), { now: NOW + MINUTE })).toBe('gone')
      const hash = await addedCode(store, of, scopes)
      const first = await store.useCode(codeUse(hash, { now: NOW + MINUTE - 1 }))
      if (first.outcome !== 'granted') throw new Error(first.outcome)
      expect(await listed(of)).toHaveLength(1)
      const subjects = await subjectsOf(async () => expect(await outcome(hash, { now: NOW + HOUR / 2 })).toBe('used'))
      expect(subjects).toEqual([first.grant.id])
      expect([await store.grant(first.grant.id), await listed(of)]).toEqual([null, []])
      expect(await outcome(hash)).toBe('used')
    }
  })

  test('of 30 uses of a code at once, one at most gives a grant, and it has ended then', async () => {
    for (const scopes of [ONLINE, OFFLINE]) {
      const of = await signedIn(store)
      const hash = await addedCode(store, of, scopes)
      const outcomes = await Promise.all(Array.from({ length: 30 }, () => outcome(hash)))
      expect(outcomes.toSorted()).toEqual(['granted', ...Array(29).fill('used')])
      expect(await listed(of)).toEqual([])
    }
  })

  test('a session has one grant of a client, and as many with offline access as were given', async () => {
    const of = await signedIn(store)
    const [first, second] = [await granted(of, ONLINE), await granted(of, ['openid', 'email'], { accessUntil: NOW })]
    expect(second.grant.id).toBe(first.grant.id)
    expect(second.grant).toMatchObject({ scopes: ['openid', 'email'], accessUntil: first.grant.accessUntil })
    expect(first.session.id).toBe(of.session.id)
    const offline = [await granted(of, OFFLINE), await granted(of, OFFLINE)]
    for (const { grant, session: ofGrant } of offline) expect(ofGrant).toMatchObject({ id: grant.id, ofGrant: true })
    expect(await listed(of)).toHaveLength(3)
    expect((await store.sessionById(of.session.id))?.accessUntil).toBe(NOW + HOUR)
  })

  test('a code gives nothing after its session has ended, or its account has changed', async () => {
    const ends: ((of: SignedIn) => Promise<unknown>)[] = [
      ({ session: { id: sessionId } }) => store.endSession(sessionId, null, ENDING, event()),
      ({ session: { userId } }) => store.syncAccount(account({ userId, status: 'disabled', version: 2 }), NOW, event),
      ({ session: { userId } }) => store.deleteAccount(userId, NOW, event),
    ]
    for (const end of ends) {
      const of = await signedIn(store)
      const hash = await addedCode(store, of, OFFLINE)
      await end(of)
      expect(await outcome(hash)).toBe('gone')
    }
  })

  test('the end of a session ends its grants, tells each client once, and leaves those with offline access', async () => {
    const of = await signedIn(store)
    const other = { ...of, client: await addedClient(store) }
    const [online, offline, foreign] = [
      await granted(of, ONLINE),
      await granted(of, OFFLINE),
      await granted(other, ONLINE),
    ]
    const subjects = await subjectsOf(() => store.endSession(of.session.id, null, ENDING, event()))
    expect(subjects).toContain(of.session.id)
    for (const { grant } of [online, foreign]) expect(await store.grant(grant.id)).toBeNull()
    expect((await listed(of)).map((grant) => grant.id)).toEqual([offline.grant.id])
    for (const { client } of [of, other]) expect(await noticesTo(client)).toEqual([of.session.id])
    expect((await store.rotateSession(rotation(offline.grant.id, 0), event)).outcome).toBe('rotated')
  })

  test('the end of all sessions ends the grants with offline access too, and counts sign-ins alone', async () => {
    const of = await signedIn(store)
    const [online, offline] = [await granted(of, ONLINE), await granted(of, OFFLINE)]
    const ended = await store.endSessionsOf(of.session.userId, ENDING, event())
    expect(ended.sessions).toBe(1)
    expect(ended.revocations.map(({ subject }) => subject)).toContain(offline.grant.id)
    for (const { grant } of [online, offline]) expect(await store.grant(grant.id)).toBeNull()
    expect(await noticesTo(of.client)).toEqual([of.session.id])
  })

  test('a notice is written with the end or not at all, and only to clients that want one', async () => {
    const of = await signedIn(store)
    await granted(of, ONLINE)
    const broken = { ...event(), type: null as never }
    expect(store.endSession(of.session.id, null, ENDING, broken)).rejects.toThrow()
    expect([await noticesTo(of.client), (await listed(of)).length]).toEqual([[], 1])
    const silent = clientOf()
    await store.addClient(silent, null, 10_000, event())
    await granted({ ...of, client: silent }, ONLINE)
    await store.endSession(of.session.id, null, ENDING, event())
    expect([await noticesTo(of.client), await noticesTo(silent)]).toEqual([[of.session.id], []])
  })

  test('a user ends a grant of their own, with its consent and the codes that were not used', async () => {
    const [of, other] = [await signedIn(store), await signedIn(store)]
    const { userId } = of.session
    for (const scopes of [['openid'], ['email', 'openid']]) expect(await consentTo(store, of, scopes)).toBe(true)
    expect(await store.consent(userId, of.client.id)).toEqual(['openid', 'email'])
    expect([
      await store.consent(userId, other.client.id),
      await store.consent(other.session.userId, of.client.id),
    ]).toEqual([[], []])
    const { grant } = await granted(of, OFFLINE)
    const [pending, ofOther] = [await addedCode(store, of, OFFLINE), await addedCode(store, other, OFFLINE)]
    const end = (owner: string | null, forgetsConsent: boolean) =>
      store.endGrant({ id: grant.id, userId: owner, now: NOW, reason: 'grant_ended', forgetsConsent }, event())
    expect(await end(other.session.userId, true)).toBeNull()
    expect((await store.grant(grant.id))?.id).toBe(grant.id)
    expect((await end(userId, true))?.revocations.map(({ subject }) => subject)).toEqual([grant.id])
    expect([
      await end(userId, true),
      await store.sessionById(grant.id),
      await store.consent(userId, of.client.id),
    ]).toEqual([null, null, []])
    expect([await outcome(pending), await outcome(ofOther)]).toEqual(['gone', 'granted'])
  })

  const CHANGES: [name: string, before: Partial<SyncedAccount>, change: Partial<SyncedAccount>, stays: boolean][] = [
    ['a new password', {}, { passwordHash: 'hash-2' }, false],
    ['the end of the password', {}, { passwordHash: null, marks: marksFrom(2) }, false],
    ['a recovery of an account without a password', { passwordHash: null }, { marks: marksFrom(2) }, false],
    ['a recovery in a record that is not newer', {}, { version: 1, marks: marksFrom(2) }, false],
    ['disabling', {}, { status: 'disabled' }, false],
    ['another name', {}, { username: 'ana' }, true],
    ['other roles', {}, { roles: ['USER', 'EDITOR'] }, true],
  ]
  test.each(CHANGES)('the consents of a user end with the grants: %s', async (_, before, change, stays) => {
    const [of, other] = [await signedIn(store, before), await signedIn(store)]
    for (const each of [of, other]) await consentTo(store, each, ONLINE)
    const user = (await store.accountById(of.session.userId)) as SyncedAccount
    await store.syncAccount({ ...user, version: 2, ...change }, NOW, event)
    expect(await store.consent(user.userId, of.client.id)).toEqual(stays ? ONLINE : [])
    expect(await store.consent(other.session.userId, other.client.id)).toEqual(ONLINE)
  })

  const SIGN_OUTS: [name: string, end: (userId: string) => Promise<unknown>, ofUser: string[], ofOther: string[]][] = [
    ['of the user', (userId) => store.endSessionsOf(userId, ENDING, event()), [], ONLINE],
    ['of a user who is protected', (userId) => store.endSessionsOf(userId, ENDING, event(), ['USER']), ONLINE, ONLINE],
    ['of everyone', () => store.endAllSessions(ENDING, event()), [], []],
  ]
  test.each(SIGN_OUTS)('the consents of a user end with all sessions %s', async (_, end, ofUser, ofOther) => {
    const [of, other] = [await signedIn(store), await signedIn(store)]
    for (const each of [of, other]) await consentTo(store, each, ONLINE)
    await end(of.session.userId)
    expect(await store.consent(of.session.userId, of.client.id)).toEqual(ofUser)
    expect(await store.consent(other.session.userId, other.client.id)).toEqual(ofOther)
  })

  test('a consent is refused that arrives after its session has ended', async () => {
    const ends: ((of: SignedIn) => Promise<unknown>)[] = [
      ({ session: { id: sessionId } }) => store.endSession(sessionId, null, ENDING, event()),
      ({ session: { userId } }) =>
        store.syncAccount(account({ userId, passwordHash: 'hash-2', version: 2 }), NOW, event),
      ({ session: { userId } }) => store.deleteAccount(userId, NOW, event),
    ]
    for (const end of ends) {
      const of = await signedIn(store)
      await end(of)
      expect(await consentTo(store, of, ONLINE)).toBe(false)
      expect(await store.consent(of.session.userId, of.client.id)).toEqual([])
    }
  })

  const CONSENTS: [name: string, scopes: string[], firstParty: boolean, expected: 'granted' | 'gone'][] = [
    ['all of its scopes', OFFLINE, false, 'granted'],
    ['more than its scopes', ['email', ...OFFLINE], false, 'granted'],
    ['fewer than its scopes', ONLINE, false, 'gone'],
    ['nothing', [], false, 'gone'],
    ['nothing, to an app of the team', [], true, 'granted'],
  ]
  test.each(CONSENTS)('a code of which the user allows %s', async (_, scopes, firstParty, expected) => {
    const of = await signedIn(store)
    if (scopes.length > 0) await consentTo(store, of, scopes)
    expect(await outcome(await addedCode(store, of, OFFLINE), { firstParty })).toBe(expected)
    expect(await listed(of)).toHaveLength(expected === 'granted' ? 1 : 0)
  })

  test('a code gives nothing that is written just after the user has ended the grant of the app', async () => {
    const of = await signedIn(store)
    const { userId } = of.session
    await consentTo(store, of, OFFLINE)
    const { grant } = await granted(of, OFFLINE, { firstParty: false })
    expect(await store.consent(userId, of.client.id)).toEqual(OFFLINE)
    await store.endGrant({ id: grant.id, userId, now: NOW, reason: 'grant_ended', forgetsConsent: true }, event())
    const late = await addedCode(store, of, OFFLINE)
    expect([await outcome(late, { firstParty: false }), await listed(of)]).toEqual(['gone', []])
    await consentTo(store, of, OFFLINE)
    expect(await outcome(await addedCode(store, of, OFFLINE), { firstParty: false })).toBe('granted')
  })

  test('grants of a client that was disabled do not come back', async () => {
    const of = await signedIn(store)
    const { id: clientId } = of.client
    const grants = []
    for (let n = 0; n < 4; n++) grants.push(await granted(of, n === 0 ? ONLINE : OFFLINE))
    const set = (status: Client['status']) =>
      store.changeClient(
        clientId,
        (client) => ({ client: { ...client, status }, endsTokens: status === 'disabled', endsSecrets: false }),
        UNTIL,
        event(),
      )
    const pending = await addedCode(store, of, ONLINE)
    await set('disabled')
    // They are refused before they are removed.
    for (const status of ['disabled', 'active'] as const) {
      await set(status)
      for (const { grant } of grants) expect(await store.grant(grant.id)).toBeNull()
      expect(await listed(of)).toEqual([])
    }
    await store.removeGrantsOf(clientId, 2)
    for (const { grant } of grants) expect(await store.sessionById(grant.id)).toBeNull()
    expect(await outcome(pending, { clientVersion: 2 })).toBe('gone')
    const { grant } = await granted(of, ONLINE, { clientVersion: 2 })
    expect((await store.grant(grant.id))?.id).toBe(grant.id)
    await store.removeGrantsOf(clientId, EVERY_VERSION)
    expect(await listed(of)).toEqual([])
  })

  test('what has expired is forgotten: grants, and codes an hour later', async () => {
    const of = await signedIn(store)
    const { grant } = await granted(of, ONLINE)
    const hash = await addedCode(store, of, ONLINE)
    await store.forgetGrants(NOW + MINUTE + HOUR)
    expect([(await store.grant(grant.id))?.id, (await store.code(hash))?.clientId]).toEqual([grant.id, of.client.id])
    await store.forgetGrants(NOW + MINUTE + HOUR + 1)
    expect([(await store.grant(grant.id))?.id, await store.code(hash)]).toEqual([grant.id, null])
    expect(await listed(of, grant.endsAt)).toEqual([])
    await store.forgetGrants(grant.endsAt + 1)
    expect(await store.grant(grant.id)).toBeNull()
  })
}
