import { afterAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { openAuthStore } from '../../db/auth/store.ts'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { type Clock, DAY, HOUR, MINUTE, SECOND, systemClock } from '../../services/kit/clock.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { PASSWORD } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { ownSettings, runTool, temporary } from '../support/tool.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { inTime, kidOf, operator } from './keys-in-time.ts'

setDefaultTimeout(120_000)

describe('check 39: a signing key that is old', () => {
  const here = inTime({ SIGNING_KEY_MAX_AGE: '30d', REFRESH_EXPIRE: '60d' })

  test('is rotated by the service once, as by hand, without a refused token and with an audit row', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.pass(30 * DAY - 150 * SECOND)
    const user = await here.register()
    await instance.settled()
    expect([await here.active(), await here.published()]).toEqual([first, [String(first)]])
    await here.aWhile()
    const second = await here.publishes()
    expect(await here.active()).toBe(first)
    expect((await here.published()).sort()).toEqual([String(first), second].sort())
    // The new key does not sign before its lead is over.
    await instance.pass(2 * MINUTE - SECOND)
    await instance.settled()
    expect([await here.active(), await here.pending()]).toEqual([first, second])
    await instance.pass(SECOND)
    expect(await here.rotatedFrom(first)).toBe(second)

    expect((await here.keys()).map(({ kid, status }) => [kid, status])).toEqual([
      [second, 'active'],
      [String(first), 'retiring'],
    ])
    expect((await here.published()).sort()).toEqual([String(first), second].sort())
    expect(kidOf(user.access_token)).toBe(String(first))
    expect(await here.each(user)).toEqual([200, 200, 200])
    const next = (await here.refresh(user.refresh_token)).body
    expect(kidOf(next.access_token)).toBe(second)
    expect(await here.each({ ...user, ...next })).toEqual([200, 200, 200])
    const row = { actor: 'auth', ip: null, request_id: null, user_id: null }
    expect(await here.rotations()).toEqual([
      expect.objectContaining({ ...row, detail: { kid: second, alg: 'EdDSA', now: false } }),
    ])
    expect(await here.activations()).toEqual([
      expect.objectContaining({ ...row, detail: { kid: second, alg: 'EdDSA' } }),
    ])

    for (let n = 0; n < 3; n++) await here.aWhile()
    expect(await here.active()).toBe(second)
    await instance.pass(HOUR + MINUTE)
    expect(await here.published()).toEqual([second])
    expect(await here.rotations()).toHaveLength(1)
  })

  test('is rotated soon after a start, if it became old during a downtime', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.restart(30 * DAY)
    const second = await here.publishes()
    expect(await here.active()).toBe(first)
    const [row] = await here.rotations()
    expect(row).toMatchObject({ actor: 'auth' })
    await instance.pass(2 * MINUTE)
    expect(await here.rotatedFrom(first)).toBe(second)
  })

  test.each(['', '?now=true'])(
    'gets one successor when somebody rotates by hand at the same moment%s',
    async (query) => {
      const instance = await here.start()
      const first = await here.active()
      await instance.pass(30 * DAY - 150 * SECOND)
      const halt = here.halt(query ? 'activate' : 'add', 'before')
      const byHand = here.ask(`POST /admin/keys/rotate${query}`, operator)
      await halt.reached
      // The check of this minute waits for the rotation by hand.
      await instance.pass(MINUTE)
      halt.goOn()
      const { body, status } = await byHand
      expect(status).toBe(201)
      for (let n = 0; n < 3; n++) await here.aWhile()
      expect(await here.rotatedFrom(first)).toBe(body.kid)
      expect(await here.rotations()).toEqual([expect.objectContaining({ actor: 'operator' })])
      expect((await here.published()).length).toBe(2)
    },
  )

  test('is not rotated over and over by a clock that is set years forward and back', async () => {
    const instance = await here.start()
    const first = await here.active()
    for (let years = 1; years <= (WHOLE ? 8 : 3); years++) {
      instance.step(years * 365 * DAY)
      await here.aWhile()
      if (years === 1) await here.publishes()
      for (let n = 0; n < 2; n++) await here.aWhile()
      if (years === 1) await here.rotatedFrom(first)
      instance.step(-years * 365 * DAY)
      await here.aWhile()
    }
    expect(await here.rotations()).toHaveLength(1)
    expect((await here.published()).length).toBeLessThanOrEqual(2)
    const user = await here.register()
    expect(await here.each(user)).toEqual([200, 200, 200])
  })

  test('is rotated after failures: a retry each minute, and no surplus keys', async () => {
    const instance = await here.start()
    const first = await here.active()
    const activate = here.restored(
      spyOn(KeyRing.prototype, 'activate').mockRejectedValue(new Error('the disk is full')),
    )
    await instance.pass(30 * DAY)
    const second = await here.publishes()
    for (let n = 0; n < 6; n++) await here.aWhile()
    expect(activate.mock.calls.length).toBeGreaterThan(3)
    expect((await here.keys()).map(({ kid, status }) => [kid, status])).toEqual([
      [second, 'pending'],
      [String(first), 'active'],
    ])
    expect(await here.rotations()).toHaveLength(1)
    const user = await here.register()
    expect(await here.each(user)).toEqual([200, 200, 200])
    activate.mockRestore()
    await here.aWhile()
    expect(await here.rotatedFrom(first)).toBe(second)
    expect(await here.published()).toHaveLength(2)
    expect(await here.each(user)).toEqual([200, 200, 200])
  })
})

