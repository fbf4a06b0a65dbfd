import { describe, expect, spyOn, test } from 'bun:test'
import { createServer, type Socket } from 'node:net'
import { createUser, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { invitation, requested } from '../support/challenges.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, byOperator, call } from '../support/http.ts'
import { mails } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { type Person, pagesInBrowser } from './pages.ts'

const COOKIE = 'ch202'

/** The session of a person's browser, as the header of a request. */
async function cookieOf({ context }: Person): Promise<string> {
  const cookies = await context.cookies()
  return cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
}

/** Sends a request that a browser would, without following redirects. */
const send = (base: string, path: string, { headers = {}, ...init }: RequestInit = {}) =>
  fetch(base + path, { redirect: 'manual', ...init, headers: { accept: 'text/html', ...headers } })

describe('on the pages', () => {
  const clock = movingClock()
  const here = pagesInBrowser({ RATE_LIMIT: 'off' }, { clock })

  test('a session that one tab ended is over in the other one: its next click leads to the sign-in, its form changes nothing', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    const { account, fields, nav, signIn } = ana.texts
    await ana.signIn(email)
    const toFirst = await ana.openTab()
    await ana.open('/account')
    await ana.type(fields.name, 'Changed')
    const second = ana.page
    toFirst()
    await ana.press(nav.signOut)
    ana.page = second
    await ana.press(account.save)
    expect(await ana.heading()).toBe(signIn.title)
    const { body } = await here.auth('POST /auth/login', { body: { email, password: PASSWORD } })
    const me = await here.auth('GET /auth/me', { headers: as.bearer(body.access_token) })
    expect(me.body.name).toBeNull()
  })

  test('a session that one tab ended, and another person began, is not changed by the form of the first person', async () => {
    const [first, second] = [await registerUser(here.system), await registerUser(here.system)]
    const ana = await here.person()
    const { account, failure, fields, nav } = ana.texts
    await ana.signIn(first.email)
    const toFirst = await ana.openTab()
    await ana.open('/account')
    await ana.type(fields.name, 'Changed')
    const openPage = ana.page
    toFirst()
    await ana.press(nav.signOut)
    await ana.signIn(second.email)
    ana.page = openPage
    await ana.press(account.save)
    expect(await ana.heading()).toBe(failure.forbiddenTitle)
    for (const { tokens } of [first, second]) {
      const me = await here.auth('GET /auth/me', { headers: as.bearer(tokens.access_token) })
      expect(me.body.name ?? null).toBeNull()
    }
  })

  test('a session that the operator ended says so, and after the sign-in the person is where they wanted to go', async () => {
    const { email, id } = await registerUser(here.system)
    const ana = await here.person()
    const { done, nav } = ana.texts
    await ana.signIn(email)
    await ana.open('/account/modules')
    expect((await here.auth(`DELETE /auth/sessions?user_id=${id}`, byOperator())).status).toBe(200)
    await ana.follow(nav.sessions)
    expect(ana.at).toBe('/sign-in?done=ended&return_to=%2Faccount%2Fsessions')
    await ana.see(done.ended)
    await ana.signIn(email)
    expect(ana.at).toBe('/account/sessions')
  })

  test('a session is shown by no page of the browser’s memory after the sign-out', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    await ana.press(ana.texts.nav.signOut)
    await ana.page.goBack()
    await ana.page.getByRole('button', { name: ana.texts.signIn.submit }).waitFor()
    expect(await ana.read()).not.toContain(email)
  })

  test('a session stays one session when 50 requests refresh it at once, and all of them are signed in', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    const before = await cookieOf(ana)
    // Longer than `JWT_EXPIRE`.
    clock.pass(2 * 3_600_000)
    const base = here.system.url.web
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => send(base, '/account', { headers: { cookie: before } })),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    const pages = await Promise.all(answers.map((answer) => answer.text()))
    expect(pages.filter((page) => !page.includes(email))).toEqual([])
    const renewed = answers.flatMap(({ headers }) =>
      headers.getSetCookie().flatMap((cookie) => /^ch202=([^;]+)/.exec(cookie)?.[1] ?? []),
    )
    expect(renewed).toHaveLength(50)
    clock.pass(2 * 3_600_000)
    for (const value of [renewed[0], renewed[25], renewed[49]]) {
      const next = await send(base, '/account/sessions', { headers: { cookie: `${COOKIE}=${value}` } })
      expect(next.status).toBe(200)
      // The session of the registration, and the one of the browser.
      expect((await next.text()).match(/<li><div class="row">/g)).toHaveLength(2)
    }
  })

  test('a session goes on in both of two tabs that refresh it at once', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    const toFirst = await ana.openTab()
    const second = ana.page
    toFirst()
    for (let round = 0; round < 5; round++) {
      clock.pass(2 * 3_600_000)
      await Promise.all([ana.page.goto('/account'), second.goto('/account/security')])
      expect([ana.page.url(), second.url()].map((url) => new URL(url).pathname)).toEqual([
        '/account',
        '/account/security',
      ])
    }
  })

  test('the file of one’s data is JSON with the profile, the sessions, the activity and the modules, and nothing of others', async () => {
    await here.modules('POST /modules', byOperator({ id: 'reports', name: 'Reports', description: 'Charts' }))
    const [mine, other] = [await registerUser(here.system, { name: 'Ana' }), await registerUser(here.system)]
    const ana = await here.person()
    await ana.signIn(mine.email)
    const downloaded = ana.page.waitForEvent('download')
    await ana.page.getByRole('link', { name: ana.texts.account.export }).click()
    const file = await downloaded
    expect(file.suggestedFilename()).toBe('account.json')
    const text = await Bun.file(await file.path()).text()
    const data = JSON.parse(text)
    expect(data.user).toMatchObject({ id: mine.id, email: mine.email, name: 'Ana' })
    expect(data.sessions.length).toBe(2)
    expect(data.activity.map(({ type }: { type: string }) => type)).toContain('session.created')
    expect(data.modules).toMatchObject([{ id: 'reports', enabled: false }])
    expect(text).not.toContain(other.id)
    expect(text).not.toMatch(/\$2[aby]\$|\$argon2|refresh_token/)
  })

  test('the language is that of the account, or else that of the browser', async () => {
    const { email } = await registerUser(here.system, { locale: 'en' })
    const ana = await here.person({ language: 'ru' })
    await ana.open('/sign-in')
    expect(await ana.page.getAttribute('html', 'lang')).toBe('ru')
    expect(await ana.heading()).toBe(ana.texts.signIn.title)
    await ana.signIn(email)
    expect(await ana.page.getAttribute('html', 'lang')).toBe('en')
    const { email: unset } = await createUser(here.system)
    const olga = await here.person({ language: 'ru' })
    await olga.signIn(unset)
    expect(await olga.page.getAttribute('html', 'lang')).toBe('ru')
    const registering = newEmail()
    const vera = await here.person({ language: 'ru' })
    await vera.register(registering)
    const { link, mail } = await vera.mail(registering, 'verify-email')
    expect(mail).toContain('Код')
    await vera.open(link)
    await vera.press(vera.texts.verify.submit)
    expect(await vera.page.getAttribute('html', 'lang')).toBe('ru')
  })
})

