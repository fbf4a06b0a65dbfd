import { describe, expect, test } from 'bun:test'
import { SECOND } from '../../services/kit/clock.ts'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { appWith, enrolApp } from '../support/factors.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { WHOLE } from '../support/whole.ts'
import { type Person, pagesInBrowser, WAYS } from './pages.ts'

/** Milliseconds after which a person must authenticate again: more than `REAUTH_MAX_AGE`. */
const LATER = 11 * 60_000
/** Milliseconds for which an app shows a code. */
const STEP = 30 * SECOND

// In the suite each in one way, and not by keyboard alone.
describe.each(WHOLE ? WAYS : WAYS.slice(0, 1))('%s, a person with a second factor', (way) => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' }, { clock })

  /** A user with an app, whose next code is another one. */
  async function userWithApp() {
    const user = await createUser(here.system, { email_verified: true })
    const { app, recoveryCodes } = await enrolApp(here.system, user.tokens.access_token, clock.now())
    clock.pass(STEP)
    return { ...user, recoveryCodes, code: () => app.codeAt(clock.now()) }
  }

  test('signs in with the code of their app, and comes to where they were going', async () => {
    const { code, email } = await userWithApp()
    const ana = await here.person({ way })
    const { fields, problems, signIn } = ana.texts
    await ana.open('/account/modules')
    await ana.signIn(email)
    expect(ana.at).toBe('/sign-in?step=factor&return_to=%2Faccount%2Fmodules')
    await ana.see(signIn.factorLead)
    await ana.press(signIn.submit)
    await ana.see(ana.texts.errors.required(undefined))
    const right = code()
    await ana.type(fields.factor_code, right === '000000' ? '000001' : '000000')
    await ana.press(signIn.submit)
    await ana.see(problems.wrong_factor_code)
    await ana.type(fields.factor_code, `${right.slice(0, 3)} ${right.slice(3)}`)
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account/modules')
  })

  test('signs in with a recovery code, once', async () => {
    const { email, recoveryCodes } = await userWithApp()
    const [recoveryCode = ''] = recoveryCodes
    const ana = await here.person({ way })
    const { fields, nav, problems, signIn } = ana.texts
    await ana.signIn(email)
    await ana.type(fields.factor_code, recoveryCode.toUpperCase())
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account')
    await ana.press(nav.signOut)
    await ana.signIn(email)
    await ana.type(fields.factor_code, recoveryCode)
    await ana.press(signIn.submit)
    await ana.see(problems.wrong_factor_code)
  })

  test('signs in again after five wrong codes, and after five minutes', async () => {
    const { code, email } = await userWithApp()
    const ana = await here.person({ way })
    const { fields, problems, signIn } = ana.texts
    await ana.signIn(email)
    for (let tries = 1; tries <= 5; tries++) {
      await ana.type(fields.factor_code, 'aaaaaa')
      await ana.press(signIn.submit)
      await ana.see(tries < 5 ? problems.wrong_factor_code : problems.step_ended)
    }
    await ana.signIn(email)
    clock.pass(300 * SECOND)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    await ana.see(problems.step_ended)
    await ana.signIn(email)
    await ana.follow(signIn.startOver)
    await ana.signIn(email, PASSWORD)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account')
  })

  test('shows it after a code from a mail, and after its link', async () => {
    const { code, email } = await userWithApp()
    const ana = await here.person({ way })
    const { fields, nav, signIn, signInLink } = ana.texts
    await ana.open('/sign-in?step=email')
    await ana.type(fields.email, email)
    await ana.press(signIn.sendCode)
    const first = await ana.mail(email, 'sign-in-link')
    await ana.type(fields.code, first.code)
    await ana.press(signIn.submit)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account')
    await ana.press(nav.signOut)
    await ana.open('/sign-in?step=email')
    await ana.type(fields.email, email)
    await ana.press(signIn.sendCode)
    await ana.open((await ana.mail(email, 'sign-in-link', 1)).link)
    await ana.press(signInLink.submit)
    expect(ana.at).toBe('/sign-in?step=factor')
    clock.pass(STEP)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account')
  })

  test('adds an app by the key on the page, and gets recovery codes once', async () => {
    const { email } = await createUser(here.system, { email_verified: true })
    const ana = await here.person({ way })
    const { app, done, factors, fields, nav, problems, recovery, security, signIn } = ana.texts
    await ana.signIn(email)
    await ana.follow(nav.security)
    await ana.see(factors.none)
    await ana.follow(factors.addApp)
    await ana.press(app.start)
    expect(ana.at).toBe('/account/security?step=app')
    const key = await keyOf(ana)
    expect(key).toMatch(/^([A-Z2-7]{4} ){7}[A-Z2-7]{4}$/)
    const picture = await ana.page.evaluate(`document.querySelector('.qr').naturalWidth`)
    expect(picture).toBeGreaterThan(100)
    const { codeAt } = appWith({ id: '', secret: key })
    await ana.type(fields.app_code, 'aaaaaa')
    await ana.press(app.confirm)
    await ana.see(problems.wrong_factor_code)
    expect(await keyOf(ana)).toBe(key)
    await ana.open('/account/security?step=app')
    expect(await keyOf(ana)).toBe(key)
    await ana.type(fields.app_code, codeAt(clock.now()))
    await ana.press(app.confirm)
    await ana.see(recovery.warning)
    const codes = await codesOf(ana)
    expect(codes).toHaveLength(10)
    for (const code of codes) expect(code).toMatch(/^([a-z2-7]{4}-){5}[a-z2-7]{4}$/)
    await ana.follow(recovery.goOn)
    expect(ana.at).toBe('/account/security?done=factor-added')
    await ana.see(done['factor-added'])
    await ana.see('Authenticator app')
    await ana.see(recovery.left(10))
    await ana.see(ana.texts.activity['factor.added'])
    expect(await ana.read()).toContain(security.activity)
    for (const code of codes) expect(await ana.read()).not.toContain(code)

    await ana.press(nav.signOut)
    await ana.signIn(email)
    await ana.type(fields.factor_code, codes[0] ?? '')
    await ana.press(signIn.submit)
    await ana.follow(nav.security)
    await ana.see(recovery.left(9))
    await ana.see(ana.texts.activity['recovery_code.used'])
  })

  test('renames it, gets new recovery codes, and removes it, each after their second factor', async () => {
    const { code, email, recoveryCodes } = await userWithApp()
    const ana = await here.person({ way })
    const { account, done, errors, factors, fields, nav, problems, recovery, signIn } = ana.texts
    await ana.signIn(email)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    await ana.follow(nav.security)
    await ana.follow(factors.changeNamed('Authenticator app'))
    await ana.type(fields.name, '')
    await ana.press(account.save)
    await ana.see(errors.required(undefined))
    clock.pass(LATER)
    await ana.type(fields.name, 'Work phone')
    await ana.press(account.save)
    await ana.see(problems.factor_needed)
    expect(await ana.page.locator('#name').inputValue()).toBe('Work phone')
    const confirm = ana.page.locator('#rename-confirm')
    await confirm.fill('aaaaaa')
    await ana.press(account.save)
    await ana.see(problems.wrong_factor_code)
    expect(await ana.page.locator('#name').inputValue()).toBe('Work phone')
    await confirm.fill(code())
    await ana.press(account.save)
    expect(ana.at).toBe('/account/security?done=factor-renamed')
    await ana.see('Work phone')

    clock.pass(LATER)
    await ana.follow(recovery.replace)
    await ana.type(fields.factor_code, code())
    await ana.press(recovery.replace)
    const codes = await codesOf(ana)
    expect(codes).toHaveLength(10)
    expect(codes).not.toContain(recoveryCodes[0])
    await ana.follow(recovery.goOn)

    clock.pass(LATER)
    await ana.follow(factors.changeNamed('Work phone'))
    await ana.page.locator('#remove-confirm').fill(codes[0] ?? '')
    await ana.press(factors.remove)
    expect(ana.at).toBe('/account/security?done=factor-removed')
    await ana.see(done['factor-removed'])
    await ana.see(factors.none)
    await ana.press(nav.signOut)
    await ana.signIn(email)
    expect(ana.at).toBe('/account')
  })

  test('shows it again before their email changes and before their account is deleted, and what they typed stays', async () => {
    const { code, email } = await userWithApp()
    const ana = await here.person({ way })
    const { account, fields, nav, problems, remove, signIn } = ana.texts
    await ana.signIn(email)
    await ana.type(fields.factor_code, code())
    await ana.press(signIn.submit)
    clock.pass(LATER)
    await ana.open('/account')
    expect(await ana.field(fields.confirm_password).count()).toBe(0)
    await ana.type(fields.new_email, 'other@example.org')
    await ana.type(fields.factor_code, 'aaaaaa')
    await ana.press(account.change)
    await ana.see(problems.wrong_factor_code)
    expect(await ana.field(fields.new_email).inputValue()).toBe('other@example.org')
    await ana.type(fields.factor_code, code())
    await ana.press(account.change)
    expect(ana.at).toBe('/account?step=code')

    clock.pass(LATER)
    await ana.follow(nav.account)
    await ana.follow(account.delete)
    await ana.tick(email)
    await ana.press(remove.submit)
    await ana.see(problems.factor_needed)
    expect(await ana.page.getByRole('checkbox').isChecked()).toBe(true)
    await ana.type(fields.factor_code, code())
    await ana.press(remove.submit)
    expect(ana.at).toBe('/sign-in?done=deleted')
  })

  test('shows a factor that was added elsewhere, also after their password a moment ago', async () => {
    const user = await createUser(here.system, { email_verified: true })
    const ana = await here.person({ way })
    const { account, fields, problems } = ana.texts
    await ana.signIn(user.email)
    await ana.open('/account')
    const { app } = await enrolApp(here.system, user.tokens.access_token, clock.now())
    clock.pass(STEP)
    await ana.type(fields.new_email, 'other@example.org')
    await ana.press(account.change)
    await ana.see(problems.factor_needed)
    await ana.type(fields.factor_code, app.codeAt(clock.now()))
    await ana.press(account.change)
    expect(ana.at).toBe('/account?step=code')
  })
})

