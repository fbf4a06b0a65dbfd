import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createUser, newEmail } from '../../support/actors.ts'
import { movingClock } from '../../support/moving-clock.ts'
import { RelyingParty } from '../../support/oauth/relying-party.ts'
import { running } from '../../support/running.ts'
import { inProcess } from '../../support/system.ts'
import { stored } from './stored.ts'
import { COOKIES, isSignedIn, newPerson, type Person, type Sent, signIn, type Visit, Visitor } from './visitor.ts'

const EVIL = 'https://evil.example/callback'

describe('the pages of apps', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), { RATE_LIMIT: 'off' })
  let shop: RelyingParty
  let person: Person
  beforeAll(async () => {
    shop = await RelyingParty.start(here.system)
    person = await newPerson(here.system)
  })
  afterAll(() => shop?.stop())

  const formAction = ({ headers }: Visit) =>
    /form-action ([^;]*)/.exec(headers.get('content-security-policy') ?? '')?.[1]

  /** Gives the consent, and returns the code. */
  async function allow(visitor: Visitor, more: Record<string, string> = {}): Promise<string> {
    const { location } = await visitor.get(shop.authorize(more))
    const answer = await visitor.fill(location, { consent: 'given' })
    return new URL(answer.location).searchParams.get('code') ?? ''
  }

  test.each<[string, () => string]>([
    ['an unknown client', () => shop.authorize({ client_id: '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e' })],
    ['no client', () => shop.authorize({ client_id: undefined })],
    ['an unregistered address', () => shop.authorize({ redirect_uri: EVIL })],
    ['no address', () => shop.authorize({ redirect_uri: undefined })],
    ['an address that is longer', () => shop.authorize({ redirect_uri: `${shop.origin}/callback/..` })],
    ['an address of a script', () => shop.authorize({ redirect_uri: 'javascript:alert(1)' })],
    ['two addresses', () => `${shop.authorize()}&redirect_uri=${encodeURIComponent(EVIL)}`],
    ['two states', () => `${shop.authorize()}&state=b`],
    ['an endless state', () => shop.authorize({ state: 'a'.repeat(3000) })],
    ['nothing', () => '/oauth/authorize'],
  ])('check 48: a request with %s leads nowhere', async (_, path) => {
    const before = await stored(here.system)
    for (const visitor of [person.visitor.copy(), new Visitor(here.system)])
      for (const page of [path(), path().replace('authorize', 'consent')]) {
        const answer = await visitor.get(page, { 'x-request-id': 'canary-request-id' })
        // Without a session the consent leads to the request itself.
        if (answer.status === 303) {
          expect(answer.location).toStartWith('/oauth/authorize')
          continue
        }
        expect([answer.status, answer.location]).toEqual([400, ''])
        expect(answer.text).toContain('canary-request-id')
        expect(answer.text).not.toContain('evil.example')
        expect(formAction(answer)).toBe("'self'")
        expect(answer.headers.getSetCookie()).toEqual([])
      }
    expect(await stored(here.system)).toEqual(before)
  })

  test('check 48: a silent request shows no page', async () => {
    const { visitor } = await newPerson(here.system)
    const errorOf = async (each: Visitor) => {
      const { location, status } = await each.get(shop.authorize({ prompt: 'none' }))
      expect([status, location.startsWith(`${shop.origin}/callback?`)]).toEqual([303, true])
      return new URL(location).searchParams.get('error')
    }
    expect(await errorOf(new Visitor(here.system))).toBe('login_required')
    expect(await errorOf(visitor)).toBe('consent_required')
    expect(await allow(visitor)).not.toBe('')
    expect(await errorOf(visitor)).toBeNull()
  })

  test('check 48: only pages that lead to an app name its address, and only the one that was checked', async () => {
    const phone = await RelyingParty.start(here.system, { redirect_uris: ['com.example.app:/callback'] })
    const visitor = new Visitor(here.system)
    const { location } = await visitor.get(shop.authorize())
    expect(formAction(await visitor.get(location))).toBe(`'self' ${shop.origin}`)
    // Another request, which nobody has checked.
    const other = `/sign-in?return_to=${encodeURIComponent(shop.authorize({ redirect_uri: EVIL }))}`
    expect(formAction(await visitor.get(other))).toBe("'self'")
    expect(formAction(await new Visitor(here.system).get(location))).toBe("'self'")
    for (const [app, source] of [
      [shop.authorize(), shop.origin],
      [phone.authorize({ redirect_uri: 'com.example.app:/callback' }), 'com.example.app:'],
    ] as const) {
      const asking = person.visitor.copy()
      const consent = await asking.get((await asking.get(app)).location)
      expect([consent.status, formAction(consent)]).toEqual([200, `'self' ${source}`])
    }
    await phone.stop()
  })

  test('check 48: nothing of a link or of a form stands for an answer or a sign-in', async () => {
    const { email, visitor } = await newPerson(here.system)
    const consent = (await visitor.get(shop.authorize())).location
    for (const more of ['consent=given', 'started_at=9999999999&consent=given']) {
      expect((await visitor.get(`${consent}&${more}`)).status).toBe(200)
      expect((await visitor.get(`${shop.authorize()}&${more}`)).location).toStartWith('/oauth/consent?')
    }
    expect((await visitor.fill(consent, { consent: 'yes' })).status).toBe(200)
    // An authentication before the request, and one for another request.
    const again = shop.authorize({ prompt: 'login', scope: 'openid' })
    clock.pass(2000)
    for (const path of [again, `${again}&started_at=1`, again.replace('authorize', 'consent')])
      expect((await visitor.get(path)).location).toMatch(/^\/(sign-in\?step=again&|oauth\/authorize\?)/)
    expect((await visitor.fill(again.replace('authorize', 'consent'), { consent: 'given' })).location).not.toContain(
      'code=',
    )
    const moved = visitor.copy()
    moved.cookies.set(COOKIES.authorizations, visitor.cookies.get(COOKIES.session) ?? '')
    expect((await moved.get(again)).location).toStartWith('/sign-in?step=again&')
    await signIn(visitor, email)
    expect((await visitor.get(again)).location).toStartWith('/oauth/consent?')
    expect((await visitor.get(again.replace('state=', 'state=b'))).location).toStartWith('/sign-in?step=again&')
  })

  test('check 48: an app may ask to sign out, and only the owner of the session does it', async () => {
    const { visitor } = await newPerson(here.system)
    const code = await allow(visitor)
    const { id_token } = await shop.redeem(code)
    const path = `/oauth/logout?${new URLSearchParams({ id_token_hint: id_token })}`
    const signed = (...parts: string[]) => `/oauth/logout?id_token_hint=${parts.join('.')}`
    const [header = '', claims = '', signature = ''] = id_token.split('.')
    const foreign = await createUser(here.system)
    const bad = [
      signed(header, claims, 'AAAA'),
      signed(Buffer.from('{"alg":"none"}').toString('base64url'), claims, ''),
      signed(...foreign.tokens.access_token.split('.')),
      `${path}&post_logout_redirect_uri=${encodeURIComponent(EVIL)}`,
      `/oauth/logout?post_logout_redirect_uri=${encodeURIComponent(EVIL)}`,
      `${path}&id_token_hint=${signature}`,
    ]
    for (const each of [visitor.copy(), new Visitor(here.system)])
      for (const url of bad) {
        const answer = await each.get(url)
        expect([url, answer.status, answer.location]).toEqual([url, 400, ''])
      }
    for (const method of ['HEAD', 'GET']) {
      const { status } = await visitor.copy().send(method, method === 'GET' ? '/oauth/logout' : path)
      expect([method, status]).toEqual([method, 200])
    }
    expect(await isSignedIn(visitor)).toBe(true)
    expect((await visitor.copy().get(path)).location).toBe('/sign-in?done=signed-out')
    expect(await isSignedIn(visitor)).toBe(false)
  })

  test('check 48: a form of another site is a link at most', async () => {
    const before = await stored(here.system)
    const headers: Sent[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': undefined, origin: 'https://evil.example' },
      { 'sec-fetch-site': undefined, origin: 'null' },
      {},
    ]
    for (const page of ['/oauth/authorize', '/oauth/logout'])
      for (const sent of headers) {
        const { visitor } = person
        const answer = await visitor.copy().post(page, { ...shop.parameters(), form_token: 'x' }, sent)
        expect([page, answer.status]).toEqual([page, 303])
        const to = new URL(answer.location, shop.origin)
        expect([to.origin, to.pathname]).toEqual([shop.origin, page])
        expect(Object.fromEntries(to.searchParams)).toEqual(shop.parameters())
      }
    const long = await person.visitor.copy().post('/oauth/authorize', shop.parameters({ state: 'a'.repeat(20_000) }))
    expect([long.status, long.location]).toEqual([400, ''])
    expect(await stored(here.system)).toEqual(before)
  })

  test('check 48: long requests and many tabs break no step: the cookies stay within what browsers keep', async () => {
    const random = Array.from({ length: 300 }, () => Math.random().toString(36).slice(2)).join('')
    const visitor = new Visitor(here.system)
    const state = random.slice(0, 2000)
    for (let tab = 0; tab < 10; tab++) {
      const { headers, location } = await visitor.get(shop.authorize({ state, nonce: `${tab}`, prompt: 'login' }))
      expect(location).toStartWith('/sign-in?return_to=')
      for (const line of headers.getSetCookie()) expect(line.length).toBeLessThan(4096)
      if (tab < 9) continue
      await visitor.get(location)
      const return_to = new URL(location, shop.origin).searchParams.get('return_to') ?? ''
      expect(return_to.length).toBeGreaterThan(2000)
      const signUp = await visitor.fill('/sign-up', { email: newEmail(), password: 'correct horse battery', return_to })
      for (const line of signUp.headers.getSetCookie()) expect(line.length).toBeLessThan(4096)
      const next = await visitor.fill('/verify-email', { action: 'later' })
      expect(next.location).toBe(return_to)
      expect((await visitor.get(next.location)).location).toStartWith('/oauth/consent?')
    }
  })
})
