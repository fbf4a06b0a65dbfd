import { describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser } from '../../support/actors.ts'
import { atOnce } from '../../support/at-once.ts'
import { BROWSER, pagesHeader } from '../../support/browser/pages.ts'
import { nextMail } from '../../support/challenges.ts'
import { as, type Client } from '../../support/http.ts'
import { databaseRows } from '../../support/postgres/database-rows.ts'
import { running } from '../../support/running.ts'
import { LAYOUTS } from '../../support/settings.ts'
import { inProcess, inProcessApart, type System } from '../../support/system.ts'
import { COOKIES, isSignedIn, type Sent, signIn, Visitor } from './visitor.ts'

const WRONG = 'not the right password'
/** Failures before an account is locked. */
const MOST = 10
/** Failures before an address is locked, and more. */
const MOST_OF_ADDRESS = 300
const GUESSES = 400
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0'

/** Failures that the service has counted. */
async function counted(auth: Client, query: string): Promise<number> {
  return (await auth(`GET /admin/login-limits?${query}`, { headers: as.operator })).body.failures
}

async function statuses(answers: readonly Promise<{ status: number }>[]): Promise<Record<string, number>> {
  const count: Record<string, number> = {}
  for (const answer of answers) {
    const { status } = await answer
    count[status] = (count[status] ?? 0) + 1
  }
  return count
}

describe.each(LAYOUTS)('guesses at the pages, services %s', (layout) => {
  const here = running(layout === 'together' ? inProcess : inProcessApart)

  test('check 48: guesses at many accounts from one browser are limited as through the API', async () => {
    const form = new Visitor(here.system)
    await form.get('/sign-in')
    // Nothing that a browser sends makes it another one: not to the pages, and not through them to the API.
    const disguises: ((n: number) => Sent)[] = [
      () => ({}),
      (n) => ({ 'x-forwarded-for': `203.0.113.${n % 250}` }),
      (n) => ({
        'x-real-ip': `203.0.113.${n % 250}`,
        forwarded: `for=203.0.113.${n % 250}`,
        'cf-connecting-ip': `203.0.113.${n % 250}`,
      }),
      (n) =>
        pagesHeader('POST /sign-in', {
          key: 'a-key-that-is-not-the-internal-one-0123456789',
          browser: { ...BROWSER, ip: `203.0.113.${n % 250}` },
        }),
      (n) => ({ 'user-agent': `Browser/${n}`, 'accept-language': n % 2 === 0 ? 'ru' : 'en' }),
    ]
    const guess = (n: number) =>
      form.copy().post('/sign-in', { login: newEmail(), password: WRONG }, disguises[n % disguises.length]?.(n))
    const count: Record<string, number> = {}
    await atOnce(GUESSES, async (n) => {
      const { status } = await guess(n)
      count[status] = (count[status] ?? 0) + 1
    })
    expect(Object.keys(count).toSorted()).toEqual(['401', '429'])
    const failures = count[401] ?? 0
    expect(failures).toBe(await counted(here.auth, 'address=127.0.0.1'))
    expect(count[429]).toBe(GUESSES - failures)
    expect(failures).toBe(MOST_OF_ADDRESS)
    const limited = await guess(0)
    expect(limited.status).toBe(429)
    expect(limited.text).toContain('Too many attempts')
    // The same limit holds for the API: it is one count.
    const direct = await here.auth('POST /auth/login', { body: { login: newEmail(), password: WRONG } })
    expect(direct.status).toBe(429)
    for (let n = 0; n < GUESSES; n += 7) expect(await counted(here.auth, `address=203.0.113.${n % 250}`)).toBe(0)
  })
})