describe.each(WHOLE ? WAYS : WAYS.slice(1, 2))('where everyone must have a second factor, %s, a person', (way) => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off', MFA: 'all', EMAIL_VERIFICATION: 'required' }, { clock })

  test('registers, verifies their email, adds an app, and comes to where they were going', async () => {
    const email = newEmail()
    const ana = await here.person({ way })
    const { app, fields, passkey, problems, recovery, signIn, verify } = ana.texts
    await ana.register(email)
    await ana.type(fields.code, (await ana.mail(email, 'verify-email')).code)
    await ana.press(verify.submit)
    await ana.open('/account/modules')
    await ana.signIn(email)
    expect(ana.at).toBe('/sign-in?step=enrol&return_to=%2Faccount%2Fmodules')
    await ana.see(signIn.enrolLead)
    // At an IP address.
    await ana.see(passkey.needsDomain)
    await ana.press(app.start)
    const key = await keyOf(ana)
    const { codeAt } = appWith({ id: '', secret: key })
    await ana.type(fields.app_code, 'aaaaaa')
    await ana.press(app.confirm)
    await ana.see(problems.wrong_factor_code)
    expect(await keyOf(ana)).toBe(key)
    await ana.type(fields.app_code, codeAt(clock.now()))
    await ana.press(app.confirm)
    await ana.see(recovery.warning)
    expect(await codesOf(ana)).toHaveLength(10)
    await ana.follow(recovery.goOn)
    expect(ana.at).toBe('/account/modules')
  })

  test('begins again after ten minutes', async () => {
    const email = newEmail()
    const body = { email, password: PASSWORD, email_verified: true }
    expect((await here.users('POST /users', { headers: as.operator, body })).status).toBe(201)
    const ana = await here.person({ way })
    const { app, fields, problems } = ana.texts
    await ana.signIn(email)
    await ana.press(app.start)
    const { codeAt } = appWith({ id: '', secret: await keyOf(ana) })
    clock.pass(601 * SECOND)
    await ana.type(fields.app_code, codeAt(clock.now()))
    await ana.press(app.confirm)
    await ana.see(problems.step_ended)
  })
})

/** The key of a new app, as the page shows it. */
async function keyOf({ page }: Person): Promise<string> {
  return (await page.locator('code.key').textContent()) ?? ''
}

async function codesOf({ page }: Person): Promise<string[]> {
  return await page.locator('.codes code').allTextContents()
}
