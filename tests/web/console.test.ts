import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { enrolApp } from '../support/factors.ts'
import { byOperator } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { WHOLE } from '../support/whole.ts'
import { type Person, pagesInBrowser, WAYS } from './pages.ts'

/** Milliseconds after which a person must authenticate again: more than `REAUTH_MAX_AGE`. */
const LATER = 11 * 60_000
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1'

// In the suite without a script; what has a script in the console is below.
describe.each(WHOLE ? WAYS : WAYS.slice(1, 2))('%s, in the support console', (way) => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off', SUPPORT_ROLE: 'SUPPORT' }, { clock })
  let supporter: TestUser
  let admin: TestUser
  beforeAll(async () => {
    supporter = await createUser(here.system, { name: 'Sam', roles: ['SUPPORT'] })
    admin = await createUser(here.system, { name: 'Olga', email_verified: true, roles: ['ADMIN'] })
  })
  const openFromAccount = async (person: Person, login: string) => {
    await person.signIn(login)
    await person.follow(person.texts.nav.console)
    expect(person.at).toBe('/console')
  }
  /** Finds a user and opens their page. */
  const openUser = async (person: Person, search: string, email: string) => {
    const { nav, users } = person.texts.console
    await person.follow(nav.users)
    await person.type(users.search, search)
    await person.press(users.submit)
    await person.see(users.count(1))
    await person.follow(email)
    expect(await person.heading()).toBe(email)
  }

  test('a support person finds out why someone cannot sign in, and helps them', async () => {
    const mark = `x${Math.random().toString(36).slice(2)}`
    const user = await createUser(here.system, { name: `Bea ${mark}` })
    for (let n = 0; n < 3; n++) await logIn(here.system, user.email, 'a wrong password')
    const [sam, bea] = [await here.person({ way }), await here.person({ way })]
    const { actions, actors, verdicts } = sam.texts.console
    await openFromAccount(sam, supporter.email)
    await openUser(sam, mark.toUpperCase(), user.email)
    await sam.see(verdicts.wrong_password(3))
    await sam.see(`ch202 users send-reset ${user.email}`)
    await sam.press(actions.reset.submit)
    await sam.see(sam.texts.done['reset-sent'])
    await bea.open((await bea.mail(user.email, 'reset-password')).link)
    await bea.type(bea.texts.fields.new_password, 'another horse battery')
    await bea.press(bea.texts.reset.submit)
    await bea.signIn(user.email, 'another horse battery')
    expect(bea.at).toBe('/account')
    // The user sees what was done, and not by whom.
    await bea.follow(bea.texts.nav.security)
    await bea.see(bea.texts.activity['password.reset_sent'])
    expect(await bea.read()).not.toContain(supporter.id)
    await openUser(sam, user.id, user.email)
    await sam.see(verdicts.no_failure)
    await sam.see(`${sam.texts.console.by} ${actors.you}`)
  })

  test('a support person ends a session, and then all; disables the account, and enables it', async () => {
    const user = await createUser(here.system)
    const [sam, bea, phone] = [await here.person({ way }), await here.person({ way }), await here.person({ way })]
    const { actions, tags } = sam.texts.console
    await phone.context.setExtraHTTPHeaders({ 'user-agent': PHONE })
    for (const person of [bea, phone]) await person.signIn(user.email)
    await openFromAccount(sam, supporter.email)
    await openUser(sam, user.email, user.email)
    const onPhone = sam.page.getByRole('button', { name: /Safari/ })
    await sam.press((await onPhone.getAttribute('aria-label')) ?? '')
    await sam.see(sam.texts.done['session-ended'])
    await phone.open('/account')
    expect(phone.at).toBe('/sign-in?done=ended')
    await bea.open('/account')
    expect(bea.at).toBe('/account')
    await sam.press(actions['end-sessions'].submit)
    await sam.see(sam.texts.console.user.noSessions)
    await bea.open('/account')
    expect(bea.at).toBe('/sign-in?done=ended')
    await sam.press(actions.disable.submit)
    await sam.see(tags.disabled)
    await bea.signIn(user.email)
    await bea.see(bea.texts.problems.account_disabled)
    await sam.press(actions.enable.submit)
    await bea.signIn(user.email)
    expect(bea.at).toBe('/account')
  })

  test('a support person invites someone, after they have confirmed who they are', async () => {
    const email = newEmail()
    const [sam, vera] = [await here.person({ way }), await here.person({ way })]
    const { again, console, fields, problems } = sam.texts
    await openFromAccount(sam, supporter.email)
    await sam.follow(console.nav.invite)
    await sam.type(fields.email, email)
    await sam.type(fields.name, 'Vera')
    clock.pass(LATER)
    await sam.press(console.invite.submit)
    expect(await sam.heading()).toBe(again.title)
    await sam.see(`${console.invite.submit} · ${email}`)
    await sam.type(fields.confirm_password, 'a wrong password')
    await sam.press(again.submit)
    await sam.see(problems.wrong_password)
    await sam.type(fields.confirm_password, PASSWORD)
    await sam.press(again.submit)
    await sam.see(sam.texts.done.invited)
    expect(await sam.heading()).toBe(email)
    await vera.open((await vera.mail(email, 'invitation')).link)
    await vera.type(vera.texts.fields.password, PASSWORD)
    await vera.press(vera.texts.invitation.submit)
    expect(vera.at).toBe('/account')
    expect(await vera.field(fields.name).inputValue()).toBe('Vera')
    // A page that is opened too late leads to the sign-in and back.
    clock.pass(LATER)
    await sam.follow(console.nav.users)
    expect(sam.at).toBe('/sign-in?step=again&return_to=%2Fconsole')
    await sam.see(console.again.hint)
    await sam.type(fields.confirm_password, PASSWORD)
    await sam.press(again.submit)
    expect(sam.at).toBe('/console')
  })

  test('an administrator sees second factors and other administrators, and shows a second factor of their own', async () => {
    const user = await createUser(here.system, { email_verified: true })
    await enrolApp(here.system, user.tokens.access_token, clock.now())
    const olga = await here.person({ way })
    const { again, console, factors, fields } = olga.texts
    await openFromAccount(olga, admin.email)
    await openUser(olga, user.email, user.email)
    await olga.see(`${factors.kinds.totp} (Authenticator app), ${console.user.recoveryCodes(10)}`)
    await openUser(olga, admin.email, admin.email)
    await olga.see(console.user.self)
    await openUser(olga, supporter.email, supporter.email)
    const { tokens } = { tokens: (await logIn(here.system, admin.email)).body }
    const { app } = await enrolApp(here.system, tokens.access_token, clock.now())
    clock.pass(60_000)
    await olga.follow(console.nav.users)
    expect(olga.at).toBe('/sign-in?step=again&return_to=%2Fconsole')
    await olga.type(fields.factor_code, app.codeAt(clock.now()))
    await olga.press(again.submit)
    expect(olga.at).toBe('/console')
    await here.auth(`DELETE /admin/users/${admin.id}/factors`, byOperator())
  })
})

describe('the support console', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off', SUPPORT_ROLE: 'SUPPORT' })

  test('speaks the language of the person', async () => {
    const { email } = await createUser(here.system, { roles: ['SUPPORT'], locale: 'ru' })
    const sam = await here.person({ language: 'ru' })
    await sam.signIn(email)
    await sam.follow(sam.texts.nav.console)
    expect(await sam.heading()).toBe('Пользователи')
    await sam.type(sam.texts.console.users.search, 'nobody')
    await sam.press(sam.texts.console.users.submit)
    await sam.see('Никто не найден.')
  })

  test('copies a command, and nothing beside it', async () => {
    const { email } = await createUser(here.system, { roles: ['SUPPORT'] })
    const user = await createUser(here.system)
    const sam = await here.person({ permissions: ['clipboard-read', 'clipboard-write'] })
    await sam.signIn(email)
    await sam.open(`/console/users/${user.id}`)
    const command = `ch202 users disable ${user.email}`
    await sam.page.getByRole('button', { name: sam.texts.console.copyNamed(command) }).click()
    await sam.see(sam.texts.console.copied)
    expect(await sam.page.evaluate('navigator.clipboard.readText()')).toBe(command)
  })
})
