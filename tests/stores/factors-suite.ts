import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import type { AuthStore, Enrolment, Passkey, Totp } from '../../services/auth/store/index.ts'
import { HOUR, MINUTE } from '../../services/kit/clock.ts'
import { account, event, id, NOW, session } from './auth-suite.ts'

const hash = () => randomBytes(32)

const totp = (userId: string, changes: Partial<Totp> = {}): Totp => ({
  id: id(),
  userId,
  name: 'Authenticator app',
  sealedSecret: randomBytes(40),
  algorithm: 'SHA1',
  digits: 6,
  period: 30,
  createdAt: NOW,
  confirmedAt: null,
  expiresAt: NOW + 10 * MINUTE,
  lastUsedAt: null,
  lastStep: -1,
  ...changes,
})

const passkey = (userId: string, changes: Partial<Passkey> = {}): Passkey => ({
  id: id(),
  userId,
  name: 'Passkey',
  credentialId: randomBytes(20),
  publicKey: randomBytes(91),
  algorithm: -7,
  counter: 0,
  transports: ['internal', 'hybrid'],
  aaguid: '00'.repeat(16),
  backupEligible: true,
  backedUp: false,
  createdAt: NOW,
  lastUsedAt: null,
  ...changes,
})

const challenge = () => ({ hash: hash(), expiresAt: NOW + 5 * MINUTE })
const codes = () => Array.from({ length: 10 }, hash)
const times = <Result>(count: number, call: () => Promise<Result>) => Promise.all(Array.from({ length: count }, call))

interface Enroller {
  userId: string
  sessionId: string
}

/** Adds a passkey to a user without a factor. @returns its id */
export async function enrolledPasskey(
  store: AuthStore,
  { challenge: used, codes: recoveryCodes, sessionId, userId }: Enroller & Challenged,
): Promise<string> {
  const added = passkey(userId)
  const factor = { kind: 'passkey', passkey: added, challenge: used, rpId: 'example.org' } as const
  const by = { sessionId, methods: ['user', 'mfa'] as const, needsFactor: false }
  const outcome = await store.enrol({ userId, factor, recoveryCodes, by, now: NOW, most: 20 }, event())
  expect(outcome).toBe('first')
  return added.id
}
interface Challenged {
  challenge: ReturnType<typeof challenge>
  codes: Buffer[]
}

/** Adds an app to a user who has another factor. @returns its id */
export async function enrolledApp(store: AuthStore, { sessionId, userId }: Enroller): Promise<string> {
  const pending = totp(userId)
  await store.startTotp(pending)
  const factor = { kind: 'totp', id: pending.id, step: 100 } as const
  const by = { sessionId, methods: ['otp', 'mfa'] as const, needsFactor: false }
  expect(await store.enrol({ userId, factor, recoveryCodes: [], by, now: NOW, most: 20 }, event())).toBe('added')
  return pending.id
}

/**
 * The tests of second factors that every auth store must pass.
 * @param open opens an empty store, which the suite closes
 */
