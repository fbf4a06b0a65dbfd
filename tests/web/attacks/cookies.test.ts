import { afterAll, describe, expect, test } from 'bun:test'
import { cookieNames } from '../../../services/web/request/cookies.ts'
import { newEmail, PASSWORD } from '../../support/actors.ts'
import { atOnce } from '../../support/at-once.ts'
import { nextMail } from '../../support/challenges.ts'
import { as } from '../../support/http.ts'
import { movingClock } from '../../support/moving-clock.ts'
import { RelyingParty } from '../../support/oauth/relying-party.ts'
import { databaseRows } from '../../support/postgres/database-rows.ts'
import { running } from '../../support/running.ts'
import { SECRET } from '../../support/settings.ts'
import { exchange, request } from '../../support/sockets.ts'
import { inProcess, type System } from '../../support/system.ts'
import { COOKIES, isSignedIn, newPerson, signIn, Visitor } from './visitor.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Bytes of a cookie with its name and attributes that browsers keep (RFC 6265, 6.1). */
const BROWSER_MAX = 4096

const sessionOf = (visitor: Visitor) => visitor.cookies.get(COOKIES.session) ?? ''

/** A browser with one more cookie. */
function withCookie(visitor: Visitor, name: string, value: string): Visitor {
  const other = visitor.copy()
  other.cookies.set(name, value)
  return other
}

