import { beforeAll, describe, expect, test } from 'bun:test'
import { PAGES } from '../../../services/web/index.ts'
import { createUser, newEmail, PASSWORD } from '../../support/actors.ts'
import { invitation, nextMail } from '../../support/challenges.ts'
import { as } from '../../support/http.ts'
import { RelyingParty } from '../../support/oauth/relying-party.ts'
import { running } from '../../support/running.ts'
import { inProcess, type System } from '../../support/system.ts'
import { stored } from './stored.ts'
import {
  COOKIES,
  FORM_TYPE,
  giveRoles,
  newPerson,
  OWN_FORM,
  PAGES_URL,
  type Person,
  type Sent,
  signIn,
  type Visit,
  Visitor,
} from './visitor.ts'

const MODULE = 'cross-site'

/** A form that works when the page itself sends it. */
interface Prepared {
  visitor: Visitor
  /** The address of the page that has the form. */
  page: string
  /** The address to which the form is sent, if it is not the path of the page alone. */
  action?: string
  /** Whether a form of another site is a link instead of being refused: apps may send people here by a form. */
  isLink?: boolean
  fields: Record<string, string>
}

/** For each page with a form: a form of it that changes something. */
const FORMS: Record<string, (system: System) => Promise<Prepared>> = {
  async '/sign-in'(system) {
    const { email } = await newPerson(system)
    return { visitor: new Visitor(system), page: '/sign-in', fields: { login: email, password: PASSWORD } }
  },
  async '/sign-in-link'(system) {
    const { email } = await newPerson(system)
    const visitor = new Visitor(system)
    await visitor.fill('/sign-in?step=email', { step: 'email', email })
    const { token } = await nextMail(system, email, 0, 'sign-in-link')
    return { visitor, page: `/sign-in-link?token=${token}`, fields: { token } }
  },
  async '/sign-up'(system) {
    return { visitor: new Visitor(system), page: '/sign-up', fields: { email: newEmail(), password: PASSWORD } }
  },
  async '/forgot-password'(system) {
    const { email } = await newPerson(system)
    return { visitor: new Visitor(system), page: '/forgot-password', fields: { email } }
  },
  async '/reset-password'(system) {
    const { email } = await newPerson(system)
    const visitor = new Visitor(system)
    await visitor.fill('/forgot-password', { email })
    const { token } = await nextMail(system, email, 0, 'reset-password')
    return {
      visitor,
      page: `/reset-password?token=${token}`,
      fields: { token, new_password: 'quite another password' },
    }
  },
  async '/verify-email'(system) {
    const { email } = await newPerson(system)
    const { token } = await nextMail(system, email, 0, 'verify-email')
    return { visitor: new Visitor(system), page: `/verify-email?token=${token}`, fields: { token } }
  },
  async '/confirm-email'(system) {
    const { visitor } = await newPerson(system)
    const new_email = newEmail()
    await visitor.fill('/account', { action: 'email', new_email })
    const { token } = await nextMail(system, new_email, 0, 'confirm-email')
    return { visitor, page: `/confirm-email?token=${token}`, fields: { token } }
  },
  async '/undo-email'(system) {
    const { email, visitor } = await newPerson(system)
    const verification = await nextMail(system, email, 0, 'verify-email')
    await visitor.fill(`/verify-email?token=${verification.token}`, { token: verification.token })
    const new_email = newEmail()
    await visitor.fill('/account', { action: 'email', new_email })
    const change = await nextMail(system, new_email, 0, 'confirm-email')
    await visitor.fill(`/confirm-email?token=${change.token}`, { token: change.token })
    const { token } = await nextMail(system, email, 0, 'undo-email')
    return { visitor: new Visitor(system), page: `/undo-email?token=${token}`, fields: { token } }
  },
  async '/invitation'(system) {
    const token = await invitation(system, newEmail())
    return {
      visitor: new Visitor(system),
      page: `/invitation?token=${token}`,
      fields: { token, new_password: PASSWORD },
    }
  },
  async '/sign-out'(system) {
    return { visitor: (await newPerson(system)).visitor, page: '/account', fields: {} }
  },
  async '/oauth/consent'(system) {
    const { visitor } = await newPerson(system)
    const page = (await visitor.get(await authorization(system))).location
    return { visitor, page, action: page, fields: { consent: 'given' } }
  },
  async '/oauth/logout'(system) {
    return { visitor: (await newPerson(system)).visitor, page: '/oauth/logout', isLink: true, fields: {} }
  },
  async '/account/apps'(system) {
    const { visitor } = await newPerson(system)
    const app = await RelyingParty.start(system)
    await app.stop()
    const consent = (await visitor.get(app.authorize())).location
    const { location } = await visitor.fill(consent, { consent: 'given' })
    await app.redeem(new URL(location).searchParams.get('code') ?? '')
    const page = '/account/apps'
    const [, action = ''] = /action="(\/account\/apps\?grant=[^"]+)"/.exec((await visitor.get(page)).text) ?? []
    return { visitor, page, action, fields: {} }
  },
  async '/account'(system) {
    const { visitor } = await newPerson(system)
    return { visitor, page: '/account', fields: { action: 'profile', name: 'Attacked' } }
  },
  async '/account/security'(system) {
    const { visitor } = await newPerson(system)
    const fields = { current_password: PASSWORD, new_password: 'quite another password' }
    return { visitor, page: '/account/security', fields }
  },
  async '/account/sessions'(system) {
    const { email, visitor } = await newPerson(system)
    await signIn(new Visitor(system), email)
    return { visitor, page: '/account/sessions', fields: {} }
  },
  async '/account/modules'(system) {
    const { visitor } = await newPerson(system)
    return { visitor, page: '/account/modules', fields: { module_id: MODULE, action: 'enable' } }
  },
  async '/account/delete'(system) {
    const { visitor } = await newPerson(system)
    return { visitor, page: '/account/delete', fields: { confirmed: 'yes' } }
  },
  async '/console/invite'(system) {
    const { visitor } = await newAdministrator(system)
    return { visitor, page: '/console/invite', fields: { email: newEmail() } }
  },
  async '/console/users/:user_id'(system) {
    const { visitor } = await newAdministrator(system)
    const page = `/console/users/${(await createUser(system)).id}`
    return { visitor, page, action: page, fields: { action: 'disable' } }
  },
}

