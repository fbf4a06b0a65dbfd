import { describe, expect, test } from 'bun:test'
import { MINUTE } from '../../services/kit/clock.ts'
import { createUser, newEmail, PASSWORD } from '../support/actors.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { sliced } from '../support/whole.ts'
import { type Person, pagesInBrowser } from './pages.ts'
import { optionsOf, PasskeyDevice, send, signedIn, withoutAutofill } from './passkey-device.ts'

/** Milliseconds after which a person must authenticate again: more than `REAUTH_MAX_AGE`. */
const LATER = 11 * MINUTE

const VERIFIED = { email_verified: true }

/** Presses a button whose passkey is refused before the form is sent, and waits for the reason. */
async function pressInVain({ page }: Person, name: string, reason: string): Promise<void> {
  await page.getByRole('button', { name, exact: true }).first().click()
  await page.getByText(reason).first().waitFor()
}

describe('a person with a passkey', () => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off' }, { clock, publicHost: 'localhost' })

  /** A person who has added a passkey to their account, and is signed in. */
  async function personWithPasskey(options: { isSynced?: boolean } = {}) {
    const { email } = await createUser(here.system, VERIFIED)
    const ana = await here.person()
    await withoutAutofill(ana)
    const device = await PasskeyDevice.of(ana, options)
    const { done, fields, passkey, recovery } = ana.texts
    await ana.open(`/sign-in?return_to=${encodeURIComponent('/account/security?step=passkey')}`)
    await ana.signIn(email)
    await ana.type(fields.name, 'My laptop')
    await ana.press(passkey.add)
    await ana.see(recovery.warning)
    await ana.follow(recovery.goOn)
    await ana.see(done['factor-added'])
    await ana.see('My laptop')
    return { ana, device, email }
  }

  test('adds it, and signs in by the button', async () => {
    const { ana } = await personWithPasskey()
    const { factors, nav, signIn } = ana.texts
    expect(await ana.read()).not.toContain(factors.synced)
    await ana.press(nav.signOut)
    await ana.open('/sign-in?return_to=/account/security')
    await ana.press(signIn.byPasskey)
    expect(ana.at).toBe('/account/security')
    expect(await ana.read()).not.toContain(factors.never)
  })

  test('sees that it is synchronized, and adds none twice on one device', async () => {
    const { ana } = await personWithPasskey({ isSynced: true })
    const { factors, passkey } = ana.texts
    await ana.see(factors.synced)
    await ana.follow(passkey.add)
    await pressInVain(ana, passkey.add, passkey.exists)
  })

  test('signs in by what the browser offers in the field of the name', async () => {
    const { email } = await createUser(here.system, VERIFIED)
    const ana = await here.person()
    const device = await PasskeyDevice.of(ana)
    const { factors, nav, passkey } = ana.texts
    await ana.signIn(email)
    await ana.follow(nav.security)
    await ana.see(factors.none)
    await ana.follow(passkey.add)
    await ana.press(passkey.add)
    expect(await device.passkeys()).toMatchObject([{ signCount: 1 }])
    await ana.open('/account')
    const arrived = ana.page.waitForURL('**/account', { waitUntil: 'load' })
    await ana.press(nav.signOut)
    await arrived
    await ana.see(email)
    expect(await device.passkeys()).toMatchObject([{ signCount: 2 }])
  })

  test('shows it as a second factor', async () => {
    const { ana, email } = await personWithPasskey()
    const { fields, nav, passkey } = ana.texts
    await ana.press(nav.signOut)
    await ana.open('/account/modules')
    await ana.signIn(email)
    expect(ana.at).toBe('/sign-in?step=factor&return_to=%2Faccount%2Fmodules')
    expect(await ana.field(fields.recovery_code).count()).toBe(1)
    await ana.press(passkey.use)
    expect(ana.at).toBe('/account/modules')
  })

  test('shows it again before their email changes, and what they typed stays', async () => {
    const { ana, device } = await personWithPasskey()
    const { account, fields, passkey, problems } = ana.texts
    clock.pass(LATER)
    await ana.open('/account')
    await ana.type(fields.new_email, 'not an email')
    await device.recognize(false)
    await pressInVain(ana, passkey.use, passkey.cancelled)
    expect(await ana.field(fields.new_email).inputValue()).toBe('not an email')
    await device.recognize(true)
    await ana.press(passkey.use)
    expect(await ana.field(fields.new_email).inputValue()).toBe('not an email')
    // They need not show it again.
    expect(await ana.page.getByRole('button', { name: passkey.use }).count()).toBe(0)
    await ana.type(fields.new_email, newEmail())
    await ana.press(account.change)
    expect(ana.at).toBe('/account?step=code')
    expect(await ana.read()).not.toContain(problems.factor_needed)
  })

  test('shows it again before another one is added', async () => {
    const { ana, device } = await personWithPasskey()
    const { done, factors, nav, passkey } = ana.texts
    clock.pass(LATER)
    await ana.follow(nav.security)
    await ana.follow(passkey.add)
    expect(await ana.page.getByRole('button', { name: passkey.add }).count()).toBe(0)
    await ana.press(passkey.use)
    expect(ana.at).toBe('/account/security?step=passkey')
    await device.clear()
    await ana.press(passkey.add)
    await ana.see(done['factor-added'])
    expect(await ana.page.getByRole('link', { name: factors.changeNamed('') }).count()).toBe(2)
  })

  test('signs in by a page that was open for longer than its challenge lives', async () => {
    const { ana } = await personWithPasskey()
    const { nav, signIn } = ana.texts
    await ana.press(nav.signOut)
    await ana.page.clock.setFixedTime(clock.now())
    await ana.open('/sign-in')
    const before = await optionsOf(ana)
    clock.pass(6 * MINUTE)
    await ana.page.clock.setFixedTime(clock.now())
    await ana.press(signIn.byPasskey)
    expect(ana.at).toBe('/account')
    expect(before).not.toBe('')
  })

  test('check 46: cannot use it without being recognized, or after it was lost', async () => {
    const { ana, device, email } = await personWithPasskey()
    const { nav, passkey, signIn } = ana.texts
    await ana.press(nav.signOut)
    await device.recognize(false)
    await pressInVain(ana, signIn.byPasskey, passkey.cancelled)
    await ana.signIn(email)
    await pressInVain(ana, passkey.use, passkey.cancelled)
    await device.recognize(true)
    await device.clear()
    await pressInVain(ana, passkey.use, passkey.cancelled)
    await ana.open('/account')
    expect(ana.at).toStartWith('/sign-in')
  })

  test('check 46: cannot sign in by one that they removed', async () => {
    const { ana } = await personWithPasskey()
    const { done, factors, nav, problems, signIn } = ana.texts
    await ana.follow(factors.changeNamed('My laptop'))
    await ana.press(factors.remove)
    await ana.see(done['factor-removed'])
    await ana.press(nav.signOut)
    await ana.press(signIn.byPasskey)
    await ana.see(problems.invalid_passkey)
    expect(ana.at).toBe('/sign-in')
  })

  test('check 46: cannot use the passkey of another account, as a second factor or before a change', async () => {
    const { ana, device, email } = await personWithPasskey()
    const { nav, passkey, problems } = ana.texts
    await ana.press(nav.signOut)
    const other = await createUser(here.system, VERIFIED)
    await ana.signIn(other.email)
    await ana.open('/account/security?step=passkey')
    await ana.press(passkey.add)
    await ana.open('/account')
    // The device has both.
    await ana.press(nav.signOut)
    await ana.signIn(email)
    await send(ana, await signedByAnother(ana, device))
    await ana.see(problems.invalid_passkey)
    await ana.press(passkey.use)
    expect(ana.at).toBe('/account')
    clock.pass(LATER)
    await ana.open('/account/delete')
    await send(ana, await signedByAnother(ana, device))
    await ana.see(ana.texts.remove.unconfirmed)
    await ana.tick(email)
    await send(ana, await signedByAnother(ana, device))
    await ana.see(problems.invalid_passkey)
  })

  /** Has the passkey sign that is not one of those that the page names. */
  async function signedByAnother(ana: Person, device: PasskeyDevice): Promise<string> {
    const options = await optionsOf(ana)
    const [ofAna] = JSON.parse(options).allowCredentials
    const other = (await device.passkeys()).find(({ id }) => id !== ofAna.id)
    return await signedIn(ana.page, options, other?.id)
  }

  test('check 46: cannot use an answer that a page of another origin got, or use one twice', async () => {
    const { ana } = await personWithPasskey()
    const { nav, problems } = ana.texts
    await ana.press(nav.signOut)
    const options = await optionsOf(ana)
    // Passkeys are of a host: browsers let another port of it use them, and say which one did.
    const elsewhere = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () =>
        new Response('<!doctype html><title>Another origin</title>', { headers: { 'content-type': 'text/html' } }),
    })
    try {
      await ana.page.goto(`http://localhost:${elsewhere.port}/`)
      const stolen = await signedIn(ana.page, options)
      await ana.open('/sign-in')
      await send(ana, stolen)
      await ana.see(problems.invalid_passkey)
    } finally {
      await elsewhere.stop(true)
    }
    const right = await signedIn(ana.page, await optionsOf(ana))
    await send(ana, right)
    expect(ana.at).toBe('/account')
    await ana.press(nav.signOut)
    await send(ana, right)
    await ana.see(problems.invalid_passkey)
  })

  test('check 46: an answer of another shape is refused as a wrong one', async () => {
    const ana = await here.person()
    for (const credential of sliced(['', '{}', 'null', '[]', '{"id":{"a":1}}', 'x'.repeat(5000)], 4)) {
      await ana.open('/sign-in')
      await send(ana, credential)
      await ana.see(ana.texts.problems.invalid_passkey)
    }
  })

  test('learns that their browser has no passkeys', async () => {
    const ana = await here.person()
    await ana.context.addInitScript('delete globalThis.PublicKeyCredential')
    await ana.open('/sign-in')
    await ana.see(ana.texts.passkey.unsupported)
    expect(await ana.page.getByRole('button', { name: ana.texts.signIn.byPasskey }).count()).toBe(0)
  })

  test('learns without a script that passkeys need one', async () => {
    const ana = await here.person({ way: 'without a script' })
    await ana.open('/sign-in')
    expect(await ana.page.locator('.passkey .hint').isVisible()).toBe(true)
    expect(await ana.page.getByRole('button', { name: ana.texts.signIn.byPasskey }).count()).toBe(0)
  })
})