describe('the browser that the pages tell the API of', () => {
  const here = running(inProcessApart, { TRUSTED_PROXIES: '198.51.100.1' })

  async function sessionsOf(system: System, id: string) {
    return await databaseRows<{ ip: string | null; user_agent: string | null }>(
      system,
      'auth',
      `SELECT ip, user_agent FROM sessions WHERE user_id = '${id}' ORDER BY created_at`,
    )
  }

  test('check 48: a forged description is ignored, by the pages and by the services', async () => {
    const { email, id } = await registerUser(here.system)
    const forged = pagesHeader('POST /sign-in', { key: 'a-key-that-is-not-the-internal-one-0123456789' })
    // Not even one that the right key has signed passes through the pages.
    const signed = pagesHeader('POST /api/v1/auth/login')
    for (const headers of [forged, signed, { 'x-forwarded-for': '203.0.113.9' }, { 'x-ch202-browser': 'x' }]) {
      const visitor = new Visitor(here.system, { ...headers, 'user-agent': AGENT })
      expect((await signIn(visitor, email)).status).toBe(303)
    }
    const direct: Record<string, string>[] = [
      { ...forged, 'user-agent': AGENT },
      { 'x-ch202-browser': 'x', 'user-agent': AGENT },
      { ...pagesHeader('POST /api/v1/auth/refresh'), 'user-agent': AGENT },
      { ...pagesHeader('POST /api/v1/auth/login', { at: Date.now() - 120_000 }), 'user-agent': AGENT },
    ]
    for (const headers of direct) {
      const { status } = await here.auth('POST /auth/login', { headers, body: { login: email, password: PASSWORD } })
      expect([200, 401, 403]).toContain(status)
    }
    const sessions = (await sessionsOf(here.system, id)).slice(1)
    expect(sessions.length).toBeGreaterThanOrEqual(4)
    for (const session of sessions) expect(session).toEqual({ ip: '127.0.0.1', user_agent: AGENT })
  })

  test('check 48: wrong passwords at the page lock the account for every way in, and a code for none', async () => {
    const { email, id } = await registerUser(here.system)
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-in')
    const count = await statuses(
      Array.from({ length: 3 * MOST }, () => visitor.copy().post('/sign-in', { login: email, password: WRONG })),
    )
    expect(count).toEqual({ 401: MOST, 429: 2 * MOST })
    expect(await counted(here.auth, `user_id=${id}`)).toBe(MOST)
    expect((await signIn(visitor, email)).status).toBe(429)
    expect(visitor.cookies.has(COOKIES.session)).toBe(false)
    expect((await here.auth('POST /auth/login', { body: { login: email, password: PASSWORD } })).status).toBe(429)
  })

  test('check 48: the password that confirms a change is guessed no more often at the page', async () => {
    const { email, id } = await registerUser(here.system)
    const visitor = new Visitor(here.system)
    await signIn(visitor, email)
    await visitor.get('/account/security')
    const fields = { current_password: WRONG, new_password: 'quite another password' }
    const changes = Array.from({ length: 2 * MOST }, () => visitor.copy().post('/account/security', fields))
    expect(await statuses(changes)).toEqual({ 401: MOST, 429: MOST })
    const confirmed = { confirmed: 'yes', confirm_password: WRONG }
    const deletions = Array.from({ length: 2 * MOST }, () => visitor.copy().post('/account/delete', confirmed))
    expect(await statuses(deletions)).toEqual({ 401: MOST, 429: MOST })
    // The forms that only confirm a password share a count.
    const change = await visitor
      .copy()
      .post('/account', { action: 'email', new_email: newEmail(), confirm_password: WRONG })
    expect(change.status).toBe(429)
    expect(await isSignedIn(visitor)).toBe(true)
    const rows = await databaseRows(here.system, 'users', `SELECT id FROM users WHERE id = '${id}'`)
    expect(rows).toHaveLength(1)
  })
})

describe('codes at the pages', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })

  test('check 48: a code takes five guesses, however many are sent at once', async () => {
    const { email } = await registerUser(here.system)
    const visitor = new Visitor(here.system)
    await visitor.fill('/sign-in', { step: 'email', email })
    await visitor.get('/sign-in?step=code')
    const guesses = Array.from({ length: 50 }, (_, n) =>
      visitor.copy().post('/sign-in', { step: 'code', code: String(100_000 + n) }),
    )
    for (const { status, text } of await Promise.all(guesses)) {
      expect([400, 401]).toContain(status)
      expect(text).toContain('name="code"')
    }
    const [challenge] = await databaseRows<{ tries: number }>(
      here.system,
      'auth',
      `SELECT tries FROM challenges WHERE address = '${email}' AND purpose = 'email_code'`,
    )
    expect(challenge?.tries ?? 5).toBeLessThanOrEqual(5)
    const { code } = await nextMail(here.system, email, 0, 'sign-in-link')
    const late = await visitor.post('/sign-in', { step: 'code', code })
    expect(late.status).not.toBe(303)
    expect(visitor.cookies.has(COOKIES.session)).toBe(false)
  })
})
