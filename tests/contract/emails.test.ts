import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, call, jsonLines, parseLines } from '../support/http.ts'
import { mailedToken, mailsTo, RESET_PAGE } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { headerOf, ScriptedMailServer } from '../support/servers/mail-server.ts'
import { freePort } from '../support/servers/ports.ts'
import type { Name } from '../support/settings.ts'
import { inProcess } from '../support/system.ts'

const OTHER = 'quite another password'

/** Decodes the claims of an access token. */
function claimsOf({ body }: Answer): Record<string, unknown> {
  return JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString())
}

describe('R19: blanks around a name', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off' })
  const { auth, users } = here

  /** Blanks that phones, spreadsheets and word processors add. */
  const BLANKS: [string, (name: string) => string][] = [
    ['behind', (name) => `${name} `],
    ['before', (name) => `  ${name}`],
    ['tabs', (name) => `\t${name}\t`],
    ['no-break spaces', (name) => `\u00a0${name}\u202f`],
    ['spaces of other scripts', (name) => `\u3000${name}\u2003`],
    ['a byte order mark', (name) => `\ufeff${name}`],
  ]

  test.each(BLANKS)('are removed wherever the name is typed: %s', async (_, blank) => {
    const unique = Math.random().toString(36).slice(2, 10)
    const [email, username] = [newEmail(), `ana-${unique}`]
    const registration = await auth('POST /auth/register', {
      body: { email: blank(email), password: PASSWORD, username: blank(username) },
    })
    expect([registration.status, registration.body.email, registration.body.username]).toEqual([201, email, username])
    const { id } = registration.body
    for (const names of [{ login: email }, { login: username }, { email }, { username }]) {
      const [[field = '', name = '']] = Object.entries(names) as [[string, string]]
      const answer = await auth('POST /auth/login', { body: { [field]: blank(name), password: PASSWORD } })
      expect([field, answer.status]).toEqual([field, 200])
    }
    const v0 = await call(here.system.url.auth, 'POST /auth/login', {
      body: { login: blank(email), password: PASSWORD },
    })
    expect(v0.status).toBe(200)

    // A taken name is taken with blanks as well.
    const sent = { email: blank(email.toUpperCase()), password: PASSWORD }
    const calls: [Name, string, object][] = [
      ['auth', 'POST /api/v1/auth/register', {}],
      ['auth', 'POST /auth/register', {}],
      ['users', 'POST /users', as.operator],
      ['users', 'POST /user', {}],
    ]
    for (const [at, request, headers] of calls)
      expectProblem(
        await call(here.system.url[at], request, { headers: { ...headers }, body: sent }),
        409,
        'email_taken',
      )
    expectProblem(
      await users('POST /users', { body: { email: newEmail(), password: PASSWORD, username: blank(username) } }),
      409,
      'username_taken',
    )

    for (const [request, headers] of [
      [`GET /users/by-email/${encodeURIComponent(blank(email))}`, as.operator],
      [`GET /users/by-username/${encodeURIComponent(blank(username))}`, as.operator],
    ] as const)
      expect((await users(request, { headers })).body.id).toBe(id)
    const v0Answer = await call(here.system.url.users, `GET /user/${encodeURIComponent(blank(email))}`, {
      headers: as.operator,
    })
    expect(v0Answer.body.id).toBe(id)
    const verified = await users('POST /users/verify-credentials', {
      headers: as.internal,
      body: { login: blank(email), password: PASSWORD },
    })
    expect(verified.body.valid).toBe(true)
    await mailedToken((request) => auth(request, { body: { email: blank(email) } }), here.system, email)

    const [next, other] = [newEmail(), `ben-${unique}`]
    const headers = as.operator
    const patched = await users(`PATCH /users/${id}`, { headers, body: { email: blank(next), username: blank(other) } })
    expect(patched.body).toMatchObject({ email: next, username: other })
    const replaced = await users(`PUT /users/${id}`, {
      headers,
      body: { email: blank(email), username: blank(username) },
    })
    expect(replaced.body).toMatchObject({ email, username })

    const line = { email: blank(newEmail()), password: PASSWORD, username: blank(other) }
    const imported = await users('POST /users/import', jsonLines([line]))
    expect(imported.body).toMatchObject({ line: 1, status: 'created' })
    expect((await users(`GET /users/${imported.body.id}`, { headers })).body.username).toBe(other)
    const again = await users(
      'POST /users/import?on_conflict=update',
      jsonLines([{ email: blank(email), name: 'Ana' }]),
    )
    expect(again.body).toMatchObject({ status: 'updated', id })
  })

  test('are kept in a password, and in the display name', async () => {
    const email = newEmail()
    const registration = await auth('POST /auth/register', {
      body: { email, password: ` ${PASSWORD} `, name: ' Ana ' },
    })
    expect(registration.body.name).toBe(' Ana ')
    expect((await logIn(here.system, email, ` ${PASSWORD} `)).status).toBe(200)
    expectProblem(await logIn(here.system, email), 401, 'invalid_credentials')
  })

  test('inside a name, line breaks around it, and blanks alone are refused', async () => {
    for (const name of [
      'ana@example.org\n',
      '\r\nana@example.org',
      'ana@example.org\u2028',
      'ana @example.org',
      'ana@ example.org',
      'an\u200ba@example.org',
    ])
      expectProblem(
        await auth('POST /auth/register', { body: { email: name, password: PASSWORD } }),
        400,
        'validation_failed',
      )
    const alone = await auth('POST /auth/login', { body: { login: ' \u00a0 ', password: PASSWORD } })
    expectProblem(alone, 400, 'validation_failed')
    expect(alone.body.errors).toMatchObject([{ field: 'login', code: 'too_short', limit: 1 }])
  })

  test('are refused in requests between services', async () => {
    const ana = await registerUser(here.system)
    const { body } = await users(`GET /users/${ana.id}/password-hash`, { headers: as.internal })
    const sent = { headers: as.internal, body: { ...body, email: `${ana.email} ` } }
    expectProblem(await auth('POST /auth/sync/password', sent), 400, 'validation_failed')
  })
})