describe('the link in a mail', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' })

  /** Every row that a link could change. */
  const rows = async () => ({
    auth: await Promise.all(
      ['accounts', 'sessions', 'challenges', 'devices', 'finished_mails', 'audit', 'events', 'limits'].map((table) =>
        databaseRows(here.system, 'auth', `SELECT * FROM ${table}`),
      ),
    ),
    users: await Promise.all(
      ['users', 'outbox', 'reserved_emails'].map((table) =>
        databaseRows(here.system, 'users', `SELECT * FROM ${table}`),
      ),
    ),
    mails: mails(here.system),
  })

  test('changes nothing when a program opens it with GET or HEAD, and works after that', async () => {
    const ana = await here.person()
    const { texts } = ana
    const [verified, reset, code, invited, from, to] = Array.from({ length: 6 }, newEmail) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ]
    await createUser(here.system, { email: reset })
    await createUser(here.system, { email: code })
    await ana.register(verified)
    await here.auth('POST /auth/password-reset-request', { body: { email: reset } })
    await requested(here.system, 'email-code-request', { email: code })
    await invitation(here.system, invited)
    await ana.leave()
    const owner = await here.person()
    await owner.register(from)
    await owner.open((await owner.mail(from, 'verify-email')).link)
    await owner.press(texts.verify.submit)
    await owner.type(texts.fields.new_email, to)
    await owner.press(texts.account.change)
    await owner.type(texts.fields.code, (await owner.mail(to, 'confirm-email')).code)
    await owner.press(texts.account.confirm)
    const links: [email: string, page: string, submit: string][] = [
      [verified, 'verify-email', texts.verify.submit],
      [reset, 'reset-password', texts.reset.submit],
      [code, 'sign-in-link', texts.signInLink.submit],
      [invited, 'invitation', texts.invitation.submit],
      [from, 'undo-email', texts.undo.submit],
    ]
    const opened = await Promise.all(links.map(([email, page]) => owner.mail(email, page)))
    // The last mail is the notice about the change.
    const countOf = async (sql: string) => (await databaseRows(here.system, 'auth', sql)).length
    const ofChange = `SELECT id FROM finished_mails WHERE data LIKE '%email_changed%'`
    await eventually(async () => (await countOf(ofChange)) > 0)
    await eventually(async () => (await countOf('SELECT id FROM mail_requests')) === 0)
    const before = await rows()
    for (const { link } of opened)
      for (const method of ['GET', 'HEAD', 'GET']) {
        const answer = await fetch(new URL(link, here.system.url.web), { method })
        expect(answer.status).toBe(200)
        await answer.text()
      }
    expect(await rows()).toEqual(before)
    // In the suite some of them are used: `journeys.test.ts` uses each.
    const uses = links.map(([, page, submit], index) => ({ page, submit, link: opened[index]?.link ?? '' }))
    for (const { link, page, submit } of sliced(uses, 3)) {
      const reader = await here.person()
      await reader.open(link)
      if (page === 'reset-password') await reader.type(texts.fields.new_password, PASSWORD)
      if (page === 'invitation') await reader.type(texts.fields.password, PASSWORD)
      await reader.press(submit)
      expect(await reader.page.locator('[role=alert]').count()).toBe(0)
      expect(await rows()).not.toEqual(before)
    }
  }, 240_000)
})

