import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createUser, PASSWORD, registerUser } from '../support/actors.ts'
import { appWith, enrolApp } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { claimsOf, RelyingParty } from '../support/oauth/relying-party.ts'
import { WHOLE } from '../support/whole.ts'
import { type Person, pagesInBrowser, WAYS } from './pages.ts'

const MINUTE = 60_000
const WRONG = 'a wrong password'

describe('from an app, a person', () => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off' }, { clock })
  let shop: RelyingParty
  beforeAll(async () => {
    shop = await RelyingParty.start(here.system, { name: 'The shop' })
  })
  afterAll(() => shop?.stop())

  /** Waits until the browser is back at the app. */
  const back = (person: Person, path = '/callback') => person.page.waitForURL(`${shop.origin}${path}**`)

  async function allow(person: Person): Promise<void> {
    await person.press(person.texts.consent.allow)
    await back(person)
  }

  test.each(WHOLE ? WAYS : WAYS.slice(1, 2))('%s: signs in, allows it, and is not asked again', async (way) => {
    const { email, id } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { consent, fields, scopes } = ana.texts
    await ana.open(shop.authorize({ login_hint: email, state: `a ${way} & more` }))
    expect(ana.at).toStartWith('/sign-in?return_to=')
    expect(await ana.field(fields.login).inputValue()).toBe(email)
    await ana.type(fields.password, PASSWORD)
    await ana.press(ana.texts.signIn.submit)
    expect(ana.at).toStartWith('/oauth/consent?')
    expect(await ana.heading()).toBe(consent.title('The shop'))
    const text = await ana.read()
    for (const part of [email, scopes.openid, scopes.email]) expect(text).toContain(part)
    expect(text).not.toContain(scopes.roles)
    await allow(ana)
    expect(shop.answer).toEqual({ code: expect.any(String), state: `a ${way} & more`, iss: expect.any(String) })
    const { id_token } = await shop.redeem()
    expect(claimsOf(id_token)).toMatchObject({ sub: id, nonce: 'a nonce', aud: shop.client.id })
    await ana.open(shop.authorize({ state: 'again' }))
    await back(ana)
    expect(shop.answer).toMatchObject({ code: expect.any(String), state: 'again' })
  })

  test('refuses in the language of the app, which learns of it', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person({ language: 'ru' })
    await ana.context.setExtraHTTPHeaders({ 'accept-language': 'en' })
    await ana.open(shop.authorize({ ui_locales: 'fr ru-RU en' }))
    await ana.signIn(email)
    await ana.press(ana.texts.consent.deny)
    await back(ana)
    expect(shop.answer).toMatchObject({ error: 'access_denied', state: 'a state' })
    expect(shop.answer).not.toHaveProperty('code')
  })

  test('registers, and is led on to the app', async () => {
    const ana = await here.person()
    await ana.open(shop.authorize())
    await ana.follow(ana.texts.signIn.signUp)
    await ana.type(ana.texts.fields.email, `ana-${Math.random().toString(36).slice(2)}@example.org`)
    await ana.type(ana.texts.fields.password, PASSWORD)
    await ana.press(ana.texts.signUp.submit)
    await ana.press(ana.texts.verify.later)
    await allow(ana)
    expect(shop.answer).toMatchObject({ code: expect.any(String) })
  })

  test('authenticates again if the app asks for it, each time, whatever the link says', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    clock.pass(MINUTE)
    const askedAt = Math.floor(clock.now() / 1000)
    for (const more of [{ prompt: 'login' }, { max_age: '0', state: 'other' }]) {
      // The second time too: what was shown for one request is spent.
      for (const isFirst of more.prompt ? [true, false] : [false]) {
        await ana.open(`${shop.authorize(more)}&started_at=1`)
        expect(ana.at).toStartWith('/sign-in?step=again&return_to=')
        // Nor does the sign-in, which others leave when they are signed in.
        await ana.open(ana.at.replace('step=again&', ''))
        expect(ana.at).toStartWith('/sign-in?step=again&return_to=')
        await ana.press(ana.texts.again.submit)
        await ana.see(ana.texts.errors.required(undefined))
        await ana.type(ana.texts.fields.confirm_password, WRONG)
        await ana.press(ana.texts.again.submit)
        await ana.see(ana.texts.problems.wrong_password)
        await ana.type(ana.texts.fields.confirm_password, PASSWORD)
        await ana.press(ana.texts.again.submit)
        if (isFirst) await allow(ana)
        else await back(ana)
        expect(Number(claimsOf((await shop.redeem()).id_token).auth_time)).toBeGreaterThanOrEqual(askedAt)
        clock.pass(MINUTE)
      }
    }
    // Who waits longer than auth allows types the password once more, and is not asked for ever.
    await ana.open(shop.authorize({ prompt: 'login' }))
    clock.pass(40 * MINUTE)
    for (const _ of [1, 2]) {
      await ana.type(ana.texts.fields.confirm_password, PASSWORD)
      await ana.press(ana.texts.again.submit)
    }
    await back(ana)
    expect(shop.answer).toMatchObject({ code: expect.any(String) })
  })

  test('shows their second factor if the app asks for two', async () => {
    const { email, tokens } = await createUser(here.system, { email_verified: true })
    const ana = await here.person()
    await ana.signIn(email)
    const { app } = await enrolApp(here.system, tokens.access_token, clock.now())
    clock.pass(MINUTE)
    await ana.open(shop.authorize({ acr_values: 'aal2' }))
    expect(ana.at).toStartWith('/sign-in?step=again&')
    await ana.type(ana.texts.fields.factor_code, appWith({ id: '', secret: app.secret }).codeAt(clock.now()))
    await ana.press(ana.texts.again.submit)
    await allow(ana)
    expect(claimsOf((await shop.redeem()).id_token)).toMatchObject({ amr: expect.arrayContaining(['mfa']) })
  })

  test('goes on with another account', async () => {
    const [first, second] = [await registerUser(here.system), await registerUser(here.system)]
    const ana = await here.person()
    await ana.signIn(first.email)
    await ana.open(shop.authorize())
    await ana.press(ana.texts.again.other)
    expect(ana.at).toStartWith('/sign-in?done=signed-out&return_to=')
    await ana.signIn(second.email)
    await ana.see(second.email)
    expect(await ana.read()).not.toContain(first.email)
    await allow(ana)
    expect(claimsOf((await shop.redeem()).id_token)).toMatchObject({ sub: second.id })
  })

  test('goes back to the app when somebody else signs in than the ID token names, and is not asked for ever', async () => {
    const [first, second] = [await registerUser(here.system), await registerUser(here.system)]
    const ana = await here.person()
    await ana.open(shop.authorize())
    await ana.signIn(first.email)
    await allow(ana)
    const { id_token } = await shop.redeem()
    const other = await here.person()
    await other.open(shop.authorize({ id_token_hint: id_token }))
    await other.signIn(second.email)
    await back(other)
    expect(shop.answer).toMatchObject({ error: 'login_required' })
  })

  test('signs out from the app: without a question only with an ID token of this session', async () => {
    const { email } = await registerUser(here.system)
    const leave = (id_token_hint?: string) =>
      `/oauth/logout?${new URLSearchParams({
        client_id: shop.client.id,
        post_logout_redirect_uri: `${shop.origin}/bye`,
        state: 'left',
        ...(id_token_hint === undefined ? {} : { id_token_hint }),
      })}`
    const ana = await here.person()
    await ana.open(shop.authorize())
    await ana.signIn(email)
    await allow(ana)
    const { id_token } = await shop.redeem()
    const other = await here.person()
    await other.signIn(email)
    for (const hint of [undefined, id_token]) {
      await other.open(leave(hint))
      expect(await other.heading()).toBe(other.texts.logout.title)
      await other.see(other.texts.logout.leadNamed('The shop'))
      await other.follow(other.texts.logout.stay)
      expect(other.at).toBe('/account')
    }
    await other.open(leave())
    await other.press(other.texts.nav.signOut)
    await back(other, '/bye')
    expect(shop.answer).toEqual({ state: 'left' })
    await ana.open('/account')
    expect(ana.at).toBe('/account')
    await ana.page.goto(leave(id_token))
    await back(ana, '/bye')
    await ana.open('/account')
    expect(ana.at).toBe('/sign-in')
    // Nobody is signed in any more.
    await ana.page.goto(leave())
    await back(ana, '/bye')
    await ana.open('/oauth/logout')
    await ana.see(ana.texts.done['signed-out'])
  })

  test('comes by a form of the app, which signs nobody out', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    const submit = async (path: string, fields: Record<string, string>) => {
      const inputs = Object.entries(fields).map(
        ([name, value]) => `<input type=hidden name="${name}" value="${value}">`,
      )
      shop.page = `<form method=post action="${here.system.url.web}${path}">${inputs.join('')}<button>Go</button></form>`
      // Another site than that of the pages.
      await ana.page.goto(`${shop.origin.replace('127.0.0.1', 'localhost')}/page`)
      await ana.press('Go')
    }
    await submit('/oauth/logout', { client_id: shop.client.id })
    expect(await ana.heading()).toBe(ana.texts.logout.title)
    await submit('/oauth/authorize', shop.parameters({ prompt: 'login' }))
    expect(ana.at).toStartWith('/sign-in?step=again&')
    await submit('/oauth/authorize', shop.parameters())
    expect(await ana.heading()).toBe(ana.texts.consent.title('The shop'))
    await allow(ana)
    expect(shop.answer).toMatchObject({ code: expect.any(String) })
  })

  test('sees what apps may do, and ends it', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    const { apps, fields, problems, scopes } = ana.texts
    await ana.open(shop.authorize({ scope: 'openid offline_access' }))
    await ana.signIn(email)
    await allow(ana)
    const { access_token, refresh_token = '' } = await shop.redeem()
    const userinfo = () => call(here.system.url.auth, 'GET /oauth/userinfo', { headers: as.bearer(access_token) })
    expect((await userinfo()).status).toBe(200)
    clock.pass(11 * MINUTE)
    await ana.open('/account/apps')
    await ana.see('The shop')
    await ana.see(scopes.offline_access)
    await ana.press(apps.endNamed('The shop'))
    await ana.see(problems.reauthentication_required)
    await ana.type(fields.confirm_password, WRONG)
    await ana.press(apps.end)
    await ana.see(problems.wrong_password)
    await ana.type(fields.confirm_password, PASSWORD)
    await ana.press(apps.end)
    expect(ana.at).toBe('/account/apps?done=app')
    await ana.see(apps.none)
    expect((await userinfo()).status).toBe(401)
    expect((await shop.requestToken({ grant_type: 'refresh_token', refresh_token })).status).toBe(400)
  })
})