describe('check 39: the doctor warns when the signing key is older than SIGNING_KEY_MAX_AGE', () => {
  const folder = temporary('keys')
  const ago = (ms: number) => ({ now: () => Date.now() - ms, monotonic: systemClock.monotonic })
  afterAll(() => folder.remove())

  const ages: [SIGNING_KEY_MAX_AGE: string, age: number, status: string, pending: number][] = [
    ['2h', 2 * HOUR + MINUTE, 'warning', 0],
    ['3h', 2 * HOUR + MINUTE, 'ok', 0],
    ['', 89 * DAY, 'ok', 0],
    ['', 91 * DAY, 'warning', 0],
    // Created while the clock was ahead.
    ['', -2 * DAY, 'warning', 0],
    // R6: its successor is published, and signs in time, or does not.
    ['2h', 2 * HOUR + MINUTE, 'ok', MINUTE],
    ['2h', 2 * HOUR + MINUTE, 'warning', 10 * MINUTE],
  ]
  test.each(sliced(ages, 4, ([, , status, pending]) => `${status} ${pending > 0}`))(
    'with %j and a key of %d ms: %s',
    async (SIGNING_KEY_MAX_AGE, age, status, pending) => {
      const env = ownSettings(folder.fresh(), { SIGNING_KEY_MAX_AGE })
      mkdirSync(String(env.CH202_DATA_DIR), { mode: 0o700 })
      const store = await openAuthStore({ dataDir: String(env.CH202_DATA_DIR) })
      const sealing = new Sealing([String(env.CH202_SECRET)], systemRandom)
      const open = (clock: Clock) => KeyRing.open({ store, sealing, clock, tokenAlg: 'EdDSA' })
      await open(ago(age))
      if (pending > 0) await (await open(ago(pending))).add('EdDSA')
      await store.close()
      const { stdout } = await runTool(['doctor', '--only', 'keys.age', '-o', 'json'], { env })
      expect(JSON.parse(stdout).items).toEqual([expect.objectContaining({ id: 'keys.age', status })])
    },
  )

  test('of each algorithm that clients use, and names it', async () => {
    const env = ownSettings(folder.fresh(), { SIGNING_KEY_MAX_AGE: '2h' })
    mkdirSync(String(env.CH202_DATA_DIR), { mode: 0o700 })
    const store = await openAuthStore({ dataDir: String(env.CH202_DATA_DIR) })
    const sealing = new Sealing([String(env.CH202_SECRET)], systemRandom)
    const open = (clock: Clock) => KeyRing.open({ store, sealing, clock, tokenAlg: 'EdDSA' })
    const young = await open(ago(HOUR))
    const check = async () => {
      const { stdout } = await runTool(['doctor', '--only', 'keys.age', '-o', 'json'], { env })
      const [{ message, status, suggestion }] = JSON.parse(stdout).items
      return [status, message, suggestion]
    }
    await young.addFirst('RS256')
    expect(await check()).toEqual(['ok', expect.stringContaining('of EdDSA is 0 days old'), null])
    await (await open(ago(3 * HOUR))).addFirst('ES256')
    expect(await check()).toEqual([
      'warning',
      'The signing key of ES256 is 0 days old',
      'ch202 keys rotate --alg ES256',
    ])
    await (await open(ago(MINUTE))).add('ES256')
    expect(await check()).toEqual(['ok', expect.stringContaining('of ES256 is 0 days old; the next one'), null])
    await store.close()
  })
})

