import { describe, expect, test } from 'bun:test'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { invitation } from '../support/challenges.ts'
import { byOperator } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { WHOLE } from '../support/whole.ts'
import { pagesInBrowser, WAYS } from './pages.ts'

const NEW_PASSWORD = 'another horse battery'
/** Milliseconds after which a person must authenticate again: more than `REAUTH_MAX_AGE`. */
const LATER = 11 * 60_000

// In the suite with a script; by keyboard alone below.
describe.each(WHOLE ? WAYS : WAYS.slice(0, 1))('%s, a person', (way) => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' }, { clock })

  test('registers, verifies their email by the code, signs out and signs in again', async () => {
    const email = newEmail()
    const ana = await here.person({ way })
    const { account, done, fields, nav, problems, signIn, verify } = ana.texts
    await ana.open('/')
    expect(ana.at).toBe('/sign-in')
    await ana.follow(signIn.signUp)
    expect(ana.at).toBe('/sign-up')
    await ana.register(email, { name: 'Ana' })
    expect(ana.at).toBe('/verify-email')
    const { code } = await ana.mail(email, 'verify-email')
    await ana.type(fields.code, code === '000000' ? '000001' : '000000')
    await ana.press(verify.submit)
    await ana.see(problems.invalid_code)
    await ana.type(fields.code, `${code.slice(0, 3)} ${code.slice(3)}`)
    await ana.press(verify.submit)
    expect(ana.at).toBe('/account?done=verified')
    await ana.see(done.verified)
    await ana.see(account.verified)
    await ana.press(nav.signOut)
    expect(ana.at).toBe('/sign-in?done=signed-out')
    await ana.open('/account')
    expect(ana.at).toBe('/sign-in')
    await ana.signIn(email)
    expect(ana.at).toBe('/account')
    expect(await ana.field(fields.name).inputValue()).toBe('Ana')
  })

  test('verifies their email by the link, in the browser that registered and in another one', async () => {
    for (const isAnother of [false, true]) {
      const email = newEmail()
      const ana = await here.person({ way })
      await ana.register(email)
      const { link } = await ana.mail(email, 'verify-email')
      const reader = isAnother ? await here.person({ way }) : ana
      await reader.open(link)
      await reader.press(reader.texts.verify.submit)
      expect(reader.at).toBe(isAnother ? '/sign-in?done=verified' : '/account?done=verified')
      await reader.see(reader.texts.done.verified)
      await ana.open('/account')
      await ana.see(ana.texts.account.verified)
    }
  })

  test('changes their email with their password, and the owner of the old address undoes it', async () => {
    const [email, newAddress] = [newEmail(), newEmail()]
    const ana = await here.person({ way })
    const { account, done, fields, problems, reset, undo, verify } = ana.texts
    await ana.register(email)
    await ana.open((await ana.mail(email, 'verify-email')).link)
    await ana.press(verify.submit)
    expect(await ana.field(fields.confirm_password).count()).toBe(0)
    clock.pass(LATER)
    await ana.open('/account')
    await ana.type(fields.new_email, newAddress)
    await ana.type(fields.confirm_password, 'a wrong password')
    await ana.press(account.change)
    await ana.see(problems.wrong_password)
    expect(await ana.field(fields.new_email).inputValue()).toBe(newAddress)
    await ana.type(fields.confirm_password, PASSWORD)
    await ana.press(account.change)
    await ana.type(fields.code, (await ana.mail(newAddress, 'confirm-email')).code)
    await ana.press(account.confirm)
    expect(ana.at).toBe('/account?done=email')
    await ana.see(done.email)
    await ana.see(newAddress)

    const owner = await here.person({ way })
    await owner.open((await owner.mail(email, 'undo-email')).link)
    await owner.press(undo.submit)
    await owner.see(undo.doneTitle)
    await ana.open('/account')
    expect(ana.at).toBe('/sign-in?done=ended')
    await ana.signIn(email)
    await ana.see(problems.invalid_credentials)
    await owner.open((await owner.mail(email, 'reset-password')).link)
    await owner.type(fields.new_password, NEW_PASSWORD)
    await owner.press(reset.submit)
    expect(owner.at).toBe('/sign-in?done=reset')
    await owner.signIn(email, NEW_PASSWORD)
    await owner.see(email)
    expect(await owner.read()).not.toContain(newAddress)
  })

  test('changes their email by the link in the mail to the new address', async () => {
    const [email, newAddress] = [newEmail(), newEmail()]
    const ana = await here.person({ way })
    await ana.register(email)
    await ana.open('/account')
    await ana.type(ana.texts.fields.new_email, newAddress)
    await ana.press(ana.texts.account.change)
    await ana.open((await ana.mail(newAddress, 'confirm-email')).link)
    await ana.press(ana.texts.confirmEmail.submit)
    expect(ana.at).toBe('/account?done=email')
    await ana.see(newAddress)
  })

  test('forgets their password, sets another one by the link, and signs in', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { fields, forgot, problems, reset, signIn } = ana.texts
    await ana.open('/sign-in')
    await ana.follow(signIn.forgot)
    await ana.type(fields.email, email)
    await ana.press(forgot.submit)
    await ana.see(forgot.sentTitle)
    const { link } = await ana.mail(email, 'reset-password')
    await ana.open(link)
    await ana.type(fields.new_password, NEW_PASSWORD)
    await ana.press(reset.submit)
    expect(ana.at).toBe('/sign-in?done=reset')
    await ana.signIn(email, NEW_PASSWORD)
    expect(ana.at).toBe('/account')
    await ana.open(link)
    await ana.type(fields.new_password, PASSWORD)
    await ana.press(reset.submit)
    await ana.see(problems.invalid_reset_token)
  })

  test('is invited, sets a password and is in', async () => {
    const email = newEmail()
    const token = await invitation(here.system, email)
    const ana = await here.person({ way })
    const { account, fields, problems, ...texts } = ana.texts
    await ana.open(`/invitation?token=${token}`)
    await ana.type(fields.password, PASSWORD)
    await ana.type(fields.name, 'Ana')
    await ana.press(texts.invitation.submit)
    expect(ana.at).toBe('/account')
    await ana.see(email)
    await ana.see(account.verified)
    expect(await ana.field(fields.name).inputValue()).toBe('Ana')
    await ana.open(`/invitation?token=${token}`)
    await ana.type(fields.password, NEW_PASSWORD)
    await ana.press(texts.invitation.submit)
    await ana.see(problems.invalid_link)
  })

  test('signs in by a code from a mail, and by its link', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { fields, nav, signIn, signInLink } = ana.texts
    await ana.open('/sign-in?return_to=/account/modules')
    await ana.follow(signIn.byCode)
    await ana.type(fields.email, email)
    await ana.press(signIn.sendCode)
    const first = await ana.mail(email, 'sign-in-link')
    await ana.type(fields.code, first.code)
    await ana.press(signIn.submit)
    expect(ana.at).toBe('/account/modules')
    await ana.press(nav.signOut)
    await ana.follow(signIn.byCode)
    await ana.type(fields.email, email)
    await ana.press(signIn.sendCode)
    await ana.open((await ana.mail(email, 'sign-in-link', 1)).link)
    await ana.press(signInLink.submit)
    expect(ana.at).toBe('/account')
  })

  test('changes their password: this session stays, the others end', async () => {
    const { email } = await registerUser(here.system)
    const [ana, elsewhere] = [await here.person({ way }), await here.person({ way })]
    const { fields, problems, security } = ana.texts
    await elsewhere.signIn(email)
    await ana.signIn(email)
    await ana.open('/.well-known/change-password')
    expect(ana.at).toBe('/account/security')
    await ana.type(fields.current_password, NEW_PASSWORD)
    await ana.type(fields.new_password, NEW_PASSWORD)
    await ana.press(security.change)
    await ana.see(problems.wrong_password)
    await ana.type(fields.current_password, PASSWORD)
    await ana.type(fields.new_password, NEW_PASSWORD)
    await ana.press(security.change)
    expect(ana.at).toBe('/account/security?done=password')
    await ana.open('/account')
    await ana.see(email)
    await elsewhere.open('/account')
    expect(elsewhere.at).toBe('/sign-in?done=ended')
  })

  test('changes their name, username and language, and reads the page in it', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { account, errors, fields } = ana.texts
    const { email: other } = await createUser(here.system, { username: `other-${way.length}` })
    expect(other).not.toBe(email)
    await ana.signIn(email)
    await ana.type(fields.name, 'Ana')
    await ana.type(fields.username, `other-${way.length}`)
    await ana.press(account.save)
    await ana.see(errors.taken(undefined))
    expect(await ana.field(fields.name).inputValue()).toBe('Ana')
    await ana.type(fields.username, `ana-${way.length}`)
    await ana.choose(fields.locale, 'Русский')
    await ana.press(account.save)
    expect(ana.at).toBe('/account?done=profile')
    expect(await ana.page.getAttribute('html', 'lang')).toBe('ru')
    await ana.see('Ваши')
  })

  test('ends one session, and then all others', async () => {
    const { email } = await registerUser(here.system)
    const [ana, phone, ...others] = await Promise.all([1, 2, 3, 4].map(() => here.person({ way })))
    if (!ana || !phone) throw new Error('Four persons were asked for')
    const { done, sessions } = ana.texts
    for (const person of [...others, ana]) await person.signIn(email)
    await phone.context.setExtraHTTPHeaders({
      'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1',
    })
    await phone.signIn(email)
    await ana.open('/account/sessions')
    const onPhone = ana.page.getByRole('button', { name: /Safari/ })
    await ana.press((await onPhone.getAttribute('aria-label')) ?? '')
    expect(ana.at).toBe('/account/sessions?done=session')
    await phone.open('/account')
    expect(phone.at).toBe('/sign-in?done=ended')
    for (const person of others) {
      await person.open('/account')
      expect(person.at).toBe('/account')
    }
    await ana.press(sessions.endOthers)
    await ana.see(done.sessions)
    for (const person of others) {
      await person.open('/account')
      expect(person.at).toBe('/sign-in?done=ended')
    }
    await ana.open('/account')
    expect(ana.at).toBe('/account')
  })

  test('turns modules on and off, as far as they depend on each other', async () => {
    for (const module of [
      { id: 'reports', name: 'Reports', description: 'Charts' },
      { id: 'export', name: 'Export', description: 'Files of reports', requires: ['reports'] },
      { id: 'audits', name: 'Audits', description: 'For auditors', required_roles: ['AUDITOR'] },
    ])
      await here.modules('POST /modules', byOperator(module))
    const { email } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { done, modules } = ana.texts
    await ana.signIn(email)
    await ana.open('/account/modules')
    expect(await ana.page.getByRole('button', { name: /Audits/ }).count()).toBe(0)
    await ana.press(modules.enableNamed('Export'))
    await ana.see(modules.enableFirst('Reports'))
    await ana.press(modules.enableNamed('Reports'))
    await ana.see(done.module)
    await ana.press(modules.enableNamed('Export'))
    await ana.press(modules.disableNamed('Reports'))
    await ana.see(modules.disableFirst('Export'))
    await ana.press(modules.disableNamed('Export'))
    await ana.press(modules.disableNamed('Reports'))
    expect(await ana.page.getByRole('button', { name: /Turn off/ }).count()).toBe(0)
  })

  test('deletes their account, after they confirmed it with their password', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person({ way })
    const { account, done, fields, problems, remove } = ana.texts
    await ana.signIn(email)
    clock.pass(LATER)
    await ana.open('/account')
    await ana.follow(account.delete)
    await ana.type(fields.confirm_password, PASSWORD)
    await ana.press(remove.submit)
    await ana.see(remove.unconfirmed)
    await ana.tick(email)
    await ana.press(remove.submit)
    await ana.see(problems.reauthentication_required)
    await ana.type(fields.confirm_password, PASSWORD)
    await ana.press(remove.submit)
    expect(ana.at).toBe('/sign-in?done=deleted')
    await ana.see(done.deleted)
    await ana.signIn(email)
    await ana.see(problems.invalid_credentials)
  })
})

