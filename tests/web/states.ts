import { afterAll, beforeAll } from 'bun:test'
import type { Mail } from '../../services/auth/mail/transport.ts'
import { type Clock, MINUTE, systemClock } from '../../services/kit/clock.ts'
import type { Locale } from '../../services/kit/locale.ts'
import { createUser, logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { eventually } from '../support/eventually.ts'
import { appWith, enrolApp, enrolPasskey } from '../support/factors.ts'
import { as, byOperator, call } from '../support/http.ts'
import { RelyingParty } from '../support/oauth/relying-party.ts'
import { type InProcessSystem, withHost } from '../support/system.ts'
import { type Person, type PersonOptions, pagesInBrowser } from './pages.ts'

/** When the pages are shown, so that they look the same on each day. */
const NOW = Date.parse('2026-11-20T10:00:00Z')
const ANA = 'ana@example.org'
const MIA = 'mia@example.org'
const SENT_TO = 'vera@example.org'
/** A support person, and someone who cannot sign in. */
const SAM = 'sam@example.org'
const BEA = 'bea@example.org'
const LAPTOP = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1'
const REQUEST_ID = '0193f3a2-5c1e-7d44-9a52-1f6feb2c1a20'
const SOME_MODULES = [
  { id: 'reports', name: 'Reports', description: 'Charts of each week, and their files' },
  { id: 'sharing', name: 'Sharing', description: 'Reports for people without an account', requires: ['reports'] },
  { id: 'audits', name: 'Audits', description: 'The list of all changes', required_roles: ['AUDITOR'] },
]

/** A clock that stands still until a test moves it. */
function standingClock(): Clock & { pass(ms: number): void } {
  let at = NOW
  return {
    now: () => at,
    monotonic: systemClock.monotonic,
    pass(ms) {
      at += ms
    },
  }
}

type Known = 'ana' | 'mia' | 'new' | 'sam'

/** How a page looks after what a person did. */
export interface State {
  name: string
  /**
   * `ana` is signed in; `mia` too, with second factors; `new` too, without a verified email; `sam` too, who is a support person;
   * anyone else is not.
   */
  as: 'anyone' | Known
  show(person: Person, world: World): Promise<void>
  /** Ends what `show` began. */
  after?(world: World): Promise<void>
}

export interface World {
  system: InProcessSystem
  /** The code in the last mail to an address after the first `before` ones, and the path of its link. */
  mail(to: string, before?: number): Promise<{ code: string; link: string }>
  clock: ReturnType<typeof standingClock>
  /** The app that people sign in to. */
  shop: RelyingParty
  /** The ids of Ana, and of someone who cannot sign in. */
  ids: { ana: string; bea: string }
}

type Cookies = Extract<PersonOptions['storageState'], object>

/** Serves the pages for people like Ana, and opens each state with a browser of its own. */
export function pagesOfAna(env: Record<string, string> = {}) {
  const mails: Mail[] = []
  const clock = standingClock()
  const mailer = {
    async send(mail: Mail) {
      mails.push(mail)
    },
    close: () => undefined,
  }
  const here = pagesInBrowser(
    {
      RATE_LIMIT: 'off',
      EMAIL_LOGIN: 'on',
      DEVICE_TRUST: 'pages',
      MFA: 'admins',
      SUPPORT_ROLE: 'SUPPORT',
      // No mail is sent: as with a server, pages do not say where the files of mails are.
      SMTP_URL: 'smtp://127.0.0.1:25',
      MAIL_FROM: 'Ch202 <no-reply@example.org>',
      SUPPORT_EMAIL: 'help@example.org',
      ...env,
    },
    { layout: 'apart', clock, mailer, publicHost: 'localhost' },
  )
  let shop: RelyingParty
  beforeAll(async () => {
    shop = await RelyingParty.start(here.system, { name: 'The shop' })
  })
  afterAll(() => shop?.stop())
  const world: World = {
    get system() {
      return here.system
    },
    get shop() {
      return shop
    },
    clock,
    ids: { ana: '', bea: '' },
    async mail(to, before = 0) {
      const { text } = await eventually(() => mails.filter((mail) => mail.to === to)[before])
      const [, link = ''] = /https?:\/\/[^/\s]+(\/[a-z-]+\?token=[\w-]+)/.exec(text) ?? []
      const [, code = ''] = /^\s*(\d{3} ?\d{3})\s*$/m.exec(text) ?? []
      return { code: code.replace(' ', ''), link }
    },
  }
  let cookies: Record<Known, Cookies> | undefined

  async function signUpEveryone(language: Locale): Promise<Record<Known, Cookies>> {
    const { system } = here
    for (const module of SOME_MODULES) await call(system.url.modules, 'POST /api/v1/modules', byOperator(module))
    const { id: ana } = await createUser(system, { email: ANA, email_verified: true, name: 'Ana', username: 'ana' })
    Object.assign(world.ids, { ana })
    await createUser(system, { email: SENT_TO, email_verified: true })
    const signedIn: Person[] = []
    for (const [userAgent, count] of [
      [PHONE, 0],
      [LAPTOP, 1],
    ] as const) {
      clock.pass(3 * MINUTE)
      const ana = await here.person({ userAgent, language })
      await ana.signIn(ANA)
      await ana.type(ana.texts.fields.code, (await world.mail(ANA, 2 * count)).code)
      await ana.press(ana.texts.signIn.confirm)
      // A notice about the new device.
      await world.mail(ANA, 2 * count + 1)
      signedIn.push(ana)
    }
    const vera = await here.person({ userAgent: LAPTOP, language })
    await vera.register('new@example.org', { name: 'Vera' })
    const mia = await signInMia(language)
    const sam = await signInSam(language)
    const states = await Promise.all([...signedIn, vera, mia, sam].map(({ context }) => context.storageState()))
    const [, ofAna, ofVera, ofMia, ofSam] = states as [Cookies, Cookies, Cookies, Cookies, Cookies]
    return { ana: ofAna, new: ofVera, mia: ofMia, sam: ofSam }
  }

  /** Signs in someone who has an app and a passkey. */
  async function signInMia(language: Locale): Promise<Person> {
    await createUser(here.system, { email: MIA, email_verified: true, name: 'Mia' })
    const { access_token } = (await logIn(here.system, MIA)).body
    const { app } = await enrolApp(here.system, access_token, clock.now())
    const origin = withHost(here.system.url.web, 'localhost')
    await enrolPasskey(here.system, access_token, new Authenticator(origin, 'ES256', true))
    const headers = as.bearer(access_token)
    const { items } = (await call(here.system.url.auth, 'GET /api/v1/auth/factors', { headers })).body
    const [, { id }] = items
    await call(here.system.url.auth, `PATCH /api/v1/auth/factors/${id}`, { headers, body: { name: 'My phone' } })
    clock.pass(MINUTE)
    const mia = await here.person({ userAgent: LAPTOP, language })
    await mia.signIn(MIA)
    await mia.type(mia.texts.fields.factor_code, app.codeAt(clock.now()))
    await mia.press(mia.texts.signIn.submit)
    return mia
  }

  /** Signs in a support person, whom someone asks for help who forgot their password. */
  async function signInSam(language: Locale): Promise<Person> {
    for (const more of [
      { email: 'nina@example.org', name: 'Nina Novak' },
      { email: 'boris@example.org', name: 'Boris Novak', username: 'boris', password: PASSWORD, status: 'disabled' },
    ])
      await call(here.system.url.users, 'POST /api/v1/users', byOperator({ ...more, email_verified: true }))
    const { id: bea } = await createUser(here.system, { email: BEA, name: 'Bea Novak', username: 'bea' })
    Object.assign(world.ids, { bea })
    await logIn(here.system, BEA)
    clock.pass(MINUTE)
    for (let n = 0; n < 3; n++) await logIn(here.system, BEA, 'a wrong password')
    await createUser(here.system, { email: SAM, name: 'Sam', roles: ['SUPPORT'] })
    const sam = await here.person({ userAgent: LAPTOP, language })
    await sam.signIn(SAM)
    return sam
  }

  return {
    world,
    person: here.person,
    get system() {
      return here.system
    },
    /** Opens a browser, and does what leads to the state. */
    async show({ as, show }: State, options: PersonOptions = {}): Promise<Person> {
      cookies ??= await signUpEveryone(options.language ?? 'en')
      const person = await here.person({
        userAgent: LAPTOP,
        ...(as === 'anyone' ? {} : { storageState: cookies[as] }),
        ...options,
      })
      await show(person, world)
      return person
    },
  }
}

/** Opens a page. */
const at = (name: string, as: State['as'], path: string): State => ({
  name,
  as,
  async show(person) {
    await person.open(path)
  },
})

/** Opens a page with the link of a mail that is not valid, and presses its button. */
const withBadLink = (page: string, button: (person: Person) => string, as: State['as'] = 'anyone'): State => ({
  name: `${page}-invalid`,
  as,
  async show(person) {
    await person.open(`/${page}?token=${'A'.repeat(22)}`)
    if (page === 'reset-password') await person.type(person.texts.fields.new_password, PASSWORD)
    if (page === 'invitation') await person.type(person.texts.fields.password, PASSWORD)
    await person.press(button(person))
  },
})

const withLink = (page: string, as: State['as'] = 'anyone') => at(page, as, `/${page}?token=${'A'.repeat(22)}`)

/** Signs an administrator in, who has no second factor and must have one. */
async function enrol(person: Person, { mail, system }: World): Promise<void> {
  const email = newEmail()
  await createUser(system, { email, email_verified: true, roles: ['ADMIN'] })
  await person.signIn(email)
  await person.type(person.texts.fields.code, (await mail(email)).code)
  await person.press(person.texts.signIn.confirm)
}

/** Types the first code of a new app, whose key the page shows. */
async function confirmApp(person: Person, { clock }: World): Promise<void> {
  const secret = (await person.page.locator('code.key').textContent()) ?? ''
  await person.type(person.texts.fields.app_code, appWith({ id: '', secret }).codeAt(clock.now()))
  await person.press(person.texts.app.confirm)
}

/** Opens what the list of second factors has for the first one. */
async function openFactor(person: Person): Promise<void> {
  await person.open('/account/security')
  await person.follow(person.texts.factors.changeNamed('Authenticator app'))
}

/** Opens the page of someone who cannot sign in. */
async function openBea(person: Person, { ids }: World, query = ''): Promise<void> {
  await person.open(`/console/users/${ids.bea}${query}`)
}

/** Gives an app everything that it may ask for. */
async function allowAll(person: Person, { shop }: World): Promise<void> {
  await person.open(shop.authorize({ scope: ALL_SCOPES, prompt: 'consent' }))
  await person.press(person.texts.consent.allow)
  await shop.redeem()
}

const ALL_SCOPES = 'openid profile email roles modules'

/** Every page, and every message on it. */
export const STATES: readonly State[] = [
  at('sign-in', 'anyone', '/sign-in'),
  ...(['signed-out', 'ended', 'deleted', 'reset', 'verified'] as const).map((done) =>
    at(`sign-in-${done}`, 'anyone', `/sign-in?done=${done}`),
  ),
  {
    name: 'sign-in-empty',
    as: 'anyone',
    async show(person) {
      await person.open('/sign-in')
      await person.press(person.texts.signIn.submit)
    },
  },
  {
    name: 'sign-in-wrong',
    as: 'anyone',
    show: (person) => person.signIn(ANA, 'a wrong password'),
  },
  at('sign-in-email', 'anyone', '/sign-in?step=email'),
  {
    name: 'sign-in-email-wrong',
    as: 'anyone',
    async show(person) {
      await person.open('/sign-in?step=email')
      await person.type(person.texts.fields.email, 'ana')
      await person.press(person.texts.signIn.sendCode)
    },
  },
  {
    name: 'sign-in-code',
    as: 'anyone',
    async show(person) {
      await person.open('/sign-in?step=email')
      await person.type(person.texts.fields.email, SENT_TO)
      await person.press(person.texts.signIn.sendCode)
    },
  },
  {
    name: 'sign-in-code-wrong',
    as: 'anyone',
    async show(person) {
      await person.open('/sign-in?step=email')
      await person.type(person.texts.fields.email, 'nobody@example.org')
      await person.press(person.texts.signIn.sendCode)
      await person.type(person.texts.fields.code, '123456')
      await person.press(person.texts.signIn.submit)
    },
  },
  { name: 'sign-in-device', as: 'anyone', show: (person) => person.signIn(SENT_TO) },
  {
    name: 'sign-in-device-empty',
    as: 'anyone',
    async show(person) {
      await person.signIn(SENT_TO)
      await person.press(person.texts.signIn.confirm)
    },
  },
  { name: 'sign-in-factor', as: 'anyone', show: (person) => person.signIn(MIA) },
  {
    name: 'sign-in-factor-wrong',
    as: 'anyone',
    async show(person) {
      await person.signIn(MIA)
      await person.type(person.texts.fields.factor_code, 'aaaaaa')
      await person.press(person.texts.signIn.submit)
    },
  },
  {
    name: 'sign-in-factor-ended',
    as: 'anyone',
    async show(person) {
      await person.signIn(MIA)
      for (let tries = 0; tries < 5; tries++) {
        await person.type(person.texts.fields.factor_code, 'aaaaaa')
        await person.press(person.texts.signIn.submit)
      }
    },
  },
  { name: 'sign-in-enrol', as: 'anyone', show: enrol },
  {
    name: 'sign-in-enrol-app',
    as: 'anyone',
    async show(person, world) {
      await enrol(person, world)
      await person.press(person.texts.app.start)
    },
  },
  {
    name: 'sign-in-enrol-wrong',
    as: 'anyone',
    async show(person, world) {
      await enrol(person, world)
      await person.press(person.texts.app.start)
      await person.press(person.texts.app.confirm)
    },
  },
  {
    name: 'sign-in-recovery-codes',
    as: 'anyone',
    async show(person, world) {
      await enrol(person, world)
      await person.press(person.texts.app.start)
      await confirmApp(person, world)
    },
  },
  withLink('sign-in-link'),
  withBadLink('sign-in-link', ({ texts }) => texts.signInLink.submit),
  at('sign-up', 'anyone', '/sign-up'),
  {
    name: 'sign-up-wrong',
    as: 'anyone',
    show: (person) => person.register('vera', { name: 'Vera', password: 'short' }),
  },
  {
    name: 'sign-up-taken',
    as: 'anyone',
    show: (person) => person.register(ANA, { name: 'Ana' }),
  },
  at('forgot-password', 'anyone', '/forgot-password'),
  {
    name: 'forgot-password-sent',
    as: 'anyone',
    async show(person) {
      await person.open('/forgot-password')
      await person.type(person.texts.fields.email, 'nobody@example.org')
      await person.press(person.texts.forgot.submit)
    },
  },
  withLink('reset-password'),
  withBadLink('reset-password', ({ texts }) => texts.reset.submit),
  {
    name: 'reset-password-weak',
    as: 'anyone',
    async show(person) {
      await person.open(`/reset-password?token=${'A'.repeat(22)}`)
      await person.type(person.texts.fields.new_password, 'password123')
      await person.press(person.texts.reset.submit)
    },
  },
  at('verify-email-ask', 'anyone', '/verify-email'),
  at('verify-email', 'new', '/verify-email'),
  {
    name: 'verify-email-wrong',
    as: 'new',
    async show(person) {
      await person.open('/verify-email')
      await person.type(person.texts.fields.code, '123 456')
      await person.press(person.texts.verify.submit)
    },
  },
  { ...withLink('verify-email'), name: 'verify-email-link' },
  withBadLink('verify-email', ({ texts }) => texts.verify.submit),
  withLink('confirm-email', 'ana'),
  withBadLink('confirm-email', ({ texts }) => texts.confirmEmail.submit, 'ana'),
  withLink('undo-email'),
  withBadLink('undo-email', ({ texts }) => texts.undo.submit),
  {
    name: 'undo-email-done',
    as: 'anyone',
    async show(person, { mail, system }) {
      const [before, after] = [1, 2].map(() => `${Math.random().toString(36).slice(2)}@example.org`) as [string, string]
      const { id } = await createUser(system, { email: before, email_verified: true })
      await call(system.url.users, `PATCH /api/v1/users/${id}`, byOperator({ email: after }))
      await person.open((await mail(before)).link)
      await person.press(person.texts.undo.submit)
    },
  },
  withLink('invitation'),
  withBadLink('invitation', ({ texts }) => texts.invitation.submit),
  at('account', 'ana', '/account'),
  at('account-new', 'new', '/account'),
  ...(['profile', 'email', 'verified'] as const).map((done) => at(`account-${done}`, 'ana', `/account?done=${done}`)),
  {
    name: 'account-wrong',
    as: 'ana',
    async show(person) {
      await person.open('/account')
      await person.type(person.texts.fields.username, 'a b')
      await person.press(person.texts.account.save)
    },
  },
  {
    name: 'account-email-wrong',
    as: 'ana',
    async show(person) {
      await person.open('/account')
      await person.type(person.texts.fields.new_email, 'vera')
      await person.press(person.texts.account.change)
    },
  },
  {
    name: 'account-code',
    as: 'ana',
    async show(person) {
      await person.open('/account')
      await person.type(person.texts.fields.new_email, 'ana@example.net')
      await person.press(person.texts.account.change)
    },
  },
  {
    name: 'account-code-wrong',
    as: 'ana',
    async show(person) {
      await person.open('/account')
      await person.type(person.texts.fields.new_email, 'ana@example.net')
      await person.press(person.texts.account.change)
      await person.press(person.texts.account.confirm)
    },
  },
  at('security', 'ana', '/account/security'),
  at('security-done', 'ana', '/account/security?done=password'),
  {
    name: 'security-wrong',
    as: 'ana',
    async show(person) {
      await person.open('/account/security')
      await person.type(person.texts.fields.current_password, 'a wrong password')
      await person.type(person.texts.fields.new_password, 'another horse battery')
      await person.press(person.texts.security.change)
    },
  },
  at('security-new', 'new', '/account/security'),
  at('security-factors', 'mia', '/account/security'),
  ...(['added', 'renamed', 'removed'] as const).map((done) =>
    at(`security-factor-${done}`, 'mia', `/account/security?done=factor-${done}`),
  ),
  at('security-app', 'ana', '/account/security?step=app'),
  {
    name: 'security-app-key',
    as: 'ana',
    async show(person) {
      await person.open('/account/security?step=app')
      await person.press(person.texts.app.start)
    },
  },
  {
    name: 'security-app-wrong',
    as: 'ana',
    async show(person) {
      await person.open('/account/security?step=app')
      await person.press(person.texts.app.start)
      await person.type(person.texts.fields.app_code, 'aaaaaa')
      await person.press(person.texts.app.confirm)
    },
  },
  at('security-passkey', 'ana', '/account/security?step=passkey'),
  { name: 'security-factor', as: 'mia', show: openFactor },
  {
    name: 'security-factor-wrong',
    as: 'mia',
    async show(person) {
      await openFactor(person)
      await person.type(person.texts.fields.name, '')
      await person.press(person.texts.account.save)
    },
  },
  at('security-codes', 'mia', '/account/security?step=codes'),
  {
    name: 'security-new-codes',
    as: 'mia',
    async show(person) {
      await person.open('/account/security?step=codes')
      await person.press(person.texts.recovery.replace)
    },
  },
  at('sessions', 'ana', '/account/sessions'),
  at('sessions-done', 'ana', '/account/sessions?done=sessions'),
  at('modules', 'ana', '/account/modules'),
  {
    name: 'modules-on',
    as: 'ana',
    async show(person) {
      await person.open('/account/modules')
      const { enableNamed } = person.texts.modules
      if ((await person.read()).includes(person.texts.modules.enable)) await person.press(enableNamed('Reports'))
      await person.open('/account/modules')
    },
  },
  {
    name: 'modules-refused',
    as: 'new',
    async show(person) {
      await person.open('/account/modules')
      await person.press(person.texts.modules.enableNamed('Sharing'))
    },
  },
  at('apps', 'ana', '/account/apps'),
  {
    name: 'apps-one',
    as: 'new',
    async show(person, world) {
      await allowAll(person, world)
      await person.open('/account/apps')
    },
  },
  {
    name: 'apps-end',
    as: 'new',
    async show(person, world) {
      await allowAll(person, world)
      await person.open('/account/apps')
      const action = await person.page.getAttribute('form[action*="grant="]', 'action')
      await person.open(action ?? '')
    },
  },
  {
    name: 'oauth-consent',
    as: 'ana',
    async show(person, { shop }) {
      await person.open(shop.authorize({ scope: ALL_SCOPES }))
    },
  },
  {
    name: 'oauth-logout',
    as: 'ana',
    async show(person, { shop }) {
      await person.open(`/oauth/logout?client_id=${shop.client.id}`)
    },
  },
  at('oauth-logout-unnamed', 'ana', '/oauth/logout'),
  {
    name: 'oauth-refused',
    as: 'anyone',
    async show(person) {
      await person.context.setExtraHTTPHeaders({ 'x-request-id': REQUEST_ID })
      await person.open('/oauth/authorize')
    },
  },
  {
    name: 'sign-in-again',
    as: 'ana',
    async show(person, { shop }) {
      await person.open(shop.authorize({ prompt: 'login' }))
    },
  },
  {
    name: 'sign-in-again-wrong',
    as: 'ana',
    async show(person, { shop }) {
      await person.open(shop.authorize({ prompt: 'login' }))
      await person.type(person.texts.fields.confirm_password, 'a wrong password')
      await person.press(person.texts.again.submit)
    },
  },
  {
    name: 'sign-in-again-factor',
    as: 'mia',
    async show(person, { shop }) {
      await person.open(shop.authorize({ prompt: 'login' }))
    },
  },
  at('account-support', 'sam', '/account'),
  at('console', 'sam', '/console?search=novak'),
  at('console-all', 'sam', '/console'),
  at('console-none', 'sam', '/console?search=nobody'),
  at('console-wrong', 'sam', `/console?search=${'x'.repeat(201)}`),
  { name: 'console-user', as: 'sam', show: openBea },
  ...(['reset-sent', 'disabled', 'enabled', 'session-ended', 'sessions-ended', 'invited'] as const).map(
    (done): State => ({
      name: `console-done-${done}`,
      as: 'sam',
      show: (person, world) => openBea(person, world, `?done=${done}`),
    }),
  ),
  {
    name: 'console-user-refused',
    as: 'sam',
    async show(person, world) {
      await openBea(person, world)
      await call(world.system.url.auth, `DELETE /api/v1/auth/sessions?user_id=${world.ids.bea}`, byOperator())
      await person.press(person.texts.sessions.endNamed('Bun'))
    },
    after: async ({ system }) => void (await logIn(system, BEA)),
  },
  {
    name: 'console-user-disabled',
    as: 'sam',
    async show(person, world) {
      await openBea(person, world)
      await person.press(person.texts.console.actions.disable.submit)
    },
    async after({ ids, system }) {
      await call(system.url.users, `PATCH /api/v1/users/${ids.bea}`, byOperator({ status: 'active' }))
      await logIn(system, BEA)
    },
  },
  at('console-invite', 'sam', '/console/invite'),
  {
    name: 'console-invite-taken',
    as: 'sam',
    async show(person) {
      await person.open('/console/invite')
      await person.type(person.texts.fields.email, ANA)
      await person.press(person.texts.console.invite.submit)
    },
  },
  {
    name: 'console-enrol',
    as: 'anyone',
    async show(person, { system }) {
      const { email, id } = await createUser(system)
      await person.signIn(email)
      await call(system.url.users, `PATCH /api/v1/users/${id}`, byOperator({ roles: ['ADMIN'] }))
      await person.open('/console')
    },
  },
  at('delete', 'ana', '/account/delete'),
  {
    name: 'delete-unconfirmed',
    as: 'ana',
    async show(person) {
      await person.open('/account/delete')
      await person.press(person.texts.remove.submit)
    },
  },
  at('not-found', 'anyone', '/nowhere'),
  at('method', 'anyone', '/sign-out'),
  {
    name: 'forbidden',
    as: 'anyone',
    async show(person) {
      await person.open('/sign-in')
      await person.context.clearCookies()
      await person.signIn(ANA)
    },
  },
  {
    name: 'unavailable',
    as: 'ana',
    async show(person, { system }) {
      await person.context.setExtraHTTPHeaders({ 'x-request-id': REQUEST_ID })
      await system.terminate('modules')
      await person.open('/account/modules')
    },
    after: ({ system }) => system.start('modules'),
  },
  // The last states: from then on Ana and Mia have signed in too long ago.
  {
    name: 'account-password',
    as: 'ana',
    async show(person, { clock }) {
      clock.pass(15 * MINUTE)
      await person.open('/account')
    },
  },
  {
    name: 'delete-password',
    as: 'ana',
    async show(person, { clock }) {
      clock.pass(15 * MINUTE)
      await person.open('/account/delete')
      await person.tick(ANA)
      await person.type(person.texts.fields.confirm_password, 'a wrong password')
      await person.press(person.texts.remove.submit)
    },
  },
  {
    name: 'console-again',
    as: 'sam',
    async show(person, { clock }) {
      clock.pass(15 * MINUTE)
      await person.open('/console')
    },
  },
  {
    name: 'console-confirm',
    as: 'sam',
    async show(person, { clock }) {
      clock.pass(15 * MINUTE)
      await person.open('/console/invite')
      await person.type(person.texts.fields.confirm_password, PASSWORD)
      await person.press(person.texts.again.submit)
      await person.type(person.texts.fields.email, 'new@example.net')
      clock.pass(15 * MINUTE)
      await person.press(person.texts.console.invite.submit)
    },
  },
  at('account-factor', 'mia', '/account'),
  at('security-passkey-confirm', 'mia', '/account/security?step=passkey'),
  {
    name: 'security-codes-confirm',
    as: 'mia',
    async show(person, { clock }) {
      clock.pass(15 * MINUTE)
      await person.open('/account/security?step=codes')
      await person.press(person.texts.recovery.replace)
    },
  },
  { name: 'security-factor-confirm', as: 'mia', show: openFactor },
]
