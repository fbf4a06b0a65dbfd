import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { expectProblem } from '../support/expectations.ts'
import { inTime, kidOf, operator } from './keys-in-time.ts'

setDefaultTimeout(120_000)

describe('check 39: R6: a pending key signs two minutes after it was published', () => {
  const here = inTime({})
  /** @param disturb an event one minute after the key was published @returns how many seconds later the key signs */
  const signsAfter = async (disturb: () => unknown) => {
    await here.instance.pass(MINUTE)
    await disturb()
    for (let seconds = 0; seconds <= 300; seconds += 10) {
      await here.instance.settled()
      if (!(await here.pending())) return seconds
      await here.instance.pass(10 * SECOND)
    }
    return 'never'
  }

  test.each<[string, () => unknown, number]>([
    ['without a disturbance', () => undefined, 60],
    ['with a restart of ten seconds', () => here.instance.restart(10 * SECOND), 50],
    ['with a kill, and a start ten seconds later', () => here.instance.crash(10 * SECOND), 50],
    ['with a downtime of an hour', () => here.instance.crash(HOUR), 0],
    ['with the clock set an hour forward', () => here.instance.step(HOUR), 60],
    ['with the clock set an hour back', () => here.instance.step(-HOUR), 60],
    // The elapsed part of the lead is unknown then: the lead begins again, and does not become an hour.
    ['with the clock set an hour back during a downtime', () => here.instance.restart(-HOUR), 120],
    ['with three restarts', () => restarts(3), 30],
  ])('%s', async (_, disturb, seconds) => {
    await here.start()
    const user = await here.register()
    const first = await here.active()
    const { kid, status } = await here.rotate()
    expect(status).toBe('pending')
    expect(await signsAfter(disturb)).toBe(seconds)
    expect(await here.active()).toBe(kid)
    expect((await here.published()).sort()).toEqual([kid, String(first)].sort())
    expect(await here.activations()).toEqual([
      expect.objectContaining({ actor: 'auth', detail: { kid, alg: 'EdDSA' } }),
    ])
    const { body } = await here.login(user.email)
    expect(kidOf(body.access_token)).toBe(kid)
    expect(await here.each({ ...user, ...body })).toEqual([200, 200, 200])
  })
  const restarts = async (times: number) => {
    for (let n = 0; n < times; n++) await here.instance.restart(10 * SECOND)
  }

  test('and tokens of the previous key stay valid until they expire, the last of them too', async () => {
    const instance = await here.start()
    const user = await here.register()
    const first = kidOf(user.access_token)
    await here.rotate()
    await instance.pass(2 * MINUTE - SECOND)
    const last = (await here.login(user.email)).body
    expect(kidOf(last.access_token)).toBe(first)
    await instance.pass(SECOND)
    await here.rotatedFrom(first)
    await instance.pass(HOUR - 2 * SECOND)
    expect(await here.each({ ...user, ...last })).toEqual([200, 200, 200])
    expect(await here.published()).toContain(first)
    await instance.pass(2 * MINUTE)
    expect(await here.published()).not.toContain(first)
  })

  test('unless it is removed: then the previous key continues to sign, and the next has a lead of its own', async () => {
    const instance = await here.start()
    const first = await here.active()
    const { kid } = await here.rotate()
    await instance.pass(MINUTE)
    expect((await here.ask(`DELETE /admin/keys/${kid}`, operator)).status).toBe(204)
    expectProblem(await here.ask(`DELETE /admin/keys/${kid}`, operator), 404, 'not_found')
    const next = await here.rotate()
    expect(next.kid).not.toBe(kid)
    await instance.pass(MINUTE)
    await instance.settled()
    expect([await here.active(), await here.pending()]).toEqual([first, next.kid])
    await instance.pass(MINUTE)
    expect(await here.rotatedFrom(first)).toBe(next.kid)
    for (let n = 0; n < 3; n++) await here.aWhile()
    expect(await here.activations()).toHaveLength(1)
  })

  test('unless it is activated at once: then it is not activated again', async () => {
    const instance = await here.start()
    const { kid } = await here.rotate()
    expect(await here.rotate('?now=true')).toMatchObject({ kid, status: 'active' })
    await instance.pass(2 * MINUTE)
    await instance.settled()
    expect(await here.active()).toBe(kid)
    expect(await here.activations()).toEqual([])
    expect((await here.rotations()).map(({ detail }) => detail)).toEqual([
      { kid, alg: 'EdDSA', now: true },
      { kid, alg: 'EdDSA', now: false },
    ])
  })
})

describe('R6: a pending key that an operator removed', () => {
  const here = inTime({ SIGNING_KEY_MAX_AGE: '2h', SIGNING_KEY_LEAD: '10m' })

  test('is not replaced at once, however old the signing key is', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.pass(2 * HOUR - 10 * MINUTE)
    const kid = await here.publishes()
    expect((await here.ask(`DELETE /admin/keys/${kid}`, operator)).status).toBe(204)
    for (let n = 0; n < 15; n++) await here.aWhile()
    expect([await here.active(), await here.pending()]).toEqual([first, undefined])
  })
})

describe.each([
  ['0s', 'max-age=0'],
  ['60s', 'max-age=0'],
  ['90s', 'max-age=15'],
  ['180s', 'max-age=60'],
  ['1h', 'max-age=60'],
])('R6: SIGNING_KEY_LEAD=%s', (SIGNING_KEY_LEAD, maxAge) => {
  const here = inTime({ SIGNING_KEY_LEAD, SIGNING_KEY_MAX_AGE: '2h' })
  const lead = { s: SECOND, h: HOUR }[SIGNING_KEY_LEAD.at(-1) ?? ''] ?? 0
  const ms = Number.parseInt(SIGNING_KEY_LEAD, 10) * lead

  test('the JWKS is cached for at most the lead; a key, rotated by hand or by age, signs after the lead', async () => {
    const instance = await here.start()
    const { headers } = await instance.ask('GET /.well-known/jwks.json')
    expect(headers.get('cache-control')).toBe(`public, ${maxAge}`)
    const first = await here.active()
    const byHand = await here.rotate()
    expect(byHand.status).toBe(ms === 0 ? 'active' : 'pending')
    await instance.pass(ms)
    expect(await here.rotatedFrom(first)).toBe(byHand.kid)
    // The age of a key counts from its publication.
    await instance.pass(2 * HOUR - 2 * ms)
    if (ms > 0) await here.publishes()
    await instance.pass(ms)
    await here.rotatedFrom(byHand.kid)
    expect((await here.rotations()).map(({ actor }) => actor)).toEqual(['auth', 'operator'])
    expect(await here.activations()).toHaveLength(ms === 0 ? 0 : 2)
  })
})