describe.each(WHOLE ? WAYS : WAYS.slice(2))(
  'where emails are verified and devices are confirmed, %s, a person',
  (way) => {
    const here = pagesInBrowser({ RATE_LIMIT: 'off', EMAIL_VERIFICATION: 'required', DEVICE_TRUST: 'pages' })

    test('registers, cannot sign in before the email is verified, and then can', async () => {
      const email = newEmail()
      const [ana, elsewhere] = [await here.person({ way }), await here.person({ way })]
      const { fields, signIn, verify } = ana.texts
      await ana.register(email)
      expect(ana.at).toBe('/verify-email')
      await ana.open('/account')
      expect(ana.at).toBe('/sign-in')
      await elsewhere.open('/account/modules')
      await elsewhere.signIn(email)
      expect(elsewhere.at).toBe('/verify-email?step=sign-in')
      await elsewhere.see(verify.required)
      await elsewhere.type(fields.code, (await elsewhere.mail(email, 'verify-email', 1)).code)
      await elsewhere.press(verify.submit)
      expect(elsewhere.at).toBe('/sign-in?done=verified&return_to=%2Faccount%2Fmodules')
      await elsewhere.signIn(email)
      const { code } = await elsewhere.mail(email, undefined, 2)
      await elsewhere.type(fields.code, code)
      await elsewhere.press(signIn.confirm)
      expect(elsewhere.at).toBe('/account/modules')
    })

    test('enters a code on a new device, and none on a device that they confirmed', async () => {
      const { email } = await createUser(here.system, { email_verified: true })
      const ana = await here.person({ way })
      const { fields, nav, problems, signIn } = ana.texts
      await ana.signIn(email)
      expect(ana.at).toBe('/sign-in?step=device')
      await ana.see(email)
      const { code } = await ana.mail(email)
      await ana.type(fields.code, code === '000000' ? '000001' : '000000')
      await ana.press(signIn.confirm)
      await ana.see(problems.invalid_code)
      await ana.type(fields.code, code)
      await ana.press(signIn.confirm)
      expect(ana.at).toBe('/account')
      await ana.press(nav.signOut)
      await ana.signIn(email)
      expect(ana.at).toBe('/account')
    })
  },
)