/** Creates an account at the page, and makes its user an administrator. */
async function newAdministrator(system: System): Promise<Person> {
  const person = await newPerson(system)
  await giveRoles(system, person, ['ADMIN'])
  return person
}

/** The path at which an app asks for a user. */
async function authorization(system: System): Promise<string> {
  const app = await RelyingParty.start(system)
  await app.stop()
  return app.authorize()
}

/** Headers that browsers send with a form of another site, or with a request that no page sent. */
const FOREIGN: [string, Sent][] = [
  ['neither Origin nor Sec-Fetch-Site', { origin: undefined, 'sec-fetch-site': undefined }],
  ['a foreign Origin', { origin: 'https://evil.example', 'sec-fetch-site': undefined }],
  [
    'an Origin that begins like that of the pages',
    { origin: `${PAGES_URL}.evil.example`, 'sec-fetch-site': undefined },
  ],
  ['the Origin of the pages with a port', { origin: `${PAGES_URL}:8443`, 'sec-fetch-site': undefined }],
  ['the Origin of the pages over plain http', { origin: 'http://app.example.org', 'sec-fetch-site': undefined }],
  ['the Origin `null`', { origin: 'null', 'sec-fetch-site': undefined }],
  ['an empty Origin', { origin: '', 'sec-fetch-site': undefined }],
  ['a Referer of the pages alone', { origin: undefined, 'sec-fetch-site': undefined, referer: `${PAGES_URL}/account` }],
  ...['cross-site', 'same-site', 'none', '', 'same-origin, cross-site', 'SAME-ORIGIN'].map((site): [string, Sent] => [
    `Sec-Fetch-Site: ${site || '(empty)'}`,
    { 'sec-fetch-site': site },
  ]),
]