describe('where everyone must have a second factor, a person', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off', MFA: 'all' }, { publicHost: 'localhost' })

  test('adds a passkey, keeps the recovery codes, and comes to where they were going', async () => {
    const body = { email: newEmail(), password: PASSWORD, ...VERIFIED }
    expect((await here.users('POST /users', { headers: as.operator, body })).status).toBe(201)
    const ana = await here.person()
    await PasskeyDevice.of(ana)
    const { passkey, recovery } = ana.texts
    await ana.open('/account/modules')
    await ana.signIn(body.email)
    await ana.press(passkey.add)
    await ana.see(recovery.warning)
    expect(await ana.page.locator('.codes code').count()).toBe(10)
    await ana.follow(recovery.goOn)
    expect(ana.at).toBe('/account/modules')
  })

  test('copies, prints and downloads the recovery codes', async () => {
    const body = { email: newEmail(), password: PASSWORD, ...VERIFIED }
    expect((await here.users('POST /users', { headers: as.operator, body })).status).toBe(201)
    const ana = await here.person({ acceptDownloads: true, permissions: ['clipboard-read', 'clipboard-write'] })
    await ana.context.addInitScript('globalThis.print = () => { document.title = "printed" }')
    await PasskeyDevice.of(ana)
    const { passkey, recovery } = ana.texts
    await ana.signIn(body.email)
    await ana.press(passkey.add)
    const codes = await ana.page.locator('.codes code').allTextContents()
    await ana.page.getByRole('button', { name: recovery.copy }).click()
    await ana.see(recovery.copied)
    expect(await ana.page.evaluate('navigator.clipboard.readText()')).toBe(codes.join('\n'))
    await ana.page.getByRole('button', { name: recovery.print }).click()
    expect(await ana.page.title()).toBe('printed')
    const downloading = ana.page.waitForEvent('download')
    await ana.page.getByRole('link', { name: recovery.download }).click()
    const file = await (await downloading).path()
    const text = await Bun.file(file).text()
    for (const code of codes) expect(text).toContain(code)
  })
})

describe('at an IP address, where browsers have no passkeys, a person', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off' })

  test('is offered none, and reads why', async () => {
    const { email } = await createUser(here.system, VERIFIED)
    const ana = await here.person()
    const { nav, passkey, signIn } = ana.texts
    await ana.open('/sign-in')
    expect(await ana.read()).not.toContain(signIn.byPasskey)
    await ana.signIn(email)
    await ana.follow(nav.security)
    await ana.see(passkey.needsDomain)
    expect(await ana.page.getByRole('link', { name: passkey.add }).count()).toBe(0)
    await ana.open('/account/security?step=passkey')
    await ana.see(passkey.needsDomain)
    expect(await ana.page.locator('[data-passkey]').count()).toBe(0)
  })
})