describe('cookies that an attacker chose', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', DEVICE_TRUST: 'pages' })

  test('check 48: a session that was planted before the sign-in is not the session after it', async () => {
    const attacker = await newPerson(here.system)
    const victim = await newPerson(here.system)
    const visitor = withCookie(new Visitor(here.system), COOKIES.session, sessionOf(attacker.visitor))
    // The page of the sign-in is not shown to who is signed in, so the form comes from before.
    const form = new Visitor(here.system)
    await form.get('/sign-in')
    visitor.cookies.set(COOKIES.form, form.cookies.get(COOKIES.form) ?? '')
    expect(
      (await visitor.post('/sign-in', { form_token: form.token, login: victim.email, password: PASSWORD })).status,
    ).toBe(403)
    await visitor.get('/account')
    const { status } = await visitor.post('/sign-in', { login: victim.email, password: PASSWORD })
    expect(status).toBe(303)
    expect(sessionOf(visitor)).not.toBe(sessionOf(attacker.visitor))
    expect((await visitor.get('/account')).text).toContain(victim.email)
    // The planted session is never the victim's: it has ended, as another one replaced it.
    const after = await attacker.visitor.get('/account')
    expect(after.text).not.toContain(victim.email)
    expect([after.status, after.location]).toEqual([303, '/sign-in?done=ended'])
  })

  test('check 48: a planted cookie of forms gives the attacker no token for the session after the sign-in', async () => {
    const { email } = await newPerson(here.system)
    const planted = 'planted-by-an-attacker-0001'
    const attacker = withCookie(new Visitor(here.system), COOKIES.form, planted)
    await attacker.get('/sign-in')
    const victim = withCookie(new Visitor(here.system), COOKIES.form, planted)
    await signIn(victim, email)
    await signedInWithCode(victim, email)
    const fields = { action: 'profile', name: 'Attacked', form_token: attacker.token }
    expect((await victim.post('/account', fields)).status).toBe(403)
    const other = await newPerson(here.system)
    other.visitor.cookies.set(COOKIES.form, planted)
    await other.visitor.get('/account')
    expect((await victim.post('/account', { ...fields, form_token: other.visitor.token })).status).toBe(403)
    expect((await victim.get('/account')).text).not.toContain('Attacked')
  })

  test.each(['', 'short', 'a b', '"><script>', 'x'.repeat(65), 'ä'.repeat(30), 'x'.repeat(7000)])(
    'check 48: a cookie of forms that the pages did not make is replaced: %s',
    async (value) => {
      const visitor = withCookie(new Visitor(here.system), COOKIES.form, value)
      const { status, text } = await visitor.get('/sign-in')
      expect(status).toBe(200)
      expect(visitor.cookies.get(COOKIES.form)).toMatch(/^[\w-]{24}$/)
      expect(text).not.toContain('"><script>')
    },
  )

  test.each(['', 'x', 'x'.repeat(5000), '"', 'a b', '<script>', '%00', 'ä', '\u00a0'])(
    'check 48: a planted token of a device does not keep its owner out: %s',
    async (value) => {
      const { email } = await newPerson(here.system)
      const visitor = withCookie(new Visitor(here.system), COOKIES.device, value)
      expect((await signIn(visitor, email)).status).toBe(303)
      expect(await isSignedIn(visitor)).toBe(true)
    },
  )

  /** Names that a sibling host may set, which a program that trims or decodes them mistakes for those of the pages. */
  test.each([
    ['a no-break space before', Buffer.from([0xa0])],
    ['a no-break space before, in UTF-8', Buffer.from('\u00a0')],
    ['an en quad before', Buffer.from('\u2000')],
    ['an ideographic space before', Buffer.from('\u3000')],
    ['a line separator before', Buffer.from('\u2028')],
    ['a byte order mark before', Buffer.from('\ufeff')],
    ['a next line before', Buffer.from([0x85])],
    ['a vertical tab before', Buffer.from('\v')],
    ['a form feed before', Buffer.from('\f')],
  ])('check 48: %s a name makes it another name', async (_, before) => {
    const attacker = await newPerson(here.system)
    const victim = await newPerson(here.system)
    const head = (cookie: Buffer) =>
      Buffer.concat([
        Buffer.from('GET /account HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: '),
        cookie,
        Buffer.from('\r\n\r\n'),
      ])
    const victims = Buffer.from(`${COOKIES.session}=${sessionOf(victim.visitor)}`)
    const planted = Buffer.concat([before, Buffer.from(`${COOKIES.session}=${sessionOf(attacker.visitor)}`)])
    for (const cookie of [Buffer.concat([planted, Buffer.from('; '), victims]), planted]) {
      const answer = await exchange(here.system.url.web, [head(cookie)])
      // Bytes that no header may have are refused with the whole request.
      expect([200, 303, 400]).toContain(answer.status)
      expect(answer.text).not.toContain(attacker.email)
    }
  })

  test.each([
    ['lower case', '__host-ch202'],
    ['upper case', '__HOST-CH202'],
    ['encoded', '%5f%5fHost-ch202'],
    ['without the prefix', 'ch202'],
    ['another prefix', '__Secure-ch202'],
    ['quoted', '"__Host-ch202"'],
    ['the old syntax', '$Version=1; __host-ch202'],
  ])('check 48: a cookie whose name only looks like that of the pages counts as nothing: %s', async (_, name) => {
    const { visitor } = await newPerson(here.system)
    const answer = await request(here.system.url.web, 'GET /account HTTP/1.1', [
      'Host: localhost',
      `Cookie: ${name}=${sessionOf(visitor)}`,
    ])
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/sign-in'])
  })

  test('check 48: of two cookies of one name the first counts, and the second changes nothing', async () => {
    const victim = await newPerson(here.system)
    const attacker = await newPerson(here.system)
    const cookie = [victim, attacker].map(({ visitor }) => `${COOKIES.session}=${sessionOf(visitor)}`).join('; ')
    const { text } = await new Visitor(here.system).get('/account', { cookie })
    expect(text).toContain(victim.email)
    expect(text).not.toContain(attacker.email)
    const garbage = `${COOKIES.session}=garbage; ${COOKIES.session}=${sessionOf(victim.visitor)}`
    expect((await new Visitor(here.system).get('/account', { cookie: garbage })).location).toBe('/sign-in')
  })

  test('check 48: every cookie of the pages is for this host, for requests of this site, and for no script', async () => {
    const lines: string[] = []
    const collect = (headers: Headers) => lines.push(...headers.getSetCookie())
    const email = newEmail()
    const visitor = new Visitor(here.system)
    collect((await visitor.get('/sign-up')).headers)
    collect((await visitor.post('/sign-up', { email, password: PASSWORD })).headers)
    const { token } = await nextMail(here.system, email, 0, 'verify-email')
    collect((await visitor.fill(`/verify-email?token=${token}`, { token })).headers)
    const second = new Visitor(here.system)
    collect((await signIn(second, email)).headers)
    const { code } = await nextMail(here.system, email, 1)
    collect((await second.fill('/sign-in?step=device', { step: 'device', code })).headers)
    collect((await second.fill('/account', { action: 'email', new_email: newEmail() })).headers)
    await second.get('/account')
    collect((await second.post('/sign-out', {})).headers)
    const app = await RelyingParty.start(here.system)
    await app.stop()
    collect((await second.get(app.authorize())).headers)
    const names = lines.map((line) => line.slice(0, line.indexOf('=')))
    expect([...new Set(names)].toSorted()).toEqual(Object.values(COOKIES).toSorted())
    for (const line of lines) {
      expect(line).toMatch(/^__Host-[^;]*; Path=\/; HttpOnly; SameSite=Lax; Secure(; Max-Age=\d+)?$/)
      expect(line).not.toMatch(/domain/i)
    }
  })

  async function signedInWithCode(visitor: Visitor, email: string): Promise<void> {
    if (sessionOf(visitor) !== '') return
    const { code } = await nextMail(here.system, email, 1)
    await visitor.fill('/sign-in?step=device', { step: 'device', code })
  }
})