/** Other types in which a page of another site can send a form without asking first. */
const TYPES: [string, (fields: URLSearchParams) => string][] = [
  ['text/plain', (fields) => [...fields].map(([name, value]) => `${name}=${value}`).join('\r\n')],
  [
    'multipart/form-data; boundary=X',
    (fields) =>
      `${[...fields].map(([name, value]) => `--X\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('')}--X--\r\n`,
  ],
  ['application/json', (fields) => JSON.stringify(Object.fromEntries(fields))],
  [`${FORM_TYPE}; charset=utf-16`, (fields) => fields.toString()],
]

function expectRefusal({ headers, status, text }: Visit, expected: number): void {
  expect(status).toBe(expected)
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(text).toStartWith('<!doctype html>')
}

test('check 48: every page with a form has a row here', () => {
  // `/oauth/authorize` takes forms of apps and has none: they are links.
  const withForm = PAGES.filter(({ foreignForm, post }) => post && post !== foreignForm)
  expect(Object.keys(FORMS).toSorted()).toEqual(withForm.map(({ path }) => path).toSorted())
})

describe('forms that another site sends', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })

  beforeAll(async () => {
    const module = { id: MODULE, name: 'Module', description: 'A module' }
    const { status } = await here.modules('POST /modules', { headers: as.operator, body: module })
    expect(status).toBe(201)
  })

  test.each(Object.keys(FORMS))('check 48: %s', async (path) => {
    const prepare = FORMS[path] as (system: System) => Promise<Prepared>
    const { action = path, fields, isLink = false, page, visitor } = await prepare(here.system)
    const expectRefused = (answer: Visit) => {
      if (!isLink) return expectRefusal(answer, 403)
      expect([answer.status, answer.location.split('?')[0]]).toEqual([303, path])
    }
    await visitor.get(page)
    const { token } = visitor
    expect(token).not.toBe('')
    const wrong = await wrongTokens(here.system, visitor, token)
    const cookies = JSON.stringify([...visitor.cookies])
    const before = await stored(here.system)
    const unchanged = async (what: string) => {
      expect([what, await stored(here.system)]).toEqual([what, before])
      expect([what, JSON.stringify([...visitor.cookies])]).toEqual([what, cookies])
    }

    for (const [what, headers] of FOREIGN) {
      expectRefused(await visitor.post(action, { ...fields, form_token: token }, headers))
      await unchanged(what)
    }
    for (const [type, encode] of TYPES) {
      const body = encode(new URLSearchParams({ ...fields, form_token: token }))
      expectRefusal(await visitor.send('POST', action, { 'content-type': type, ...OWN_FORM }, body), 415)
      await unchanged(type)
    }
    const untyped = new TextEncoder().encode(new URLSearchParams({ ...fields, form_token: token }).toString())
    expectRefusal(await visitor.send('POST', action, OWN_FORM, untyped), 415)
    await unchanged('no type')

    for (const [what, form_token] of Object.entries(wrong)) {
      expectRefused(await visitor.post(action, { ...fields, form_token }))
      await unchanged(what)
    }
    // In the address instead of the form.
    const inAddress = new URLSearchParams({ ...fields, form_token: token })
    const address = `${action}${action.includes('?') ? '&' : '?'}${inAddress}`
    expectRefused(await visitor.send('POST', address, { 'content-type': FORM_TYPE, ...OWN_FORM }, ''))
    await unchanged('all fields in the address')
    // The token is bound to a cookie, which another site's form may lack.
    const withoutCookie = visitor.copy()
    withoutCookie.cookies.delete(COOKIES.form)
    expectRefused(await withoutCookie.post(action, { ...fields, form_token: token }))
    await unchanged('without the cookie of forms')

    // The very same form works when the page itself sends it, so that each refusal had the reason that it seems to have.
    const accepted = await visitor.post(action, { ...fields, form_token: token })
    expect([200, 303]).toContain(accepted.status)
    expect(await stored(here.system)).not.toEqual(before)
  })

  test('check 48: a browser that does not know Sec-Fetch-Site sends its Origin', async () => {
    const { visitor } = await newPerson(here.system)
    const headers = { 'sec-fetch-site': undefined, origin: PAGES_URL }
    const { location, status } = await visitor.fill('/account', { action: 'profile', name: 'Ana' }, headers)
    expect([status, location]).toEqual([303, '/account?done=profile'])
  })
})

describe('pages over plain http, on one machine', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', PUBLIC_URL: '' })

  test('check 48: only a form of their own origin works there too', async () => {
    const { web } = here.system.url
    const form = new Visitor(here.system)
    const { headers } = await form.get('/sign-up')
    for (const line of headers.getSetCookie())
      expect(line).toMatch(/^ch202-form=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/)
    const post = (origin: string, fields = {}) =>
      form
        .copy()
        .post('/sign-up', { email: newEmail(), password: PASSWORD, ...fields }, { origin, 'sec-fetch-site': undefined })
    for (const origin of [
      web.replace('127.0.0.1', 'localhost'),
      web.replace('http:', 'https:'),
      `${web}1`,
      PAGES_URL,
      'null',
    ])
      expectRefusal(await post(origin), 403)
    expectRefusal(await post(web, { form_token: '' }), 403)
    const created = await post(web)
    expect(created.status).toBe(303)
    const session = created.headers.getSetCookie().find((line) => line.startsWith('ch202='))
    expect(session).toMatch(/^ch202=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/)
    // A cookie with the name that it has over TLS is another cookie.
    const visitor = new Visitor(here.system)
    visitor.cookies.set(COOKIES.session, session?.slice('ch202='.length).split(';')[0] ?? '')
    expect((await visitor.get('/account')).location).toBe('/sign-in')
  })
})

/** Tokens that some form had once, but not this one. */
async function wrongTokens(system: System, visitor: Visitor, token: string): Promise<Record<string, string>> {
  const another = new Visitor(system)
  await another.get('/sign-in')
  const signedIn = await newPerson(system)
  await signedIn.visitor.get('/account')
  // The same browser, with another session, and without one.
  const otherSession = visitor.copy()
  otherSession.cookies.set(COOKIES.session, signedIn.visitor.cookies.get(COOKIES.session) ?? '')
  await otherSession.get('/account')
  const withoutSession = visitor.copy()
  withoutSession.cookies.delete(COOKIES.session)
  await withoutSession.get('/sign-in')
  return {
    none: '',
    'of another browser': another.token,
    'of another person': signedIn.visitor.token,
    'of another session': otherSession.token,
    ...(visitor.cookies.has(COOKIES.session) ? { 'of before the sign-in': withoutSession.token } : {}),
    truncated: token.slice(0, -1),
    'longer by a byte': `${token}AA`,
    'changed in its last bit': changed(token),
    'of zeros': Buffer.alloc(32).toString('base64url'),
  }
}

function changed(token: string): string {
  const bytes = Buffer.from(token, 'base64url')
  bytes[31] = (bytes[31] ?? 0) ^ 1
  return bytes.toString('base64url')
}
