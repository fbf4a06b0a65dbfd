import { describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { decodeProtectedHeader } from 'jose'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import { HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/tokens/algorithms.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { sliced } from '../support/whole.ts'
import { inTime, kidOf, operator } from './keys-in-time.ts'

// An installation whose TOKEN_ALG changes with a restart of auth.

setDefaultTimeout(120_000)

const settings: Record<string, string> = {}
const here = inTime(settings)
const algOf = (token: string) => decodeProtectedHeader(token).alg

const startWith = async (alg: TokenAlg, lead = '2m') => {
  Object.assign(settings, { TOKEN_ALG: alg, SIGNING_KEY_LEAD: lead })
  return await here.start()
}
const restartWith = async (alg: TokenAlg) => {
  settings.TOKEN_ALG = alg
  await here.instance.restart(SECOND)
}
/** The algorithms and states of the keys, in the order of the alphabet. */
const states = async () => (await here.keys()).map(({ alg, status }) => `${alg} ${status}`).toSorted()
/** Waits until the keys are in these states, and the change that led to them has ended: it runs in the background. */
const become = async (...expected: string[]) => {
  await eventually(async () => (await states()).join() === expected.toSorted().join() || undefined)
  await here.instance.settled()
}
const kidIn = async (alg: string, status: string) =>
  (await here.keys()).find((key) => key.alg === alg && key.status === status)?.kid
const rowsOf = async (type: string) =>
  (await here.ask(`GET /admin/audit?type=${type}`, operator)).body.items.map(
    ({ actor, detail }: { actor: string; detail: object }) => ({ actor, ...detail }),
  )

const CHANGES = TOKEN_ALGS.flatMap((from) => TOKEN_ALGS.filter((to) => to !== from).map((to) => [from, to] as const))

describe('16: TOKEN_ALG of an installation that is in use changes', () => {
  test.each(sliced(CHANGES, 2))(
    'from %s to %s: the new key is published, then signs, and the old one retires',
    async (from, to) => {
      const instance = await startWith(from)
      const user = await here.register()
      const old = kidOf(user.access_token)
      await restartWith(to)
      await become(`${to} pending`, `${from} active`)
      const next = String(await kidIn(to, 'pending'))
      expect((await here.published()).toSorted()).toEqual([old, next].toSorted())
      expect(await rowsOf('key.rotated')).toEqual([{ actor: 'auth', kid: next, alg: to, now: false }])

      await instance.pass(2 * MINUTE - SECOND)
      await instance.settled()
      const before = (await here.login(user.email)).body
      expect(kidOf(before.access_token)).toBe(old)
      expect(await here.each({ ...user, ...before })).toEqual([200, 200, 200])

      await instance.pass(SECOND)
      await become(`${to} active`, `${from} retiring`)
      const after = (await here.login(user.email)).body
      expect([algOf(after.access_token), kidOf(after.access_token)]).toEqual([to, next])
      for (const token of [user.access_token, before.access_token, after.access_token])
        expect(await here.each({ ...user, access_token: token })).toEqual([200, 200, 200])
      expect((await here.refresh(user.refresh_token)).status).toBe(200)
      expect(await rowsOf('key.activated')).toEqual([{ actor: 'auth', kid: next, alg: to }])
      expect(await rowsOf('key.retired')).toEqual([{ actor: 'auth', kid: old, alg: from }])

      await instance.pass(HOUR - 2 * SECOND)
      expect(await here.each({ ...user, ...before })).toEqual([200, 200, 200])
      await instance.pass(2 * MINUTE)
      expect(await here.published()).toEqual([next])
      for (let n = 0; n < 3; n++) await here.aWhile()
      expect(await states()).toEqual([`${to} active`])
      expect(await rowsOf('key.rotated')).toHaveLength(1)
    },
  )

  test('and back before the new key signs: it is withdrawn', async () => {
    const instance = await startWith('EdDSA')
    const user = await here.register()
    await restartWith('ES256')
    await become('ES256 pending', 'EdDSA active')
    const withdrawn = await kidIn('ES256', 'pending')
    await instance.pass(MINUTE)
    await restartWith('EdDSA')
    await become('EdDSA active')
    expect(await here.published()).toEqual([kidOf(user.access_token)])
    expect(await rowsOf('key.removed')).toEqual([{ actor: 'auth', kid: withdrawn, alg: 'ES256' }])
    for (let n = 0; n < 5; n++) await here.aWhile()
    expect(await states()).toEqual(['EdDSA active'])
    expect(kidOf((await here.login(user.email)).body.access_token)).toBe(kidOf(user.access_token))
    expect(await here.each(user)).toEqual([200, 200, 200])
  })

  test('and back afterwards: the retired key stays retired, and another one waits for its lead', async () => {
    const instance = await startWith('EdDSA')
    const user = await here.register()
    await restartWith('RS256')
    await become('RS256 pending', 'EdDSA active')
    await instance.pass(2 * MINUTE)
    await become('RS256 active', 'EdDSA retiring')
    await restartWith('EdDSA')
    await become('EdDSA pending', 'RS256 active', 'EdDSA retiring')
    expect(algOf((await here.login(user.email)).body.access_token)).toBe('RS256')
    await instance.pass(2 * MINUTE)
    await eventually(async () => (await states())[0] === 'EdDSA active' || undefined)
    const { access_token } = (await here.login(user.email)).body
    expect([algOf(access_token), kidOf(access_token) === kidOf(user.access_token)]).toEqual(['EdDSA', false])
    expect(await here.each(user)).toEqual([200, 200, 200])
  })

  test('and again before the new key signs: only the key of the last one waits', async () => {
    const instance = await startWith('EdDSA')
    await restartWith('ES256')
    await become('ES256 pending', 'EdDSA active')
    await restartWith('RS256')
    await become('RS256 pending', 'EdDSA active')
    await instance.pass(2 * MINUTE)
    await become('RS256 active', 'EdDSA retiring')
  })

  test('with SIGNING_KEY_LEAD=0s: the new key signs at once', async () => {
    await startWith('EdDSA', '0s')
    const user = await here.register()
    await restartWith('ES256')
    await become('ES256 active', 'EdDSA retiring')
    const { access_token } = (await here.login(user.email)).body
    expect(algOf(access_token)).toBe('ES256')
    for (const token of [user.access_token, access_token])
      expect(await here.each({ ...user, access_token: token })).toEqual([200, 200, 200])
    const [row] = await rowsOf('key.rotated')
    expect(row).toEqual({ actor: 'auth', kid: kidOf(access_token), alg: 'ES256', now: true })
  })

  const STEPS = ['add', 'activate', 'retire'] as const
  const kills = STEPS.flatMap((step) => (['before', 'after'] as const).map((when) => [step, when] as const))
  // In the suite: before the first step, after the second, before the third.
  test.each(sliced(kills, 3, ([step]) => step === 'retire'))(
    'killed in between, at "%s", %s its commit: it is completed after the next start',
    async (step, when) => {
      const instance = await startWith('EdDSA')
      const user = await here.register()
      const halt = here.halt(step, when)
      await restartWith('ES256')
      if (step !== 'add') {
        await become('ES256 pending', 'EdDSA active')
        await instance.pass(2 * MINUTE)
      }
      await halt.reached
      const crashed = instance.crash(SECOND)
      halt.goOn()
      await crashed
      expect(await here.each(user)).toEqual([200, 200, 200])
      await eventually(async () => (await states()).some((state) => state.startsWith('ES256')) || undefined)
      await instance.pass(2 * MINUTE)
      await become('ES256 active', 'EdDSA retiring')
      expect((await here.published()).length).toBe(2)
      const { access_token } = (await here.login(user.email)).body
      expect(algOf(access_token)).toBe('ES256')
      expect(await here.each({ ...user, access_token })).toEqual([200, 200, 200])
      expect(await here.each(user)).toEqual([200, 200, 200])
    },
  )
})

describe('16: the active key of an algorithm that is not in use any more', () => {
  const remove = async (kid: unknown) => (await here.ask(`DELETE /admin/keys/${kid}`, operator)).status

  test('is removed: the pending key of TOKEN_ALG signs at once', async () => {
    await startWith('EdDSA')
    const user = await here.register()
    await restartWith('ES256')
    await become('ES256 pending', 'EdDSA active')
    const next = await kidIn('ES256', 'pending')
    expect(await remove(kidOf(user.access_token))).toBe(204)
    expect(await states()).toEqual(['ES256 active'])
    expect(await here.published()).toEqual([String(next)])
    expect(await here.each(user)).toEqual([401, 401, 401])
    const fresh = (await here.refresh(user.refresh_token)).body
    expect(kidOf(fresh.access_token)).toBe(String(next))
    expect(await here.each({ ...user, ...fresh })).toEqual([200, 200, 200])
    expect(await rowsOf('key.removed')).toEqual([{ actor: 'operator', kid: kidOf(user.access_token), alg: 'EdDSA' }])
    expect((await rowsOf('key.rotated'))[0]).toEqual({ actor: 'operator', kid: next, alg: 'ES256', now: true })
  })

  test('is removed beside the active key of TOKEN_ALG, which is not rotated', async () => {
    const instance = await startWith('EdDSA')
    const user = await here.register()
    await restartWith('ES256')
    await become('ES256 pending', 'EdDSA active')
    const retire = here.restored(spyOn(KeyRing.prototype, 'retire').mockRejectedValue(new Error('the disk is full')))
    await instance.pass(2 * MINUTE)
    await become('ES256 active', 'EdDSA active')
    const signer = await kidIn('ES256', 'active')
    expect(kidOf((await here.login(user.email)).body.access_token)).toBe(String(signer))
    retire.mockRestore()
    expect(await remove(kidOf(user.access_token))).toBe(204)
    expect(await here.published()).toEqual([String(signer)])
    expect(await here.each(user)).toEqual([401, 401, 401])
  })

  test('cannot be rotated', async () => {
    await startWith('EdDSA')
    await restartWith('ES256')
    await become('ES256 pending', 'EdDSA active')
    for (const alg of ['EdDSA', 'RS256'])
      expectProblem(await here.ask(`POST /admin/keys/rotate?alg=${alg}`, operator), 400, 'validation_failed')
    const { kid } = await here.rotate('?alg=ES256&now=true')
    expect(await kidIn('ES256', 'active')).toBe(kid)
  })
})
