import { describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { decodeProtectedHeader } from 'jose'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import { RevocationFeed } from '../../services/auth/sessions/revocation-feed.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { createClient, idTokensBy } from '../support/oauth/clients.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { inTime, kidOf, operator } from './keys-in-time.ts'

// The keys of the algorithms that clients use for ID tokens, beside that of access tokens.

setDefaultTimeout(120_000)

const settings: Record<string, string> = {}
const here = inTime(settings)
const start = (more: Record<string, string> = {}) => {
  for (const name of Object.keys(settings)) delete settings[name]
  Object.assign(settings, { TOKEN_ALG: 'EdDSA', ...more })
  return here.start()
}

/** The algorithms and states of the keys, in the order of the alphabet. */
const states = async () => (await here.keys()).map(({ alg, status }) => `${alg} ${status}`).toSorted()
const become = async (...expected: string[]) => {
  await eventually(async () => (await states()).join() === expected.toSorted().join() || undefined)
  await here.instance.settled()
}
const kidIn = async (alg: string, status: string) =>
  (await here.keys()).find((key) => key.alg === alg && key.status === status)?.kid
const create = async (fields: Record<string, unknown>) =>
  (await createClient({ url: { auth: here.instance.url } as never }, fields)).id
const change = (id: string, body: object) => here.ask(`PATCH /admin/clients/${id}`, { ...operator, body })
const remove = (id: string) => here.ask(`DELETE /admin/clients/${id}`, operator)
const rowsOf = async (type: string) =>
  (await here.ask(`GET /admin/audit?type=${type}`, operator)).body.items.map(
    ({ actor, detail }: { actor: string; detail: object }) => ({ actor, ...detail }),
  )
/** The algorithms of the keys that services and guards get. */
const fed = async (): Promise<string[]> => {
  const query = new URLSearchParams({ follower: 'test-1', after: '0', epoch: 'none' })
  const page = await here.ask(`GET /auth/revocations?${query}`, { headers: as.internal })
  return page.body.keys.map(({ alg }: { alg: string }) => alg).toSorted()
}
const signsWith = async (email: string) => decodeProtectedHeader((await here.login(email)).body.access_token).alg

describe('16: the first client of an algorithm', () => {
  test.each<[string, Record<string, unknown>]>([
    ['a machine', { id_token_alg: 'RS256', scopes: ['users:read'] }],
    ['an app with the algorithm of access tokens', idTokensBy('EdDSA')],
    ['a disabled app', { ...idTokensBy('RS256'), status: 'disabled' }],
  ])('%s needs no further key', async (_, fields) => {
    await start()
    const before = await here.published()
    await create(fields)
    expect([await states(), await here.published()]).toEqual([['EdDSA active'], before])
    for (let n = 0; n < 2; n++) await here.aWhile()
    expect(await states()).toEqual(['EdDSA active'])
  })

  test.each(['ES256', 'RS256'])('%s has a key when the answer is sent; access tokens stay as they are', async (alg) => {
    await start()
    const user = await here.register()
    await create(idTokensBy(alg))
    expect(await states()).toEqual(['EdDSA active', `${alg} active`].toSorted())
    const kid = String(await kidIn(alg, 'active'))
    expect((await here.published()).toSorted()).toEqual([kidOf(user.access_token), kid].toSorted())
    expect(await rowsOf('key.rotated')).toEqual([{ actor: 'operator', kid, alg, now: true }])
    expect(await fed()).toEqual(['EdDSA'])
    expect(await signsWith(user.email)).toBe('EdDSA')
    expect(await here.each(user)).toEqual([200, 200, 200])
    // A second one shares the key.
    await create(idTokensBy(alg))
    expect(await kidIn(alg, 'active')).toBe(kid)
    expect(await here.published()).toHaveLength(2)
    await here.instance.restart(SECOND)
    await here.aWhile()
    expect(await kidIn(alg, 'active')).toBe(kid)
    expect([await states(), await fed()].map((list) => list.length)).toEqual([2, 1])
  })

  test('gets its key after the next start, if auth was killed before', async () => {
    const instance = await start()
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<null>()
    const spy = here.restored(
      spyOn(KeyRing.prototype, 'addFirst').mockImplementation(() => {
        reached.resolve()
        return gate.promise
      }),
    )
    const request = create(idTokensBy('RS256')).catch(() => undefined)
    await reached.promise
    const crashed = instance.crash(SECOND)
    gate.resolve(null)
    spy.mockRestore()
    await Promise.allSettled([request, crashed])
    await eventually(() => kidIn('RS256', 'active'))
    expect(await states()).toEqual(['EdDSA active', 'RS256 active'])
    expect(await rowsOf('key.rotated')).toEqual([expect.objectContaining({ actor: 'auth', alg: 'RS256', now: true })])
  })
})

describe('16: the last client of an algorithm', () => {
  const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] }

  test.each<[string, (id: string) => Promise<{ status: number }>]>([
    ['is deleted', remove],
    ['is disabled', (id) => change(id, { status: 'disabled' })],
    ['gets the algorithm of access tokens', (id) => change(id, { id_token_alg: 'EdDSA' })],
    ['has no users any more', (id) => change(id, MACHINE)],
  ])('%s: the key retires', async (_, end) => {
    const instance = await start()
    const [first, last] = [await create(idTokensBy('RS256')), await create(idTokensBy('RS256'))]
    const kid = String(await kidIn('RS256', 'active'))
    expect((await end(first)).status).toBeLessThan(300)
    expect(await kidIn('RS256', 'active')).toBe(kid)
    expect((await end(last)).status).toBeLessThan(300)
    expect(await states()).toEqual(['EdDSA active', 'RS256 retiring'])
    expect(await here.published()).toContain(kid)
    expect(await rowsOf('key.retired')).toEqual([{ actor: 'operator', kid, alg: 'RS256' }])
    await instance.pass(HOUR + 2 * MINUTE)
    expect(await here.published()).not.toContain(kid)
    // Another one has another key.
    await create(idTokensBy('RS256'))
    expect(await states()).toEqual(['EdDSA active', 'RS256 active'])
    expect(await kidIn('RS256', 'active')).not.toBe(kid)
  })

  test('has no users any more, but is to be told of the end of their sessions: the key stays', async () => {
    await start()
    const withNotices = { backchannel_logout_uri: 'https://app.example.org/logout' }
    const id = await create({ ...idTokensBy('RS256'), ...withNotices })
    expect((await change(id, MACHINE)).status).toBe(200)
    expect(await states()).toEqual(['EdDSA active', 'RS256 active'])
    expect((await change(id, { backchannel_logout_uri: null })).status).toBe(200)
    expect(await states()).toEqual(['EdDSA active', 'RS256 retiring'])
    expect((await change(id, withNotices)).status).toBe(200)
    expect(await states()).toEqual(['EdDSA active', 'RS256 active', 'RS256 retiring'])
  })

  test.each<[string, object, object]>([
    ['gets another algorithm', {}, { id_token_alg: 'ES256' }],
    ['is enabled with another algorithm', { status: 'disabled' }, { status: 'active', id_token_alg: 'ES256' }],
  ])('%s: it gets tokens as soon as it is changed', async (_, fields, body) => {
    await start()
    const at = { url: { auth: here.instance.url } } as never
    const user = await here.register()
    const app = await createApp(at, { id_token_alg: 'RS256', ...fields })
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    // The client is changed then, and the services have not acknowledged it yet.
    here.restored(
      spyOn(RevocationFeed.prototype, 'announce').mockImplementation(() => {
        reached.resolve()
        return gate.promise
      }),
    )
    const changing = change(app.id, body)
    await reached.promise
    const tokens = await tokensFor(at, user.access_token, app).finally(gate.resolve)
    expect(decodeProtectedHeader(tokens.id_token).alg).toBe('ES256')
    expect((await changing).status).toBe(200)
  })

  test.each<[string, object, number]>([
    ['is not valid', { id_token_alg: 'ES256', redirect_uris: ['http://app.example.org'] }, 400],
    ['is of a machine', { id_token_alg: 'ES256', ...MACHINE }, 200],
    ['is of a disabled app', { id_token_alg: 'ES256', status: 'disabled' }, 200],
  ])('a change that %s adds no key', async (_, body, status) => {
    await start()
    const id = await create(idTokensBy('EdDSA'))
    expect((await change(id, body)).status).toBe(status)
    expect(await states()).toEqual(['EdDSA active'])
  })

  test('gets another algorithm: each has its key', async () => {
    await start()
    const id = await create(idTokensBy('RS256'))
    expect((await change(id, { id_token_alg: 'ES256' })).status).toBe(200)
    expect(await states()).toEqual(['ES256 active', 'EdDSA active', 'RS256 retiring'])
    expect(await fed()).toEqual(['EdDSA'])
  })
})