describe('while a service does not run', () => {
  const here = pagesInBrowser({ RATE_LIMIT: 'off', EMAIL_LOGIN: 'on' }, { layout: 'apart' })
  const PATHS = [
    '/',
    '/sign-in',
    '/sign-in?step=email',
    '/sign-in-link?token=x',
    '/sign-up',
    '/forgot-password',
    '/reset-password?token=x',
    '/verify-email',
    '/verify-email?token=x',
    '/confirm-email?token=x',
    '/undo-email?token=x',
    '/invitation?token=x',
    '/account',
    '/account/security',
    '/account/sessions',
    '/account/modules',
    '/account/apps',
    '/account/delete',
    '/account/export',
    '/sign-out',
    '/nowhere',
  ]

  /** Checks that an answer is a page for people, with the id by which it is found in the logs. */
  async function expectPage(answer: Response, path: string): Promise<void> {
    const text = await answer.text()
    const requestId = answer.headers.get('x-request-id') ?? ''
    expect({ path, requestId: requestId.length > 8 }).toEqual({ path, requestId: true })
    if (answer.status < 400 && path === '/account/export') return
    if (answer.status === 302 || answer.status === 303) return
    expect({ path, type: answer.headers.get('content-type') }).toEqual({ path, type: 'text/html; charset=utf-8' })
    expect(text).not.toMatch(/\bat \w+ \(|node_modules|\.tsx?:\d|"code":|unreachable/)
    if (answer.status >= 500) expect(text).toContain(requestId)
  }

  test.each(['auth', 'users', 'modules'] as const)(
    '%s, every page answers with a page, and the browser stays signed in',
    async (name) => {
      const { email } = await registerUser(here.system)
      const ana = await here.person()
      await ana.signIn(email)
      const cookie = await cookieOf(ana)
      await here.system.terminate(name)
      try {
        const statuses: Record<string, number> = {}
        for (const headers of [{}, { cookie }] as Record<string, string>[])
          for (const path of PATHS) {
            const startedAt = performance.now()
            const answer = await send(here.system.url.web, path, { headers })
            expect(performance.now() - startedAt).toBeLessThan(PROMPT)
            await expectPage(answer, path)
            statuses[path] = answer.status
            expect(answer.headers.getSetCookie().filter((each) => each.startsWith(`${COOKIE}=;`))).toEqual([])
          }
        expect(statuses['/account/modules']).toBe(name === 'users' ? 200 : 503)
        expect(statuses['/account/apps']).toBe(name === 'auth' ? 503 : 200)
        expect(statuses['/sign-up']).toBe(303)
      } finally {
        await here.system.start(name)
      }
      await ana.open('/account')
      expect(ana.at).toBe('/account')
    },
  )

  test('auth, the forms of people who are not signed in say so, and keep what was typed', async () => {
    const ana = await here.person()
    const { fields, forgot, problems, signIn, signUp } = ana.texts
    await ana.open('/sign-in')
    await here.system.terminate('auth')
    try {
      await ana.signIn('ana@example.org')
      await ana.see(problems.unavailable)
      expect(await ana.field(fields.login).inputValue()).toBe('ana@example.org')
      expect(await ana.field(fields.password).inputValue()).toBe('')
      await ana.open('/sign-in?step=email')
      await ana.type(fields.email, 'ana@example.org')
      await ana.press(signIn.sendCode)
      await ana.see(problems.unavailable)
      expect(await ana.field(fields.email).inputValue()).toBe('ana@example.org')
      await ana.register('ana@example.org', { name: 'Ana' })
      expect(await ana.heading()).toBe(signUp.title)
      await ana.see(problems.unavailable)
      expect(await ana.field(fields.name).inputValue()).toBe('Ana')
      await ana.open('/forgot-password')
      await ana.type(fields.email, 'ana@example.org')
      await ana.press(forgot.submit)
      await ana.see(problems.unavailable)
      expect(await ana.field(fields.email).inputValue()).toBe('ana@example.org')
    } finally {
      await here.system.start('auth')
    }
  })

  test('users, the form of the profile says so, and keeps what was typed', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    const { account, fields, problems } = ana.texts
    await ana.signIn(email)
    await here.system.terminate('users')
    try {
      await ana.type(fields.name, 'A long name')
      await ana.press(account.save)
      await ana.see(problems.unavailable)
      expect(await ana.field(fields.name).inputValue()).toBe('A long name')
    } finally {
      await here.system.start('users')
    }
    await ana.press(account.save)
    expect(ana.at).toBe('/account?done=profile')
  })

  test('auth, a form of a person who is signed in says so, and sends again what was typed', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    const { account, failure, fields } = ana.texts
    await ana.signIn(email)
    await ana.type(fields.name, 'A long name')
    await here.system.terminate('auth')
    try {
      await ana.press(account.save)
      await ana.see(failure.unavailableForm)
      await ana.press(failure.again)
      await ana.see(failure.unavailableForm)
    } finally {
      await here.system.start('auth')
    }
    await ana.press(failure.again)
    expect(ana.at).toBe('/account?done=profile')
    expect(await ana.field(fields.name).inputValue()).toBe('A long name')
  })

  test('auth, signing out still removes the session from the browser', async () => {
    const { email } = await registerUser(here.system)
    const ana = await here.person()
    await ana.signIn(email)
    await here.system.terminate('auth')
    try {
      await ana.press(ana.texts.nav.signOut)
      expect(ana.at).toBe('/sign-in?done=signed-out')
      expect((await ana.context.cookies()).map(({ name }) => name)).not.toContain(COOKIE)
    } finally {
      await here.system.start('auth')
    }
  })

  test('but auth’s port accepts connections and never answers, a page answers within 20 seconds', async () => {
    const ana = await here.person()
    await ana.open('/sign-in')
    await here.system.terminate('auth')
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => void sockets.add(socket))
    await new Promise<void>((resolve) =>
      silent.listen(Number(new URL(here.system.url.auth).port), '127.0.0.1', resolve),
    )
    // In the suite every time that a service waits is short, and is compared with what it would be.
    const timeout = AbortSignal.timeout.bind(AbortSignal)
    const times: number[] = []
    const waiting = spyOn(AbortSignal, 'timeout').mockImplementation((time) => {
      times.push(time)
      return timeout(WHOLE ? time : time / 5)
    })
    try {
      const startedAt = performance.now()
      await ana.signIn('ana@example.org')
      await ana.see(ana.texts.problems.unavailable)
      expect(performance.now() - startedAt).toBeLessThan(PROMPT)
      expect(Math.max(...times)).toBeLessThan(PROMPT)
    } finally {
      waiting.mockRestore()
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => silent.close(() => resolve()))
      await here.system.start('auth')
    }
    expect((await call(here.system.url.auth, 'GET /health')).status).toBe(200)
  })
})