describe('check 39: tokens that JWT_EXPIRE once let live longer', () => {
  const settings: Record<string, string> = { JWT_EXPIRE: '24h', REFRESH_EXPIRE: '60d' }
  const here = inTime(settings)

  test('are valid until they expire, after a rotation too', async () => {
    const instance = await here.start()
    const user = await here.register()
    settings.JWT_EXPIRE = '5m'
    await instance.restart(SECOND)
    await here.rotate('?now=true')
    await instance.pass(23 * HOUR)
    await instance.settled()
    expect(await here.each(user)).toEqual([200, 200, 200])
    expect(await here.published()).toContain(kidOf(user.access_token))
    await instance.pass(HOUR + 2 * MINUTE)
    await instance.settled()
    expect(await here.published()).toEqual([String(await here.active())])
  })
})

describe('check 39: the ring and the feed', () => {
  const nothing = async () => undefined
  const ringOn = (change: () => Promise<number>) => {
    const rows: unknown[] = []
    const store = {
      signingKeys: async () => [...rows],
      idTokenAlgs: async () => [],
      addFirstSigningKey: async (key: unknown) => rows.push(key),
      activateSigningKey: nothing,
      addSigningKey: change,
      removeSigningKey: change,
    }
    const sealing = new Sealing(['secret'], systemRandom)
    return KeyRing.open({
      store: store as unknown as AuthStore,
      sealing,
      clock: systemClock,
      tokenAlg: 'EdDSA',
    })
  }
  const kids = (ring: KeyRing | undefined) => ring?.jwks().map(({ kid }) => kid)

  test('a change in the feed is already among the published keys', async () => {
    let ring: KeyRing | undefined
    const kidsAtPublish: unknown[] = []
    // The change is written, and a poll reads it before the writer continues.
    ring = await ringOn(async () => kidsAtPublish.push(kids(ring)))
    const first = ring.signing().kid
    const kid = String((await ring.add('EdDSA'))?.kid)
    await ring.activate(kid, Number.POSITIVE_INFINITY, null)
    await ring.remove(first, null)
    expect(kidsAtPublish).toEqual([[first, kid], [kid]])
  })

  test('a change whose write fails has no effect', async () => {
    let fails = false
    const ring = await ringOn(() => (fails ? Promise.reject(new Error('the disk is full')) : Promise.resolve(1)))
    const first = ring.signing().kid
    fails = true
    await expect(ring.add('EdDSA')).rejects.toThrow('the disk is full')
    await expect(ring.remove(first, null)).rejects.toThrow('the disk is full')
    expect(kids(ring)).toEqual([first])
    expect(ring.signing().kid).toBe(first)
  })
})

