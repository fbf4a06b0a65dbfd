import { describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { nextMail } from '../../support/challenges.ts'
import { running } from '../../support/running.ts'
import { inProcess } from '../../support/system.ts'
import { sliced } from '../../support/whole.ts'
import { COOKIES, hiddenFields, isSignedIn, newPerson, PAGES_URL, signIn, Visitor } from './visitor.ts'

const LISTED = 'https://shop.example'
const LISTED_WITH_PORT = 'https://shop.example:8443'
const HOME = '/account'

/** Addresses outside the pages that nobody listed, and texts that browsers read as one. */
const FOREIGN = [
  '//evil.example',
  '///evil.example',
  '////evil.example/',
  '\\\\evil.example',
  '/\\evil.example',
  '\\/evil.example',
  '/\\/evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r\n/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '\u00a0//evil.example',
  '/ /evil.example\u0000',
  '/..//evil.example',
  '/.//evil.example',
  '/%2e%2e//evil.example',
  '/account/..//evil.example',
  '/account/%2E.//evil.example',
  '//evil.example/%2f..',
  '//evil.example@app.example.org',
  'https:evil.example',
  'https:/evil.example',
  'https:///evil.example',
  'https:\\\\evil.example',
  'https://evil.example',
  'HTTPS://EVIL.EXAMPLE',
  'http://evil.example',
  'ftp://evil.example',
  '://evil.example',
  'evil.example',
  '@evil.example',
  '?next=//evil.example',
  '#@evil.example',
  'data:text/html,<script>alert(1)</script>',
  'javascript:alert(1)',
  'JavaScript:alert(1)',
  'java\tscript:alert(1)',
  ' javascript:alert(1)',
  'vbscript:x',
  'blob:https://shop.example/x',
  'file:///etc/passwd',
  'view-source:https://shop.example/',
  'intent://evil.example#Intent;end',
  // Not a path of the pages either: the pages' own address is written as a path.
  `${PAGES_URL}.evil.example/`,
  `${PAGES_URL}@evil.example/`,
  `${PAGES_URL}:@evil.example/`,
  // Tricks with an origin that is listed.
  `${LISTED}.evil.example/`,
  `${LISTED}@evil.example/`,
  `${LISTED}:@evil.example/`,
  `${LISTED}%2f@evil.example/`,
  `${LISTED}\\@evil.example/`,
  `${LISTED}#@evil.example/`,
  `${LISTED}%00.evil.example/`,
  `${LISTED}\u3002evil.example/`,
  `${LISTED}:443/`,
  `${LISTED}:8444/`,
  `${LISTED}:08443/`,
  `${LISTED}./`,
  'https://shop.example../',
  'HTTPS://shop.example/',
  'https://SHOP.example/',
  'http://shop.example/',
  'https://shop\u3002example/',
  'https://shop．example/',
  'https://ѕhop.example/',
  'https://ｓhop.example/',
  'https://shop.exam\u00adple/',
  'https://sh%6fp.example/',
  'https://user@shop.example/',
  'https://user:password@shop.example/',
  'https://:@shop.example/',
  'https:shop.example/',
  'https:/shop.example/',
  'https:///shop.example/',
  'https:\\\\shop.example/',
  'https://shop.example\\',
  'https://shop.example/\nlocation: https://evil.example',
  'https://shop.example/\r\nset-cookie: a=b',
  `https://shop.example/${'a'.repeat(2001)}`,
  `/account?${'a'.repeat(2001)}`,
  '',
]

/** Addresses that are allowed, and what the browser is sent to. */
const ALLOWED: [string, string][] = [
  [LISTED, `${LISTED}/`],
  [`${LISTED}/`, `${LISTED}/`],
  [`${LISTED}?a=b`, `${LISTED}/?a=b`],
  [`${LISTED}/cart/1?next=//evil.example&x=%0d%0a#part`, `${LISTED}/cart/1?next=//evil.example&x=%0d%0a#part`],
  [`${LISTED}/../..//evil.example`, `${LISTED}//evil.example`],
  [`${LISTED_WITH_PORT}/`, `${LISTED_WITH_PORT}/`],
  ['/account/security', '/account/security'],
  ['/account/security?cursor=x#activity', '/account/security?cursor=x'],
  ['/%5cevil.example', '/%5cevil.example'],
  ['/%2f/evil.example', '/%2f/evil.example'],
  ['/.%09/evil.example', '/.%09/evil.example'],
  ['/@evil.example', '/@evil.example'],
  ['/https://evil.example', '/https://evil.example'],
  ['/javascript:alert(1)', '/javascript:alert(1)'],
  ['/%E2%80%AE', '/%E2%80%AE'],
  ['/ä', '/%C3%A4'],
]

const originOf = (url: string) => (url.startsWith('/') ? null : new URL(url).origin)

function formActions(headers: Headers): string {
  return /form-action ([^;]*)/.exec(headers.get('content-security-policy') ?? '')?.[1] ?? ''
}

/** The address to which a redirect leads, as a browser resolves it. */
function destination(location: string): URL {
  return new URL(location, PAGES_URL)
}

describe('the address to return to', () => {
  const here = running(inProcess, {
    RATE_LIMIT: 'off',
    EMAIL_LOGIN: 'on',
    DEVICE_TRUST: 'pages',
    RETURN_ORIGINS: `${LISTED},${LISTED_WITH_PORT}`,
  })
  const query = (path: string, to: string) =>
    `${path}${path.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(to)}`

  test('check 48: a foreign address leads nowhere, in the address of a page and in a form', async () => {
    const { email, visitor: signedIn } = await newPerson(here.system)
    // The mail to verify the address comes at any time, and confirms no device.
    const link = await nextMail(here.system, email, 0, 'verify-email')
    await signedIn.fill(`/verify-email?token=${link.token}`, { token: link.token })
    const device = await withKnownDevice(email)
    for (const to of sliced(FOREIGN, 3)) {
      const went = async (what: string, answer: Promise<{ location: string; status: number }>, expected: string) => {
        const { location, status } = await answer
        expect([to, what, status, location]).toEqual([to, what, 303, expected])
      }
      const visitor = device.copy()
      for (const path of ['/sign-in', '/sign-in?step=email', '/sign-up']) {
        const page = await visitor.get(query(path, to))
        expect([to, path, page.status]).toEqual([to, path, 200])
        // No form or link of the page keeps the address.
        expect([to, path, hiddenFields(page.text, 'return_to')]).toEqual([to, path, []])
        expect([to, path, page.text.includes('return_to')]).toEqual([to, path, false])
        expect([to, path, formActions(page.headers)]).toEqual([to, path, "'self'"])
      }
      await went('signed in', signedIn.get(query('/sign-in', to)), HOME)
      const fields = { login: email, password: PASSWORD }
      await went('in the form', device.copy().fill('/sign-in', { ...fields, return_to: to }), HOME)
      const byAddress = device.copy()
      await byAddress.get('/sign-in')
      await went('in the address of the form', byAddress.post(query('/sign-in', to), fields), HOME)
      const signUp = new Visitor(here.system)
      const account = { email: newEmail(), password: PASSWORD, return_to: to }
      await went('sign-up', signUp.fill('/sign-up', account), '/verify-email')
      await went('after the sign-up', signUp.fill('/verify-email', { action: 'later' }), HOME)
      const code = new Visitor(here.system)
      await went('code', code.fill('/sign-in', { step: 'email', email, return_to: to }), '/sign-in?step=code')
    }
  }, 300_000)

  test.each(ALLOWED)('check 48: %s is reached by each way in', async (to, expected) => {
    const origin = originOf(expected)
    const actions = origin === null ? "'self'" : `'self' ${origin}`
    const { email, visitor: signedIn } = await newPerson(here.system)
    expect((await signedIn.get(query('/sign-in', to))).location).toBe(expected)

    const signUp = new Visitor(here.system)
    const form = await signUp.get(query('/sign-up', to))
    expect(formActions(form.headers)).toBe(actions)
    const [return_to = ''] = hiddenFields(form.text, 'return_to').map(unescaped)
    const created = await signUp.post('/sign-up', { email: newEmail(), password: PASSWORD, return_to })
    expect(created.location).toBe('/verify-email')
    const step = await signUp.get('/verify-email')
    expect(formActions(step.headers)).toBe(actions)
    expect((await signUp.post('/verify-email', { action: 'later' })).location).toBe(expected)

    const { token } = await nextMail(here.system, email, 0, 'verify-email')
    await signedIn.fill(`/verify-email?token=${token}`, { token })
    const byPassword = new Visitor(here.system)
    const page = await byPassword.get(query('/sign-in', to))
    expect(formActions(page.headers)).toBe(actions)
    const [hidden = ''] = hiddenFields(page.text, 'return_to').map(unescaped)
    const next = await byPassword.post('/sign-in', { login: email, password: PASSWORD, return_to: hidden })
    // The device is new, so a code comes in between, and the address goes with it.
    const device = await byPassword.get(next.location)
    expect(formActions(device.headers)).toBe(actions)
    const [again = ''] = hiddenFields(device.text, 'return_to').map(unescaped)
    const { code } = await nextMail(here.system, email, 1)
    const done = await byPassword.post('/sign-in', { step: 'device', code, return_to: again })
    expect(done.location).toBe(expected)
    expect(await isSignedIn(byPassword)).toBe(true)
  })

  test('check 48: only pages that can lead to the listed origin name it', async () => {
    const { visitor } = await newPerson(here.system)
    for (const path of [HOME, '/account/security', '/account/sessions', '/account/delete', '/reset-password?token=x']) {
      const { headers } = await visitor.get(query(path, `${LISTED}/`))
      expect([path, formActions(headers)]).toEqual([path, "'self'"])
    }
    const missing = await visitor.get(query('/nowhere', `${LISTED}/`))
    expect([missing.status, formActions(missing.headers)]).toEqual([404, "'self'"])
    for (const path of ['/sign-out', '/export', '/']) {
      const { headers } = await new Visitor(here.system).get(query(path, `${LISTED}/`))
      expect([path, formActions(headers)]).toEqual([path, "'self'"])
    }
  })

  test('check 48: a session that is missing leads back to the page of this site that was asked for', async () => {
    for (const path of ['/account/security?a=//evil.example', '/account/sessions?return_to=https://evil.example']) {
      const { location, status } = await new Visitor(here.system).get(path)
      expect(status).toBe(303)
      const to = destination(location)
      expect([to.origin, to.pathname, to.searchParams.get('return_to')]).toEqual([PAGES_URL, '/sign-in', path])
      const person = await newPerson(here.system)
      const after = await person.visitor.get(location)
      expect(after.location).toBe(path)
    }
  })

  test('check 48: no address breaks a step of the sign-in: the cookies stay within what browsers keep', async () => {
    const { email } = await newPerson(here.system)
    // Addresses grow when they are written in percent encoding; random ones cannot be compressed.
    const letters = Array.from({ length: 1900 }, () =>
      String.fromCodePoint(0x4e00 + Math.floor(Math.random() * 20_000)),
    )
    const digits = Array.from({ length: 2500 }, () => Math.random().toString(36).slice(2)).join('')
    for (const to of [`/${letters.join('')}`, `${LISTED}/?${letters.join('')}`, `/${digits.slice(0, 1990)}`]) {
      const visitor = new Visitor(here.system)
      const sent = await visitor.fill('/sign-in', { step: 'email', email, return_to: to })
      expect(sent.status).toBe(303)
      for (const line of sent.headers.getSetCookie()) expect(line.length).toBeLessThan(4096)
      const step = await visitor.get(sent.location)
      expect(step.status).toBe(200)
      expect(step.text).toContain('name="code"')
    }
  })

  /** A browser that the person has signed in with before. */
  async function withKnownDevice(email: string): Promise<Visitor> {
    const visitor = new Visitor(here.system)
    await signIn(visitor, email)
    const { code } = await nextMail(here.system, email, 1)
    await visitor.fill('/sign-in?step=device', { step: 'device', code })
    expect(visitor.cookies.has(COOKIES.device)).toBe(true)
    visitor.cookies.delete(COOKIES.session)
    return visitor
  }
})

describe('an origin that is listed no longer', () => {
  const before = running(inProcess, { RATE_LIMIT: 'off', RETURN_ORIGINS: LISTED })
  // The same secret opens the same cookies.
  const now = running(inProcess, { RATE_LIMIT: 'off' })

  test.each(['later', 'code'])('check 48: a step that began before leads nowhere foreign: %s', async (way) => {
    const email = newEmail()
    const old = new Visitor(before.system)
    await old.fill('/sign-up', { email, password: PASSWORD, return_to: `${LISTED}/` })
    const visitor = new Visitor(now.system)
    visitor.cookies.set(COOKIES.step, old.cookies.get(COOKIES.step) ?? '')
    const page = await visitor.get('/verify-email')
    expect(page.text).toContain('name="code"')
    expect(formActions(page.headers)).toBe("'self'")
    if (way === 'later') {
      const { location } = await visitor.post('/verify-email', { action: 'later' })
      expect(location).toBe(HOME)
    } else {
      const person = await newPerson(now.system)
      const link = await nextMail(now.system, person.email, 0, 'verify-email')
      person.visitor.cookies.set(COOKIES.step, old.cookies.get(COOKIES.step) ?? '')
      const { location } = await person.visitor.fill(`/verify-email?token=${link.token}`, { token: link.token })
      expect(destination(location).origin).toBe(PAGES_URL)
    }
  })
})

function unescaped(html: string): string {
  return html.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&')
}