describe('16: the key of an algorithm that clients use', () => {
  test('is rotated by itself: `?alg=`, without access tokens noticing', async () => {
    const instance = await start()
    const user = await here.register()
    await create(idTokensBy('RS256'))
    const before = await kidIn('RS256', 'active')
    expectProblem(await here.ask('POST /admin/keys/rotate?alg=ES256', operator), 400, 'validation_failed')
    expectProblem(await here.ask('POST /admin/keys/rotate?alg=HS256', operator), 400, 'validation_failed')
    const next = await here.rotate('?alg=RS256')
    expect(next).toMatchObject({ alg: 'RS256', status: 'pending' })
    expect([await here.rotate('?alg=RS256'), await kidIn('RS256', 'active')]).toEqual([next, before])
    await instance.settled()
    await instance.pass(2 * MINUTE)
    await eventually(async () => (await kidIn('RS256', 'active')) === next.kid || undefined)
    expect([await kidIn('RS256', 'retiring'), await kidIn('EdDSA', 'active')]).toEqual([
      before,
      kidOf(user.access_token),
    ])
    expect(await rowsOf('key.activated')).toEqual([{ actor: 'auth', kid: next.kid, alg: 'RS256' }])
    expect([await signsWith(user.email), await fed()]).toEqual(['EdDSA', ['EdDSA']])
    // Without `alg`, it is the key of access tokens.
    expect(await here.rotate()).toMatchObject({ alg: 'EdDSA', status: 'pending' })
    expect(await fed()).toEqual(['EdDSA', 'EdDSA'])
  })

  test('is rotated by age, each by its own', async () => {
    const instance = await start({ SIGNING_KEY_MAX_AGE: '30d' })
    await instance.pass(10 * DAY)
    await instance.settled()
    await create(idTokensBy('RS256'))
    await instance.pass(20 * DAY - 2 * MINUTE)
    await become('EdDSA pending', 'RS256 active', 'EdDSA active')
    await instance.pass(2 * MINUTE)
    await become('EdDSA active', 'RS256 active', 'EdDSA retiring')
    await instance.pass(10 * DAY - 2 * MINUTE)
    await become('RS256 pending', 'EdDSA active', 'RS256 active')
  })

  test('is removed: another one signs at once, and the key of access tokens stays', async () => {
    await start()
    const user = await here.register()
    await create(idTokensBy('RS256'))
    const kid = await kidIn('RS256', 'active')
    expect((await here.ask(`DELETE /admin/keys/${kid}`, operator)).status).toBe(204)
    expect(await states()).toEqual(['EdDSA active', 'RS256 active'])
    expect([(await here.published()).includes(String(kid)), await kidIn('EdDSA', 'active')]).toEqual([
      false,
      kidOf(user.access_token),
    ])
    expect(await here.each(user)).toEqual([200, 200, 200])
  })

  test('does not sign access tokens when TOKEN_ALG becomes its algorithm: another one waits, and replaces it', async () => {
    const instance = await start()
    const user = await here.register()
    await create(idTokensBy('RS256'))
    const ofClients = await kidIn('RS256', 'active')
    settings.TOKEN_ALG = 'RS256'
    await instance.restart(SECOND)
    await become('RS256 pending', 'RS256 active', 'EdDSA active')
    const next = await kidIn('RS256', 'pending')
    expect([await signsWith(user.email), await fed()]).toEqual(['EdDSA', ['EdDSA', 'RS256']])
    await instance.pass(2 * MINUTE)
    await become('RS256 active', 'RS256 retiring', 'EdDSA retiring')
    expect([await kidIn('RS256', 'active'), await kidIn('RS256', 'retiring')]).toEqual([next, ofClients])
    const { access_token } = (await here.login(user.email)).body
    expect(kidOf(access_token)).toBe(String(next))
    for (const token of [user.access_token, access_token])
      expect(await here.each({ ...user, access_token: token })).toEqual([200, 200, 200])
    // Back: the app goes on with the key, and its successor may still sign access tokens.
    settings.TOKEN_ALG = 'EdDSA'
    await instance.restart(SECOND)
    await eventually(() => kidIn('EdDSA', 'pending'))
    await instance.settled()
    await instance.pass(2 * MINUTE)
    await eventually(() => kidIn('EdDSA', 'active'))
    await instance.settled()
    expect([await signsWith(user.email), await kidIn('RS256', 'active')]).toEqual(['EdDSA', next])
  })

  test('does not hasten the first key of TOKEN_ALG that waits for its lead', async () => {
    const instance = await start()
    const user = await here.register()
    settings.TOKEN_ALG = 'RS256'
    await instance.restart(SECOND)
    await become('RS256 pending', 'EdDSA active')
    const next = await kidIn('RS256', 'pending')
    await create(idTokensBy('RS256'))
    const ofClients = await kidIn('RS256', 'active')
    expect(await states()).toEqual(['EdDSA active', 'RS256 active', 'RS256 pending'])
    expect([await signsWith(user.email), await kidIn('RS256', 'pending')]).toEqual(['EdDSA', next])
    await instance.pass(2 * MINUTE)
    await become('RS256 active', 'RS256 retiring', 'EdDSA retiring')
    expect([await kidIn('RS256', 'active'), await kidIn('RS256', 'retiring')]).toEqual([next, ofClients])
    expect(await signsWith(user.email)).toBe('RS256')
  })
})