describe('check 39: killed between the steps of', () => {
  const here = inTime({})
  type Step = 'add' | 'activate' | 'remove'
  const requests = {
    'a rotation': () => 'POST /admin/keys/rotate',
    'a rotation at once': () => 'POST /admin/keys/rotate?now=true',
    'a removal': (kid: string) => `DELETE /admin/keys/${kid}`,
  }
  const rows: [change: keyof typeof requests, step: Step, when: 'before' | 'after'][] = [
    ['a rotation', 'add', 'before'],
    ['a rotation', 'add', 'after'],
    ['a rotation at once', 'add', 'before'],
    ['a rotation at once', 'add', 'after'],
    ['a rotation at once', 'activate', 'after'],
    ['a removal', 'add', 'after'],
    ['a removal', 'remove', 'before'],
    ['a removal', 'remove', 'after'],
  ]

  test.each(sliced(rows, 3, ([, step]) => step))(
    '%s, at "%s", %s its commit, the ring still works',
    async (change, step, when) => {
      const instance = await here.start()
      const old = String(await here.active())
      const user = await here.register()
      const halt = here.halt(step, when)
      const request = here.ask(requests[change](old), operator)
      await halt.reached
      // The files are copied at this moment; the old run continues on files that are deleted.
      const crashed = instance.crash(1000)
      halt.goOn()
      await Promise.allSettled([request, crashed])

      const removed = change === 'a removal' && step === 'remove' && when === 'after'
      const listed = await here.keys()
      expect(listed.filter(({ status }) => status === 'active')).toHaveLength(1)
      expect((await here.published()).sort()).toEqual(listed.map(({ kid }) => kid).sort())
      expect(listed.some(({ kid }) => kid === old)).toBe(!removed)
      expect(await here.each(user)).toEqual(removed ? [401, 401, 401] : [200, 200, 200])
      const next = await here.refresh(user.refresh_token)
      expect(await here.each({ ...user, ...next.body })).toEqual([200, 200, 200])
      // A published key signs on time.
      const pending = await here.pending()
      await instance.pass(2 * MINUTE)
      if (pending) expect(await here.rotatedFrom(listed.find(({ status }) => status === 'active')?.kid)).toBe(pending)
      expect(await here.each({ ...user, ...next.body })).toEqual([200, 200, 200])
      // The change can be requested again.
      const { body } = await here.ask('POST /admin/keys/rotate?now=true', operator)
      expect(await here.active()).toBe(body.kid)
      for (const { kid } of listed) expect((await here.ask(`DELETE /admin/keys/${kid}`, operator)).status).toBe(204)
      expect(await here.published()).toEqual([body.kid])
      const fresh = (await here.login(user.email)).body
      expect(await here.each({ ...user, ...fresh })).toEqual([200, 200, 200])
      expect(await here.each({ ...user, ...next.body })).toEqual([401, 401, 401])
    },
  )
})

describe('check 39: a new CH202_SECRET beside the old one', () => {
  const OLD = 'old-secret-of-the-tests-0123456789-01234567'
  const NEW = 'new-secret-of-the-tests-0123456789-01234567'
  const settings: Record<string, string> = { REFRESH_REUSE_GRACE: '1h' }
  const here = inTime(settings)
  const refreshV0 = (refreshToken: string) => here.instance.ask('POST /auth/refresh', { body: { refreshToken } })
  const restartWith = async (secret: string) => {
    settings.CH202_SECRET = secret
    await here.instance.restart(SECOND)
  }

  test('loses nothing; without the old one, only the refresh tokens derived from it are lost', async () => {
    settings.CH202_SECRET = OLD
    await here.start()
    const [active, idle] = [await here.register(), await here.register()]
    const v0 = (await here.instance.ask('POST /auth/login', { body: { email: idle.email, password: PASSWORD } })).body
    const first: string = v0.refreshToken.token
    expect((await refreshV0(first)).status).toBe(200)
    const kid = await here.active()

    await restartWith(`${NEW},${OLD}`)
    expect(await here.active()).toBe(kid)
    expect(await here.each(active)).toEqual([200, 200, 200])
    const next = await here.refresh(active.refresh_token)
    expect(next.status).toBe(200)
    const again = await here.refresh(active.refresh_token)
    expect(again.body.refresh_token).toBe(next.body.refresh_token)
    // The answer was lost: the repeated answer is derived from the new secret, and is valid.
    const repeated = await refreshV0(first)
    expect(repeated.status).toBe(200)
    expect((await refreshV0(repeated.body.refreshToken.token)).status).toBe(200)

    await restartWith(NEW)
    expect(await here.active()).toBe(kid)
    for (const session of [{ ...active, ...next.body }, idle]) expect(await here.each(session)).toEqual([200, 200, 200])
    expect((await here.refresh(next.body.refresh_token)).status).toBe(200)
    expectProblem(await here.refresh(idle.refresh_token), 401, 'invalid_refresh_token')
    expect((await refreshV0(repeated.body.refreshToken.token)).status).toBe(200)
    expect((await here.login(idle.email)).status).toBe(200)
  })
})