export function factorStoreSuite(open: () => Promise<AuthStore>): void {
  let store: AuthStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  /** Adds a user with a session. */
  const newUser = async () => {
    const user = account()
    await store.syncAccount(user, NOW, event)
    const opened = session(user.userId)
    await store.openSession(opened, event())
    return { userId: user.userId, sessionId: opened.id }
  }
  type User = Awaited<ReturnType<typeof newUser>>
  const bySession = ({ sessionId }: User) => ({ sessionId, methods: ['otp', 'mfa'] as const, needsFactor: true })
  const enrolment = (user: User, factor: Enrolment['factor'], changes: Partial<Enrolment> = {}): Enrolment => ({
    userId: user.userId,
    factor,
    recoveryCodes: codes(),
    by: bySession(user),
    now: NOW,
    most: 20,
    ...changes,
  })
  const addPasskey = (user: User, added = passkey(user.userId), changes: Partial<Enrolment> = {}) =>
    store.enrol(
      enrolment(user, { kind: 'passkey', passkey: added, challenge: challenge(), rpId: 'example.org' }, changes),
      event('factor.added', user.userId),
    )
  const addTotp = async (user: User, changes: Partial<Enrolment> = {}, of: Partial<Totp> = {}) => {
    const pending = totp(user.userId, of)
    await store.startTotp(pending)
    const outcome = await store.enrol(
      enrolment(user, { kind: 'totp', id: pending.id, step: 100 }, changes),
      event('factor.added', user.userId),
    )
    return { totp: pending, outcome }
  }

  describe('an app', () => {
    test('is a factor once it was confirmed; its row is the one that was written', async () => {
      const user = await newUser()
      const pending = totp(user.userId, { algorithm: 'SHA512', digits: 8, period: 60, name: 'Мой телефон' })
      await store.startTotp(pending)
      expect(await store.secondFactorMethods(user.userId)).toEqual([])
      expect((await store.factorsOf(user.userId)).totps).toEqual([])
      expect(await store.pendingTotp(user.userId, pending.id, NOW)).toEqual(pending)
      const factor = { kind: 'totp', id: pending.id, step: 7 } as const
      expect(await store.enrol(enrolment(user, factor), event())).toBe('first')
      expect(await store.secondFactorMethods(user.userId)).toEqual(['totp', 'recovery_code'])
      const expected = { ...pending, confirmedAt: NOW, lastUsedAt: NOW, lastStep: 7 }
      expect(await store.factorsOf(user.userId)).toEqual({ totps: [expected], passkeys: [], recoveryCodes: 10 })
      expect(await store.pendingTotp(user.userId, pending.id, NOW)).toBeNull()
    })

    test('that is pending expires, is of its user, and is replaced by a newer one', async () => {
      const [user, other] = [await newUser(), await newUser()]
      const [first, second] = [totp(user.userId), totp(user.userId)]
      await store.startTotp(first)
      expect(await store.pendingTotp(other.userId, first.id, NOW)).toBeNull()
      expect(await store.pendingTotp(user.userId, first.id, first.expiresAt)).toBeNull()
      await store.startTotp(second)
      expect(await store.pendingTotp(user.userId, first.id, NOW)).toBeNull()
      const late = { kind: 'totp', id: second.id, step: 1 } as const
      expect(await store.enrol(enrolment(user, late, { now: second.expiresAt }), event())).toBe('gone')
      expect(await store.enrol(enrolment(other, late), event())).toBe('gone')
      await store.forgetFactors(second.expiresAt + 1)
      expect(await store.pendingTotp(user.userId, second.id, NOW)).toBeNull()
    })

    test('check 46: gives each step to one of 50 callers at once, and no earlier one after it', async () => {
      const user = await newUser()
      const { totp: added } = await addTotp(user)
      for (let step = 101; step < 106; step++) {
        const results = await times(50, () => store.useTotp(added.id, step, NOW))
        expect(results.filter(Boolean)).toHaveLength(1)
      }
      expect(await store.useTotp(added.id, 104, NOW)).toBeFalse()
      expect(await store.useTotp(added.id, 200, NOW + 1)).toBeTrue()
      expect((await store.factorsOf(user.userId)).totps[0]).toMatchObject({ lastStep: 200, lastUsedAt: NOW + 1 })
    })

    test('is sealed again, by pages', async () => {
      const added = await Promise.all(Array.from({ length: 5 }, async () => (await addTotp(await newUser())).totp))
      const ids: string[] = []
      for (let after = ''; ; ) {
        const page = await store.sealedTotps(after, 2)
        ids.push(...page.map((one) => one.id))
        after = page.at(-1)?.id ?? ''
        if (page.length < 2) break
      }
      expect(new Set(ids).size).toBe(ids.length)
      expect(ids).toEqual(expect.arrayContaining(added.map((one) => one.id)))
      const [one = totp('')] = added
      await store.resealTotp(one.id, new Uint8Array([1, 2, 3]))
      expect((await store.factorsOf(one.userId)).totps[0]?.sealedSecret).toEqual(Buffer.from([1, 2, 3]))
    })
  })

  describe('a passkey', () => {
    test('is found by its credential; its row is the one that was written', async () => {
      const user = await newUser()
      const added = passkey(user.userId)
      expect(await addPasskey(user, added)).toBe('first')
      expect(await store.passkeyByCredential(added.credentialId)).toEqual(added)
      expect(await store.passkeyByCredential(randomBytes(20))).toBeNull()
      expect(await store.secondFactorMethods(user.userId)).toEqual(['recovery_code', 'passkey'])
    })

    test('fixes the id of the relying party with the first one of all', async () => {
      const first = await store.fact('passkey_rp_id')
      const user = await newUser()
      const factor = { kind: 'passkey', passkey: passkey(user.userId), challenge: challenge() } as const
      await store.enrol(enrolment(user, { ...factor, rpId: 'example.com' }), event())
      expect([first, await store.fact('passkey_rp_id')]).toEqual(['example.org', 'example.org'])
    })

    test('has one credential, whoever enrols it, and a challenge that was not used', async () => {
      const [user, other] = [await newUser(), await newUser()]
      const added = passkey(user.userId)
      const used = challenge()
      const factor = { kind: 'passkey', passkey: added, challenge: used, rpId: 'example.org' } as const
      expect(await store.enrol(enrolment(user, factor), event())).toBe('first')
      const stolen = passkey(other.userId, { credentialId: added.credentialId })
      expect(await addPasskey(other, stolen)).toBe('taken')
      expect(await store.secondFactorMethods(other.userId)).toEqual([])
      const again = { ...factor, passkey: passkey(user.userId) }
      expect(await store.enrol(enrolment({ ...user }, again, { by: bySession(user) }), event())).toBe('replayed')
    })

    test('check 46: uses a challenge once, of 50 callers at once, and a counter that grows', async () => {
      const user = await newUser()
      const added = passkey(user.userId, { counter: 5 })
      await addPasskey(user, added)
      const use = { id: added.id, counter: 6, backedUp: true, challenge: challenge(), now: NOW }
      expect((await times(50, () => store.usePasskey(use))).filter(Boolean)).toHaveLength(1)
      for (const counter of [6, 5, 0])
        expect(await store.usePasskey({ ...use, counter, challenge: challenge() })).toBeFalse()
      expect(await store.usePasskey({ ...use, counter: 7, challenge: challenge() })).toBeTrue()
      expect(await store.passkeyByCredential(added.credentialId)).toMatchObject({ counter: 7, backedUp: true })
    })

    test('that counts nothing may stay at zero, and may begin to count', async () => {
      const user = await newUser()
      const added = passkey(user.userId)
      await addPasskey(user, added)
      const use = (counter: number) =>
        store.usePasskey({ id: added.id, counter, backedUp: false, challenge: challenge(), now: NOW })
      expect([await use(0), await use(0), await use(1), await use(0)]).toEqual([true, true, true, false])
    })

    test('forgets used challenges that have expired, and no others', async () => {
      const user = await newUser()
      const added = passkey(user.userId)
      await addPasskey(user, added)
      const [expired, valid] = [challenge(), { ...challenge(), expiresAt: NOW + 60 * MINUTE }]
      const use = (used: typeof expired) =>
        store.usePasskey({ id: added.id, counter: 0, backedUp: false, challenge: used, now: NOW })
      expect([await use(expired), await use(valid)]).toEqual([true, true])
      // A clock that is an hour ahead forgets none.
      await store.forgetFactors(expired.expiresAt + HOUR)
      expect([await use(expired), await use(valid)]).toEqual([false, false])
      await store.forgetFactors(expired.expiresAt + HOUR + MINUTE + 1)
      expect([await use(expired), await use(valid)]).toEqual([true, false])
    })
  })

  describe('recovery codes', () => {
    test('check 46: each is used once, of 50 callers at once, and by its user alone', async () => {
      const [user, other] = [await newUser(), await newUser()]
      const recoveryCodes = codes()
      await addTotp(user, { recoveryCodes })
      await addTotp(other)
      const [first = hash(), second = hash()] = recoveryCodes
      expect(await store.useRecoveryCode(other.userId, first, event())).toBeFalse()
      const results = await times(50, () => store.useRecoveryCode(user.userId, first, event()))
      expect(results.filter(Boolean)).toHaveLength(1)
      expect((await store.factorsOf(user.userId)).recoveryCodes).toBe(9)
      expect(await store.useRecoveryCode(user.userId, second, event('recovery_code.used', user.userId))).toBeTrue()
    })

    test('are replaced as a set, only for a user with a factor', async () => {
      const [user, without] = [await newUser(), await newUser()]
      const old = codes()
      await addTotp(user, { recoveryCodes: old })
      const replaced = codes()
      expect(await store.replaceRecoveryCodes(user.userId, replaced, NOW, event())).toBeTrue()
      expect(await store.useRecoveryCode(user.userId, old[0] ?? hash(), event())).toBeFalse()
      expect(await store.useRecoveryCode(user.userId, replaced[9] ?? hash(), event())).toBeTrue()
      expect(await store.replaceRecoveryCodes(without.userId, codes(), NOW, event())).toBeFalse()
      expect((await store.factorsOf(without.userId)).recoveryCodes).toBe(0)
    })
  })

  describe('an enrolment', () => {
    test('gives recovery codes with the first factor alone, also of several at once', async () => {
      const user = await newUser()
      const outcomes = await times(5, () => addPasskey(user, passkey(user.userId), { by: { ...bySession(user) } }))
      expect(outcomes.toSorted()).toEqual(['added', 'added', 'added', 'added', 'first'])
      expect((await store.factorsOf(user.userId)).recoveryCodes).toBe(10)
    })

    test('gives the session that adds it its methods, and no other session', async () => {
      const user = await newUser()
      const other = session(user.userId)
      await store.openSession(other, event())
      await addTotp(user)
      expect((await store.sessionById(user.sessionId))?.amr).toEqual(['pwd', 'otp', 'mfa'])
      expect((await store.sessionById(other.id))?.amr).toEqual(['pwd'])
      // That session has shown no factor: it may add none.
      expect(await addPasskey({ ...user, sessionId: other.id })).toBe('unproved')
    })

    test('needs a session that lives, of that user, who is active', async () => {
      const [user, other] = [await newUser(), await newUser()]
      expect(await addPasskey({ ...user, sessionId: other.sessionId })).toBe('gone')
      expect(await addPasskey({ ...user, sessionId: id() })).toBe('gone')
      await store.endSession(user.sessionId, null, { reason: 'logout', now: NOW }, event())
      expect(await addPasskey(user)).toBe('gone')
      const disabled = account({ userId: other.userId, status: 'disabled', version: 2 })
      await store.syncAccount(disabled, NOW, event)
      expect(await addPasskey(other)).toBe('gone')
    })

    test('of a login that waits is refused after a change that ends sessions, and if there is a factor by now', async () => {
      const user = await newUser()
      expect(await addPasskey(user, passkey(user.userId), { by: { version: 0 } })).toBe('gone')
      expect(await addPasskey(user, passkey(user.userId), { by: { version: 1 } })).toBe('first')
      expect(await addPasskey(user, passkey(user.userId), { by: { version: 1 } })).toBe('gone')
    })

    test('stops at the limit', async () => {
      const user = await newUser()
      const outcomes = []
      for (let n = 0; n < 4; n++) outcomes.push(await addPasskey(user, passkey(user.userId), { most: 3 }))
      expect(outcomes).toEqual(['first', 'added', 'added', 'too_many'])
    })
  })

  describe('a removal', () => {
    test('is of the own factor; the last one takes the recovery codes along', async () => {
      const [user, other] = [await newUser(), await newUser()]
      const { totp: app } = await addTotp(user)
      const added = passkey(user.userId)
      await addPasskey(user, added)
      const remove = (of: User, factor: string, needsPasskey = false) =>
        store.removeFactor(of.userId, factor, needsPasskey, event())
      expect(await remove(other, app.id)).toBe('unknown')
      expect(await remove(user, added.id, true)).toBe('last_way_in')
      expect(await remove(user, app.id, true)).toBe('totp')
      expect((await store.factorsOf(user.userId)).recoveryCodes).toBe(10)
      expect(await remove(user, added.id)).toBe('passkey')
      expect(await store.factorsOf(user.userId)).toEqual({ totps: [], passkeys: [], recoveryCodes: 0 })
      expect(await store.passkeyByCredential(added.credentialId)).toBeNull()
    })

    test('of the last two passkeys at once leaves one to a user who has no other way in', async () => {
      const user = await newUser()
      const both = [passkey(user.userId), passkey(user.userId)]
      for (const one of both) await addPasskey(user, one)
      const removed = await Promise.all(both.map((one) => store.removeFactor(user.userId, one.id, true, event())))
      expect(removed.toSorted()).toEqual(['last_way_in', 'passkey'])
    })

    test('of those since a time keeps the older ones, but no recovery code that was made since', async () => {
      const user = await newUser()
      const later = NOW + MINUTE
      const { totp: older } = await addTotp(user)
      await addPasskey(user, passkey(user.userId, { createdAt: later }))
      expect(await store.removeFactors(user.userId, later, event())).toBe(1)
      expect(await store.secondFactorMethods(user.userId)).toEqual(['totp', 'recovery_code'])
      await store.replaceRecoveryCodes(user.userId, codes(), later, event())
      expect(await store.removeFactors(user.userId, later, event())).toBe(0)
      expect((await store.factorsOf(user.userId)).totps.map((one) => one.id)).toEqual([older.id])
      expect((await store.factorsOf(user.userId)).recoveryCodes).toBe(0)
      expect(await store.removeFactors(user.userId, 0, event())).toBe(1)
      expect(await store.secondFactorMethods(user.userId)).toEqual([])
    })

    test('follows the deletion of the user, and a mark that voids factors: once, whatever comes late', async () => {
      const [deleted, voided] = [await newUser(), await newUser()]
      const added = passkey(deleted.userId)
      await addPasskey(deleted, added)
      await store.deleteAccount(deleted.userId, NOW, event)
      expect(await store.factorsOf(deleted.userId)).toEqual({ totps: [], passkeys: [], recoveryCodes: 0 })
      expect(await store.passkeyByCredential(added.credentialId)).toBeNull()

      await addTotp(voided)
      const marks = (version: number, factorsFrom: number) => ({
        ...account({ userId: voided.userId, version, passwordHash: 'hash-1' }),
        marks: { sessionsFrom: 0, allSessionsFrom: 0, tokensFrom: 0, factorsFrom, sessionKept: null },
      })
      await store.syncAccount(marks(2, 2), NOW, event)
      expect(await store.secondFactorMethods(voided.userId)).toEqual([])
      await addTotp(voided)
      for (const late of [marks(2, 2), marks(1, 0), marks(3, 2)]) await store.syncAccount(late, NOW, event)
      expect(await store.secondFactorMethods(voided.userId)).toEqual(['totp', 'recovery_code'])
      await store.dropAccount(voided.userId, event())
      await store.syncAccount(marks(4, 2), NOW, event)
      expect(await store.secondFactorMethods(voided.userId)).toEqual(['totp', 'recovery_code'])
      // A record that is not newer voids factors once, too.
      await store.syncAccount(marks(3, 4), NOW, event)
      expect(await store.secondFactorMethods(voided.userId)).toEqual([])
      await addTotp(voided)
      await store.syncAccount(marks(3, 4), NOW, event)
      expect(await store.secondFactorMethods(voided.userId)).toEqual(['totp', 'recovery_code'])
    })
  })

  test('a name is changed by the owner alone', async () => {
    const [user, other] = [await newUser(), await newUser()]
    const { totp: app } = await addTotp(user)
    const added = passkey(user.userId)
    await addPasskey(user, added)
    for (const factor of [app.id, added.id]) {
      expect(await store.renameFactor(other.userId, factor, 'Stolen')).toBeFalse()
      expect(await store.renameFactor(user.userId, factor, 'Ключ')).toBeTrue()
    }
    const { passkeys, totps } = await store.factorsOf(user.userId)
    expect([...passkeys, ...totps].map(({ name }) => name)).toEqual(['Ключ', 'Ключ'])
  })
}