describe('sealed cookies', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), {
    RATE_LIMIT: 'off',
    EMAIL_LOGIN: 'on',
    REAUTH_MAX_AGE: 'off',
  })

  /** Whether a browser with this cookie of the session is signed in. Any other answer than a redirect fails. */
  async function opens(value: string): Promise<boolean> {
    const { location, status } = await withCookie(new Visitor(here.system), COOKIES.session, value).get('/account')
    if (status === 200) return true
    expect([status, location.replace('?done=ended', '')]).toEqual([303, '/sign-in'])
    return false
  }

  test('check 48: a cookie that was altered anywhere does not open', async () => {
    const { visitor } = await newPerson(here.system)
    const value = sessionOf(visitor)
    expect(await opens(value)).toBe(true)
    const [expiry = '', sealed = ''] = value.split('.')
    const bytes = Buffer.from(sealed, 'base64url')
    await atOnce(bytes.length * 2, async (round) => {
      const altered = Buffer.from(bytes)
      const at = round >> 1
      altered[at] = (altered[at] ?? 0) ^ (round % 2 === 0 ? 1 : 0x80)
      expect([round, await opens(`${expiry}.${altered.toString('base64url')}`)]).toEqual([round, false])
    })
  })

  test('check 48: cut, joined, huge and meaningless cookies do not open', async () => {
    const { visitor } = await newPerson(here.system)
    const value = sessionOf(visitor)
    const [expiry = '', sealed = ''] = value.split('.')
    const values = [
      '',
      '.',
      '..',
      expiry,
      `${expiry}.`,
      `.${sealed}`,
      sealed,
      ...[1, 10, 15, 16, 27, 28, 29, 100].map((length) => `${expiry}.${sealed.slice(0, length)}`),
      `${expiry}.${sealed.slice(0, -1)}`,
      `${expiry}.${sealed.slice(4)}`,
      `${expiry}.${sealed}${sealed}`,
      `${expiry}.${sealed}A`,
      `${expiry}.${sealed}=`,
      `${expiry}.${sealed}.${sealed}`,
      `${expiry}.${'A'.repeat(14_000)}`,
      'zzzzzzzzz.AAAA',
      `zzzzzzzzzz.${sealed}`,
      '__proto__',
      'null',
      '{"id":"x"}',
      '%00',
      `"${value}"`,
    ]
    for (const each of values) expect([each.slice(0, 80), await opens(each)]).toEqual([each.slice(0, 80), false])
  })

  test('check 48: the expiry of a cookie cannot be changed', async () => {
    const { visitor } = await newPerson(here.system)
    const [expiry = '', sealed = ''] = sessionOf(visitor).split('.')
    const seconds = Number.parseInt(expiry, 36)
    for (const other of [seconds + 1, seconds - 1, seconds * 2, 36 ** 9 - 1])
      expect(await opens(`${other.toString(36)}.${sealed}`)).toBe(false)
    for (const other of [`0${expiry}`, expiry.toUpperCase(), `+${expiry}`])
      expect(await opens(`${other}.${sealed}`)).toBe(false)
  })

  test('check 48: a cookie opens under its own name alone', async () => {
    const person = await newPerson(here.system)
    const value = sessionOf(person.visitor)
    const email = newEmail()
    const other = new Visitor(here.system)
    await other.fill('/sign-up', { email, password: PASSWORD })
    const step = other.cookies.get(COOKIES.step) ?? ''
    expect(await opens(step)).toBe(false)
    const swapped = withCookie(new Visitor(here.system), COOKIES.step, value)
    expect((await swapped.get('/verify-email')).text).not.toContain('name="code"')
    expect((await swapped.get('/sign-in?step=code')).text).toContain('name="password"')
    // The step of one way is no step of another.
    const steps = withCookie(new Visitor(here.system), COOKIES.step, step)
    expect((await steps.get('/verify-email')).text).toContain('name="code"')
    for (const name of ['code', 'device'])
      expect((await steps.get(`/sign-in?step=${name}`)).text).toContain('name="password"')
    // A cookie of the pages over plain http has another name.
    expect(cookieNames('http://127.0.0.1').session).not.toBe(COOKIES.session)
  })

  test('check 48: a code that was sent for one step opens nothing in another browser', async () => {
    const { email } = await newPerson(here.system)
    const visitor = new Visitor(here.system)
    await visitor.fill('/sign-in', { step: 'email', email })
    const { code } = await nextMail(here.system, email, 0, 'sign-in-link')
    const thief = new Visitor(here.system)
    const { status, text } = await thief.fill('/sign-in?step=code', { step: 'code', code })
    expect(status).toBe(400)
    expect(text).toContain('name="password"')
    expect(thief.cookies.has(COOKIES.session)).toBe(false)
    expect((await visitor.fill('/sign-in?step=code', { step: 'code', code })).status).toBe(303)
    expect(await isSignedIn(visitor)).toBe(true)
  })

  test.each([
    [
      'signed out',
      async (visitor: Visitor) => {
        await visitor.get('/account')
        await visitor.post('/sign-out', {})
      },
    ],
    [
      'ended elsewhere',
      async (visitor: Visitor, email: string) => {
        const other = new Visitor(visitor.system)
        await signIn(other, email)
        await other.fill('/account/sessions', {})
      },
    ],
    [
      'ended by a new password',
      async (visitor: Visitor, email: string) => {
        const other = new Visitor(visitor.system)
        await signIn(other, email)
        const fields = { current_password: PASSWORD, new_password: 'quite another password' }
        expect((await other.fill('/account/security', fields)).status).toBe(303)
      },
    ],
    [
      'ended by the end of the account',
      async (visitor: Visitor) => void (await visitor.fill('/account/delete', { confirmed: 'yes' })),
    ],
  ])('check 48: a copied cookie of a session that was %s is worth nothing', async (_, end) => {
    const { email, visitor } = await newPerson(here.system)
    const thief = visitor.copy()
    expect(await isSignedIn(thief)).toBe(true)
    await end(visitor, email)
    for (const path of ['/account', '/account/security', '/account/sessions', '/account/modules', '/account/export']) {
      const { location, status } = await thief.copy().get(path)
      expect([path, status]).toEqual([path, 303])
      expect(location).toStartWith('/sign-in?done=ended')
    }
    // Neither does its refresh token work.
    clock.pass(HOUR)
    expect(await isSignedIn(thief)).toBe(false)
    const { location } = await thief.copy().post('/account', { action: 'profile', name: 'Thief' })
    expect(location).toStartWith('/sign-in?done=ended')
    const { location: page } = await thief.get('/sign-in')
    expect(page).toBe('/sign-in?done=ended')
    // The pages have removed it.
    expect(thief.cookies.has(COOKIES.session)).toBe(false)
  })

  test('check 48: an expired cookie does not open', async () => {
    const { email, visitor } = await newPerson(here.system)
    const value = sessionOf(visitor)
    clock.pass(7 * DAY + 1000)
    expect(await opens(value)).toBe(false)
    const again = new Visitor(here.system)
    await again.fill('/sign-in', { step: 'email', email })
    const step = again.cookies.get(COOKIES.step) ?? ''
    clock.pass(16 * 60_000)
    const late = withCookie(new Visitor(here.system), COOKIES.step, step)
    expect((await late.get('/sign-in?step=code')).text).toContain('name="password"')
  })

  test('check 48: fifty requests at once with one cookie whose access token has expired stay signed in', async () => {
    const { email, visitor } = await newPerson(here.system)
    clock.pass(HOUR)
    const visitors = Array.from({ length: 50 }, () => visitor.copy())
    const answers = await Promise.all(visitors.map((each) => each.get('/account')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    for (const each of visitors) expect((await each.get('/account')).text).toContain(email)
    const sessions = await databaseRows(
      here.system,
      'auth',
      `SELECT id FROM sessions s JOIN accounts a ON a.user_id = s.user_id WHERE a.email = '${email}'`,
    )
    expect(sessions).toHaveLength(1)
  })

  test('check 48: fifty sign-outs at once end the session, and nothing opens it again', async () => {
    const { visitor } = await newPerson(here.system)
    await visitor.get('/account')
    const cookie = visitor.copy()
    const answers = await Promise.all(Array.from({ length: 50 }, () => visitor.copy().post('/sign-out', {})))
    expect(new Set(answers.map(({ location, status }) => `${status} ${location}`))).toEqual(
      new Set(['303 /sign-in?done=signed-out']),
    )
    expect(await isSignedIn(cookie)).toBe(false)
  })

  test('check 48: a sign-out among fifty refreshes ends the session for all of them', async () => {
    const { visitor } = await newPerson(here.system)
    await visitor.get('/account')
    clock.pass(HOUR)
    const visitors = Array.from({ length: 50 }, () => visitor.copy())
    const leaving = visitor.copy()
    const requests = visitors.slice(0, 25).map((each) => each.get('/account'))
    const signOut = leaving.post('/sign-out', {})
    requests.push(...visitors.slice(25).map((each) => each.get('/account')))
    const answers = await Promise.all(requests)
    expect((await signOut).location).toBe('/sign-in?done=signed-out')
    for (const { status } of answers) expect([200, 303]).toContain(status)
    for (const each of visitors) expect(await isSignedIn(each)).toBe(false)
  })
})