describe('R20: an email whose domain is internationalized', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off' })
  const { auth, users } = here
  const fresh = (domain: string, name = `ivan-${Math.random().toString(36).slice(2, 10)}`) => `${name}@${domain}`

  test.each([
    [
      'пример.рф',
      ['ПРИМЕР.РФ', 'Пример.рф', 'пример。рф', 'xn--e1afmkfd.xn--p1ai', 'XN--E1AFMKFD.рф', 'xn--e1afmkfd。рф'],
    ],
    ['xn--e1afmkfd.xn--p1ai', ['пример.рф', 'ПРИМЕР。РФ']],
    ['bücher.example', ['BÜCHER.example', 'bu\u0308cher.EXAMPLE', 'xn--bcher-kva.example']],
    ['straße.example', ['STRAẞE.example', 'xn--strae-oqa.example']],
    ['почта.example.org', ['xn--80a1acny.example.org']],
    ['例え.テスト', ['xn--r8jz45g.xn--zckzah']],
    ['مثال.إختبار', ['xn--mgbh0fb.xn--kgbechtv']],
    ['उदाहरण.परीक्षा', ['xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g']],
    ['παράδειγμα.δοκιμή', ['ΠΑΡΆΔΕΙΓΜΑ.ΔΟΚΙΜΉ', 'xn--hxajbheg2az3al.xn--jxalpdlp']],
    ['실례.테스트', ['xn--9n2bp8q.xn--9t4b11yi5a']],
  ])('at %s is one account in every spelling, and is shown as it was typed', async (domain, spellings) => {
    const email = fresh(domain)
    const [name = ''] = email.split('@')
    const registration = await auth('POST /auth/register', { body: { email, password: PASSWORD } })
    expect([registration.status, registration.body.email]).toEqual([201, email])
    const { id } = registration.body
    for (const spelled of [domain, ...spellings].flatMap((one) => [`${name}@${one}`, `${name.toUpperCase()}@${one}`])) {
      const login = await logIn(here.system, spelled)
      expect([spelled, login.status]).toEqual([spelled, 200])
      expect(claimsOf(login).email).toBe(email)
      const byEmail = await users(`GET /users/by-email/${encodeURIComponent(spelled)}`, { headers: as.operator })
      expect([spelled, byEmail.body.id, byEmail.body.email]).toEqual([spelled, id, email])
      const v0 = await call(here.system.url.users, `GET /user/${encodeURIComponent(spelled)}`, { headers: as.operator })
      expect([spelled, v0.body.id]).toEqual([spelled, id])
      for (const answer of [
        await auth('POST /auth/register', { body: { email: spelled, password: PASSWORD } }),
        await users('POST /users', { body: { email: spelled, password: PASSWORD } }),
      ])
        expectProblem(answer, 409, 'email_taken')
      const imported = await users('POST /users/import', jsonLines([{ email: spelled, password: PASSWORD }]))
      expect([spelled, imported.body.status, imported.body.code]).toEqual([spelled, 'failed', 'email_taken'])
      const limits = await auth(`GET /admin/login-limits?login=${encodeURIComponent(spelled)}`, {
        headers: as.operator,
      })
      expect([spelled, limits.body.user_id]).toEqual([spelled, id])
    }
    // Without a cache entry auth asks users.
    for (const spelled of spellings) {
      await auth(`DELETE /admin/password-cache/${id}`, { headers: as.operator })
      expect([spelled, (await logIn(here.system, `${name}@${spelled}`)).status]).toEqual([spelled, 200])
    }
  })

  test('in another spelling of the same email is shown so, and is not a change of the email', async () => {
    const email = fresh('пример.рф')
    const other = email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')
    const creation = await users('POST /users', {
      headers: as.operator,
      body: { email, password: PASSWORD, email_verified: true },
    })
    const changed = await users(`PATCH /users/${creation.body.id}`, { headers: as.operator, body: { email: other } })
    expect(changed.body).toMatchObject({ email: other, email_verified: true })
    const moved = await users(`PATCH /users/${creation.body.id}`, {
      headers: as.operator,
      body: { email: fresh('пример.рф') },
    })
    expect(moved.body.email_verified).toBe(false)
    // The notice goes to the previous address in its new spelling, and only for the second change.
    const mail = await eventually(() => mailsTo(here.system, other)[0])
    expect(mail).toContain('Subject: ')
    expect(mailsTo(here.system, other)).toHaveLength(1)
  })

  test('is mailed in its ASCII form, for any spelling in the request', async () => {
    const email = fresh('пример.рф')
    const ascii = email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')
    await auth('POST /auth/register', { body: { email, password: PASSWORD } })
    for (const [n, spelling] of [email, ascii, email.toUpperCase()].entries()) {
      await auth('POST /auth/password-reset-request', { body: { email: spelling } })
      await eventually(() => mailsTo(here.system, ascii, RESET_PAGE).length === n + 1)
    }
    const token = await mailedToken((request) => auth(request, { body: { email } }), here.system, ascii)
    const confirmed = await auth('POST /auth/password-reset-confirm', { body: { token, new_password: OTHER } })
    expect(confirmed.status).toBe(204)
    expect((await logIn(here.system, ascii, OTHER)).status).toBe(200)
  })

  test('is refused as the password of its owner, in any form', async () => {
    const email = fresh('пример.рф')
    const ascii = email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')
    for (const password of [email, email.toUpperCase(), ascii])
      expectProblem(await auth('POST /auth/register', { body: { email, password } }), 400, 'weak_password')
  })

  test('is the same email when an import has it in two spellings', async () => {
    const email = fresh('пример.рф')
    const lines = [email, email.replace('пример', 'ПРИМЕР'), email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')]
    const answer = await users(
      'POST /users/import?on_conflict=skip',
      jsonLines(lines.map((one) => ({ email: one, password: PASSWORD }))),
    )
    expect(parseLines(answer).map(({ status }) => status)).toEqual(['created', 'skipped', 'skipped'])
  })

  test.each([
    ['other letters before the @', 'иван@example.org'],
    ['both', 'иван@пример.рф'],
    ['no domain', 'ivan@'],
    ['an empty part', 'ivan@пример..рф'],
    ['a dot in front', 'ivan@.рф'],
    ['a dot behind', 'ivan@пример.рф.'],
    ['a dash in front', 'ivan@-пример.рф'],
    ['a dash behind', 'ivan@пример-.рф'],
    ['an underscore', 'ivan@при_мер.рф'],
    ['a blank', 'ivan@при мер.рф'],
    ['a tab', 'ivan@при\tмер.рф'],
    ['a port', 'ivan@пример.рф:25'],
    ['a path', 'ivan@пример.рф/x'],
    ['an escape', 'ivan@пример%2eрф'],
    ['an address literal', 'ivan@[пример.рф]'],
    ['a zero-width space', 'ivan@при\u200bмер.рф'],
    ['a zero-width joiner', 'ivan@при\u200dмер.рф'],
    ['a soft hyphen', 'ivan@при\u00adмер.рф'],
    ['a direction mark', 'ivan@\u202eпример.рф'],
    ['a variation selector', 'ivan@пример\ufe0f.рф'],
    ['a combining mark in front', 'ivan@\u0301пример.рф'],
    ['an emoji', 'ivan@💌.рф'],
    ['an unassigned character', 'ivan@\u0378.рф'],
    ['invalid Punycode', 'ivan@xn--a.рф'],
    ['two directions', 'ivan@אa.рф'],
    ['a label of 64 characters', `ivan@${'п'.repeat(64)}.рф`],
    ['two scripts', 'ivan@exаmple.org'],
    ['two scripts, the other way round', 'ivan@примеp.рф'],
    ['Cyrillic that looks like ASCII', 'ivan@сосо.com'],
    ['Greek that looks like ASCII', 'ivan@ονο.com'],
    ['a phonetic letter', 'ivan@exɑmple.org'],
    ['a dotless i', 'ivan@ıbm.com'],
    ['letters that become ASCII', 'ivan@ｅｘａｍｐｌｅ.org'],
    ['one letter that becomes ASCII', 'ivan@example.ｏrg'],
    ['a ligature', 'ivan@ﬁnance.org'],
    ['an old script', 'ivan@ᏏᏏ.com'],
    ['an unknown top level domain', 'ivan@example.orǵ'],
    ['numbers that become an address', 'ivan@１２７.0.0.1'],
  ])('is refused with %s', async (_, email) => {
    for (const answer of [
      await auth('POST /auth/register', { body: { email, password: PASSWORD } }),
      await auth('POST /auth/password-reset-request', { body: { email } }),
    ]) {
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.errors).toEqual([{ field: 'email', code: 'format', message: 'must be an email' }])
    }
    expectProblem(await logIn(here.system, email.replaceAll(/\t/g, '')), 401, 'invalid_credentials')
  })

  test('has at most 254 characters in its ASCII form', async () => {
    // The domain: 25 characters in ASCII, 10 as it is typed.
    const domain = '@пример.рф'
    const ascii = '@xn--e1afmkfd.xn--p1ai'
    const of = (length: number) =>
      `${Math.random().toString(36).slice(2, 8)}${'x'.repeat(length - 6 - ascii.length)}${domain}`
    const longest = await auth('POST /auth/register', { body: { email: of(254), password: PASSWORD } })
    expect(longest.status).toBe(201)
    const longer = await auth('POST /auth/register', { body: { email: of(255), password: PASSWORD } })
    expectProblem(longer, 400, 'validation_failed')
    expect(longer.body.errors).toMatchObject([{ field: 'email', code: 'too_long', limit: 254 }])
  })

  test.each(['127.0.0.1', '0x7f.1', '1.2', 'xn--a.org', 'XN--E1AFMKFD.xn--p1ai', 'localhost', 'a--b.org', '0'])(
    'with the ASCII domain %s is not changed',
    async (domain) => {
      const email = fresh(domain)
      const registration = await auth('POST /auth/register', { body: { email, password: PASSWORD } })
      expect([registration.status, registration.body.email]).toEqual([201, email])
      expect((await logIn(here.system, email.toUpperCase())).status).toBe(200)
      const byEmail = await users(`GET /users/by-email/${email}`, { headers: as.operator })
      expect(byEmail.body.id).toBe(registration.body.id)
    },
  )
})