/** Text that cannot be compressed much. */
const randomText = (length: number) =>
  Array.from({ length }, () => Math.floor(Math.random() * 36).toString(36)).join('')

// With the longer address the access token alone is larger than a cookie: then the cookie is without it.
describe.each([50, 4500])('the size of a session, with an issuer of %p random characters', (length) => {
  const ISSUER = `https://id.example.org/${randomText(length)}`
  const here = running(inProcess, { RATE_LIMIT: 'off', ISSUER })

  test('check 48: the session of a user with many long roles and a long email fits into a cookie', async () => {
    const roles = Array.from({ length: 32 }, () => `R${randomText(31).toUpperCase()}`)
    const email = `${randomText(64)}@${[60, 60, 59].map(randomText).join('.')}.example`
    expect(email).toHaveLength(254)
    const body = { email, password: PASSWORD, roles }
    const created = await here.users('POST /users', { headers: as.operator, body })
    expect(created.status).toBe(201)
    const visitor = new Visitor(here.system)
    const { headers, status } = await signIn(visitor, email)
    expect(status).toBe(303)
    for (const line of headers.getSetCookie()) expect(line.length).toBeLessThan(BROWSER_MAX)
    for (let i = 0; i < 3; i++) {
      const page = await visitor.get('/account')
      expect(page.status).toBe(200)
      for (const line of page.headers.getSetCookie()) expect(line.length).toBeLessThan(BROWSER_MAX)
    }
    expect((await visitor.post('/account', { action: 'profile', name: 'Long' })).status).toBe(303)
    expect((await visitor.post('/sign-out', {})).location).toBe('/sign-in?done=signed-out')
  })
})

describe('a new CH202_SECRET', () => {
  const NEWER = 'newer-secret-of-the-tests-0123456789-0123456789'
  const systems: System[] = []
  afterAll(() => Promise.all(systems.map((system) => system.stop())))
  const start = async (CH202_SECRET: string) => {
    const system = await inProcess({ RATE_LIMIT: 'off', CH202_SECRET })
    systems.push(system)
    return system
  }

  test('check 48: cookies and forms of the older secret work while both are set, and not afterwards', async () => {
    const [older, both, newer] = [await start(SECRET), await start(`${NEWER},${SECRET}`), await start(NEWER)]
    const old = new Visitor(older)
    const email = newEmail()
    await old.fill('/sign-up', { email, password: PASSWORD })
    const moved = (system: System) => {
      const visitor = new Visitor(system)
      for (const [name, value] of old.cookies) if (name !== COOKIES.session) visitor.cookies.set(name, value)
      return visitor
    }
    expect((await moved(both).get('/verify-email')).text).toContain(email)
    expect((await moved(newer).get('/verify-email')).text).not.toContain(email)
    // The token of a form, made before the sign-in.
    const before = new Visitor(older)
    await before.get('/sign-up')
    for (const [system, status] of [
      [both, 303],
      [newer, 403],
    ] as const) {
      const visitor = new Visitor(system)
      visitor.cookies.set(COOKIES.form, before.cookies.get(COOKIES.form) ?? '')
      const fields = { email: newEmail(), password: PASSWORD, form_token: before.token }
      expect((await visitor.post('/sign-up', fields)).status).toBe(status)
    }
  })
})