describe('R20: with rate limits', () => {
  const here = running(inProcess)
  const { auth } = here
  const ascii = (email: string) => email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')
  const fresh = () => `ivan-${Math.random().toString(36).slice(2, 10)}@пример.рф`

  test('guesses at an account, and at an unknown email, are counted in every spelling', async () => {
    const [registeredEmail, unknownEmail] = [fresh(), fresh()]
    await auth('POST /auth/register', { body: { email: registeredEmail, password: PASSWORD } })
    for (const email of [registeredEmail, unknownEmail]) {
      const spellings = [email, ascii(email), email.toUpperCase(), ` ${email}`, email.replace('.рф', '。рф')]
      for (let n = 0; n < 10; n++) {
        const login = spellings[n % spellings.length] ?? ''
        expectProblem(await logIn(here.system, login, OTHER), 401, 'invalid_credentials')
      }
      for (const login of spellings) expectProblem(await logIn(here.system, login), 429, 'rate_limited')
      for (const login of spellings) {
        const counted = await auth(`GET /admin/login-limits?login=${encodeURIComponent(login)}`, {
          headers: as.operator,
        })
        expect([login, counted.body.failures]).toEqual([login, 10])
      }
    }
  })

  test('mails to an address are counted in every spelling', async () => {
    const email = fresh()
    const spellings = [email, ascii(email), email.toUpperCase(), `${email} `, email]
    const ask = (one: string) => auth('POST /auth/password-reset-request', { body: { email: one } })
    for (const one of spellings) expect((await ask(one)).status).toBe(202)
    for (const one of spellings) expectProblem(await ask(one), 429, 'rate_limited')
  })
})

describe('R20: with a mail server', () => {
  const port = freePort()
  const server = new ScriptedMailServer()
  beforeAll(() => server.start(port))
  afterAll(() => server.stop())
  const here = running(inProcess, { SMTP_URL: `smtp://127.0.0.1:${port}` })

  test('a mail goes to the ASCII form, which every server accepts', async () => {
    const email = `ivan-${Math.random().toString(36).slice(2, 10)}@пример.рф`
    const address = email.replace('пример.рф', 'xn--e1afmkfd.xn--p1ai')
    await here.auth('POST /auth/register', { body: { email, password: PASSWORD } })
    await here.auth('POST /auth/password-reset-request', { body: { email } })
    const mail = await eventually(() => server.messages[0])
    expect(mail.lines).toContain(`RCPT TO:<${address}>`)
    expect(headerOf(mail, 'To')).toBe(address)
    expect(`${mail.lines} ${mail.message}`).not.toContain('SMTPUTF8')
  })
})
