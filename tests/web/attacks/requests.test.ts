import { beforeAll, describe, expect, test } from 'bun:test'
import { connect } from 'node:net'
import { PAGES } from '../../../services/web/index.ts'
import { en } from '../../../services/web/texts/en.ts'
import { createUser, newEmail, PASSWORD } from '../../support/actors.ts'
import { nextMail } from '../../support/challenges.ts'
import { eventually } from '../../support/eventually.ts'
import { running } from '../../support/running.ts'
import { exchange, type RawAnswer, request, sendChunked } from '../../support/sockets.ts'
import { inProcess } from '../../support/system.ts'
import { stored } from './stored.ts'
import { COOKIES, FORM_TYPE, giveRoles, isSignedIn, newPerson, OWN_FORM, type Person, Visitor } from './visitor.ts'

const HTML = 'text/html; charset=utf-8'
const HEADERS = [
  'Host: localhost',
  'Accept: text/html',
  `Content-Type: ${FORM_TYPE}`,
  `Origin: ${OWN_FORM.origin}`,
  'Sec-Fetch-Site: same-origin',
]
const FORM_MAX = 64 * 1024

describe('odd requests to the pages', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', EMAIL_LOGIN: 'on', CORS_ORIGINS: 'https://shop.example' })
  let person: Person
  beforeAll(async () => {
    person = await newPerson(here.system)
  })
  const url = () => here.system.url.web

  function expectPage({ headers, text }: RawAnswer): void {
    expect(headers.get('content-type')).toBe(HTML)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('content-security-policy')).toStartWith("default-src 'none'")
    expect(text).toStartWith('<!doctype html>')
  }

  test.each(PAGES.map(({ path }) => path))(
    'check 48: %s answers other methods with a page, and changes nothing',
    async (path) => {
      const page = PAGES.find((each) => each.path === path)
      const allow = [page?.get && 'GET, HEAD', page?.post && 'POST'].filter(Boolean).join(', ')
      const before = await stored(here.system)
      for (const method of [
        'PUT',
        'DELETE',
        'PATCH',
        'OPTIONS',
        page?.get ? 'PUT' : 'GET',
        page?.post ? 'PUT' : 'POST',
      ]) {
        const visitor = person.visitor.copy()
        const answer = await visitor.send(method, path, { ...OWN_FORM, 'content-type': FORM_TYPE })
        expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, allow])
        expect(answer.headers.get('content-type')).toBe(HTML)
        expect(answer.text).toStartWith('<!doctype html>')
      }
      for (const method of ['TRACE', 'CONNECT', 'PROPFIND', 'post', 'X'.repeat(500)]) {
        const cookie = `Cookie: ${COOKIES.session}=${person.visitor.cookies.get(COOKIES.session)}`
        const answer = await request(url(), `${method} ${path} HTTP/1.1`, ['Host: localhost', cookie])
        expect([method, answer.status < 500 && answer.status !== 200]).toEqual([method, true])
        // A TRACE would show a script the cookies.
        expect(answer.text).not.toContain(COOKIES.session)
      }
      expect(await stored(here.system)).toEqual(before)
    },
  )

  test('check 48: every answer of the pages has the headers that protect it', async () => {
    const protects = {
      'cache-control': 'no-store',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      'cross-origin-opener-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    }
    const anyone = new Visitor(here.system)
    const answers = [
      ...PAGES.flatMap(({ path }) => [person.visitor, anyone].map((visitor) => visitor.copy().get(path))),
      person.visitor.copy().get('/nowhere'),
      person.visitor.copy().post('/account', {}, { 'sec-fetch-site': 'cross-site' }),
      person.visitor.copy().post('/account', { form_token: '' }),
      person.visitor.copy().send('PUT', '/account'),
      anyone.copy().send('POST', '/sign-in', { ...OWN_FORM, 'content-type': 'text/plain' }, 'a'),
      anyone.copy().send('POST', '/sign-in', { ...OWN_FORM, 'content-type': FORM_TYPE }, 'a'.repeat(FORM_MAX + 1)),
      anyone.copy().post('/account', {}),
    ]
    const statuses = new Set<number>()
    for (const { headers, status } of await Promise.all(answers)) {
      statuses.add(status)
      for (const [name, value] of Object.entries(protects))
        expect([status, name, headers.get(name)]).toEqual([status, name, value])
    }
    expect([...statuses].toSorted()).toEqual([200, 302, 303, 400, 403, 404, 405, 413, 415])
  })

  test('check 48: GET and HEAD change nothing, on any page and with any fields in the address', async () => {
    const { visitor } = await newPerson(here.system)
    await visitor.get('/account')
    const fields = new URLSearchParams({
      form_token: visitor.token,
      action: 'profile',
      name: 'Changed',
      confirmed: 'yes',
      login: person.email,
      email: newEmail(),
      password: PASSWORD,
      current_password: PASSWORD,
      new_password: 'quite another password',
      step: 'email',
      token: 'x'.repeat(43),
      code: '123456',
      module_id: 'x',
      session_id: 'x',
    })
    const before = await stored(here.system)
    for (const { path } of PAGES)
      for (const method of ['GET', 'HEAD'])
        for (const each of [visitor, new Visitor(here.system)]) {
          const { headers, status } = await each.copy().send(method, `${path}?${fields}`, OWN_FORM)
          expect([method, path, status < 500]).toEqual([method, path, true])
          for (const line of headers.getSetCookie()) expect(line).toStartWith(`${COOKIES.form}=`)
        }
    expect(await stored(here.system)).toEqual(before)
    expect(await isSignedIn(visitor)).toBe(true)
  })

  test('check 48: no origin may read a page, not even one of CORS_ORIGINS', async () => {
    for (const { path } of PAGES)
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT'])
        for (const origin of ['https://shop.example', 'https://evil.example', 'null']) {
          const { headers } = await person.visitor.copy().send(method, path, {
            origin,
            'access-control-request-method': 'POST',
            'access-control-request-headers': 'content-type',
          })
          const names = [...headers.keys()].filter((name) => name.startsWith('access-control-'))
          expect([method, path, names]).toEqual([method, path, []])
        }
    const asset = /src="(\/assets\/[^"]+)"/.exec((await person.visitor.get('/account')).text)?.[1] ?? ''
    const { headers, status } = await person.visitor.get(asset, { origin: 'https://shop.example' })
    expect(status).toBe(200)
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })

  test.each([
    '//',
    '//account',
    '/account//',
    '/account//security',
    '/./account/../../etc/passwd',
    '/assets/../account',
    '/assets/..%2f..%2fpackage.json',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/%2e%2e/account',
    '/account%2fsecurity',
    '/account%00',
    '/%',
    '/%zz',
    '/%ff',
    '/account;a=b',
    '/ACCOUNT',
    '/account/delete/x',
    '/\\account',
    '/account\\..\\x',
    '/assets/',
    '/assets',
    '/assets/page.css',
    '/assets/%00',
    `/${'a/'.repeat(2000)}`,
    '/account?%',
    '/account?a=%ff',
    '/sign-in?return_to=%ff',
    '/sign-in?return_to=%00',
    '/sign-in?step=%ff',
    '/sign-in?step=__proto__',
    '/sign-in?step=constructor',
    '/account?done=__proto__',
    '/account?done=constructor',
    '/account?done=toString',
    '/account?step=code',
    '/account/security?cursor=%00',
    '/account/security?cursor=%ff',
    '/account/security?cursor=../x',
    `/account/security?cursor=${'x'.repeat(8000)}`,
    '/account/security?cursor=a&cursor=b',
    '/reset-password?token=%00',
    '/reset-password?token=a&token=b',
    '/invitation?token=%ff',
    '/account/apps?grant=../x',
    '/console/users/%00',
    '/console/users/..%2f..%2fadmin',
    '/console?search=%ff&cursor=%00',
    '/oauth/authorize?client_id=%ff&redirect_uri=%zz',
    '/oauth/authorize?client_id=%00&max_age=__proto__',
    '/oauth/authorize?__proto__=x&constructor=y',
    '/oauth/consent?client_id=..&request=%00',
    '/oauth/logout?id_token_hint=%00',
    '/oauth/logout?ui_locales=%ff&logout_hint=__proto__',
  ])('check 48: the path %s is answered without a fault', async (path) => {
    const cookie = `Cookie: ${[...person.visitor.cookies].map((pair) => pair.join('=')).join('; ')}`
    for (const headers of [
      ['Host: localhost', 'Accept: text/html'],
      ['Host: localhost', 'Accept: text/html', cookie],
    ]) {
      const answer = await request(url(), `GET ${path} HTTP/1.1`, headers)
      expect(answer.status).toBeGreaterThan(0)
      expect(answer.status).toBeLessThan(500)
      expect(answer.text).not.toContain('"devDependencies"')
      if (answer.status !== 303 && answer.status !== 302 && answer.status !== 400) expectPage(answer)
      const location = answer.headers.get('location') ?? ''
      expect(location).not.toMatch(/^\/[/\\]/)
    }
  })

  test('check 48: requests without a host, or with another one, get the same pages', async () => {
    const normal = await request(url(), 'GET /account HTTP/1.1', ['Host: localhost'])
    for (const [line, ...headers] of [
      ['GET /account HTTP/1.0'],
      ['GET /account HTTP/1.0', 'Host: evil.example'],
      ['GET /account HTTP/1.1', 'Host: evil.example'],
      ['GET /account HTTP/1.1', 'Host: evil.example:443'],
      ['GET /account HTTP/1.1', 'Host: app.example.org@evil.example'],
      ['GET /account HTTP/1.1', 'Host: "><script>alert(1)</script>'],
      ['GET /account HTTP/1.1', 'Host: localhost', 'X-Forwarded-Host: evil.example', 'Forwarded: host=evil.example'],
      ['GET /account HTTP/1.1', 'Host: localhost', 'X-Original-URL: /account/delete', 'X-Rewrite-URL: /admin'],
      ['GET http://evil.example/account HTTP/1.1', 'Host: localhost'],
    ] as const) {
      const answer = await request(url(), line, headers as unknown as string[])
      expect([line, headers, answer.status, answer.headers.get('location')]).toEqual([line, headers, 303, '/sign-in'])
      expect(answer.headers.get('content-security-policy')).toBe(normal.headers.get('content-security-policy') ?? '')
    }
    for (const host of ['evil.example', '"><script>', 'a/b', 'localhost:99999']) {
      const { status, text } = await request(url(), 'GET /sign-in HTTP/1.1', [`Host: ${host}`])
      expect([host, status]).toEqual([host, 200])
      expect(text).not.toContain('evil.example')
      expect(text).not.toContain('"><script>')
    }
  })

  test('check 48: a mail that a page asks for links to PUBLIC_URL, whatever the host', async () => {
    const { email } = await newPerson(here.system)
    const visitor = new Visitor(here.system, { host: 'evil.example', 'x-forwarded-host': 'evil.example' })
    expect((await visitor.fill('/forgot-password', { email })).status).toBe(200)
    const { mail } = await nextMail(here.system, email, 0, 'reset-password')
    expect(mail).toContain('https://app.example.org/reset-password?token=')
    expect(mail).not.toContain('evil.example')
  })

  test('check 48: a large form is refused before it is read, with and without its length', async () => {
    const before = await stored(here.system)
    const large = `login=${'a'.repeat(FORM_MAX)}`
    const answers = [
      await request(url(), 'POST /sign-in HTTP/1.1', [...HEADERS, `Content-Length: ${large.length}`], large),
      await sendChunked(
        url(),
        'POST /sign-in HTTP/1.1',
        HEADERS.slice(1),
        Array.from({ length: 70 }, () => 'a'.repeat(1024)),
      ),
      // Only the head: the length alone says that it is too large.
      await request(url(), 'POST /sign-in HTTP/1.1', [...HEADERS, 'Content-Length: 70000']),
    ]
    for (const answer of answers) {
      expect(answer.status).toBe(413)
      expectPage(answer)
    }
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-in')
    const most = `form_token=${visitor.token}&login=a&password=`
    const fits = most + 'a'.repeat(FORM_MAX - most.length)
    const answer = await visitor.send('POST', '/sign-in', { ...OWN_FORM, 'content-type': FORM_TYPE }, fits)
    expect(answer.status).toBe(400)
    expect(await stored(here.system)).toEqual(before)
  })

  test('check 48: compressed forms, and lengths that do not fit, are refused', async () => {
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-in')
    const fields = new URLSearchParams({
      form_token: visitor.token,
      login: person.email,
      password: PASSWORD,
    }).toString()
    for (const encoding of ['gzip', 'deflate', 'br', 'zstd', 'gzip, identity', 'x-unknown']) {
      const body = encoding.startsWith('gzip') ? Bun.gzipSync(new Uint8Array(Buffer.from(fields))) : fields
      const headers = { ...OWN_FORM, 'content-type': FORM_TYPE, 'content-encoding': encoding }
      const { headers: answered, status } = await visitor.send('POST', '/sign-in', headers, body)
      expect([encoding, status, answered.get('content-type')]).toEqual([encoding, 415, HTML])
    }
    for (const lengths of [
      ['Content-Length: -1'],
      ['Content-Length: x'],
      ['Content-Length: 5', 'Content-Length: 6'],
      ['Content-Length: 5', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: identity'],
      ['Transfer-Encoding: chunked, gzip'],
    ]) {
      const { status } = await request(url(), 'POST /sign-in HTTP/1.1', [...HEADERS, ...lengths], 'a=b&c')
      expect([lengths, status === 200 || status === 303 || status >= 500]).toEqual([lengths, false])
    }
    expect(visitor.cookies.has(COOKIES.session)).toBe(false)
  })

  test('check 48: a form with a hundred thousand fields, or one that is repeated, is a form like others', async () => {
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-in')
    const post = (body: string) => visitor.send('POST', '/sign-in', { ...OWN_FORM, 'content-type': FORM_TYPE }, body)
    const token = `form_token=${visitor.token}`
    for (const body of [
      `${token}${'&'.repeat(60_000)}`,
      `${token}${'&a'.repeat(30_000)}`,
      `${token}${'&login='.repeat(9000)}`,
      `${token}&__proto__=x&constructor=y&toString=z`,
      `${token}&login[]=a&login[x]=b&password[$ne]=c`,
    ])
      expect((await post(body)).status).toBe(400)
    expect((await post(`${'a&'.repeat(100_000)}${token}`)).status).toBe(413)
    // A repeated field is not joined: the first one counts, for the token as for the others.
    expect((await post(`form_token=x&${token}&login=a&password=b`)).status).toBe(403)
    expect((await post(`${token}&form_token=x&login=a&password=b`)).status).toBe(401)
  })

  /** Bytes of a value that no browser sends in a form, and characters that the API refuses. */
  const ODD: [string, string][] = [
    ['a byte that is no UTF-8', '%FF'],
    ['an overlong slash', '%C0%AF'],
    ['a lone surrogate in UTF-8', '%ED%A0%80'],
    ['a cut sequence', '%E2%82'],
    ['a wrong escape', '%zz'],
    ['a lone percent sign', '%'],
    ['NUL', '%00'],
    ['a control character', '%01%7F%C2%85'],
    ['line breaks', '%0D%0ABcc:%20a@evil.example'],
    ['a text to be read from right to left', '%E2%80%AEabc'],
    ['a byte order mark', '%EF%BB%BF'],
    ['the last code point', '%F4%8F%BF%BF'],
    ['beyond the last code point', '%F4%90%80%80'],
    ['many characters', 'a'.repeat(20_000)],
    ['a path', '..'],
    ['a longer path', '..%2F..%2F..%2Fadmin'],
    ['a dot', '.'],
    ['a slash', '%2F'],
    ['a question mark', '%3Fa%3Db'],
    ['a number sign', '%23'],
    ['a name of every object', '__proto__'],
    ['another name of every object', 'constructor'],
  ]
  const FIELDS: Record<string, readonly string[]> = {
    '/sign-in': ['login', 'password', 'email', 'code', 'step', 'return_to'],
    '/sign-in?step=email': ['email', 'return_to'],
    '/sign-in-link': ['token'],
    '/sign-up': ['email', 'password', 'name', 'return_to'],
    '/forgot-password': ['email'],
    '/reset-password': ['token', 'new_password'],
    '/verify-email': ['action', 'email', 'code', 'token'],
    '/confirm-email': ['token'],
    '/undo-email': ['token'],
    '/invitation': ['token', 'new_password', 'name'],
    '/account': ['action', 'name', 'username', 'locale', 'new_email', 'confirm_password', 'code'],
    '/account/security': ['current_password', 'new_password'],
    '/account/sessions': ['session_id'],
    '/account/modules': ['module_id', 'action'],
    '/account/apps': ['confirm_password', 'confirm_code'],
    '/account/delete': ['confirmed', 'confirm_password'],
    '/console/invite': ['email', 'name'],
    '/console/users/:user_id': ['action', 'session_id'],
    '/oauth/authorize': ['client_id', 'redirect_uri', 'prompt'],
    '/oauth/consent': ['consent'],
    '/oauth/logout': ['id_token_hint', 'state'],
  }
  /** The values of `action`, for pages with several forms. */
  const ACTIONS: Record<string, string[]> = {
    '/account': ['profile', 'email', 'code'],
    '/verify-email': ['', 'send', 'later'],
    '/console/users/:user_id': ['end-session'],
  }
  /** Values with which a form is complete, so that the odd value reaches the API. */
  const USUAL: Record<string, string> = {
    email: 'nobody@example.org',
    login: 'nobody',
    password: PASSWORD,
    new_password: PASSWORD,
    current_password: 'not the password',
    token: 'x'.repeat(43),
    code: '123456',
    new_email: 'nobody@example.org',
    session_id: '01a2287d-2d84-776e-83df-237276177f90',
    module_id: 'none',
  }

  test('check 48: every form has a row of its fields here', () => {
    const paths = PAGES.flatMap(({ path, post }) => (post && path !== '/sign-out' ? [path] : []))
    expect([...new Set(Object.keys(FIELDS).map((path) => path.replace(/\?.*/, '')))].toSorted()).toEqual(
      paths.toSorted(),
    )
  })

  test.each(Object.keys(FIELDS))(
    'check 48: odd characters in the fields of %s are errors of the form, never faults',
    async (path) => {
      const names = FIELDS[path] ?? []
      const actions = ACTIONS[path] ?? ['']
      const isConsole = path.startsWith('/console')
      const signedIn = isConsole || path.startsWith('/account') || path === '/confirm-email'
      const someone = signedIn ? await newPerson(here.system) : undefined
      if (someone && isConsole) await giveRoles(here.system, someone, ['ADMIN'])
      const visitor = someone?.visitor ?? new Visitor(here.system)
      const address = path.replace(':user_id', isConsole ? (await createUser(here.system)).id : '')
      expect((await visitor.get(address)).status).toBeLessThan(404)
      for (const action of actions)
        for (const name of names)
          for (const [what, value] of ODD) {
            const fields: Record<string, string> = { form_token: visitor.token, action }
            for (const each of names) if (USUAL[each] !== undefined && each !== name) fields[each] = USUAL[each]
            const { [name]: _, ...others } = fields
            const body = `${new URLSearchParams(others)}&${name}=${value}`
            const answer = await visitor.copy().send('POST', address, { ...OWN_FORM, 'content-type': FORM_TYPE }, body)
            const seen = [path, action, name, what, answer.status]
            expect([...seen, answer.status < 500]).toEqual([...seen, true])
            if (answer.status !== 303) expect(answer.text).toStartWith('<!doctype html>')
          }
      if (signedIn && path !== '/account/delete') expect(await isSignedIn(visitor)).toBe(true)
    },
    120_000,
  )

  // The buttons that lead here are there once the email is verified.
  test.each(['app', 'passkey'])(
    'check 48: the step %s before the email is verified leads to where it can be, its form is refused in words',
    async (step) => {
      const { visitor } = await newPerson(here.system)
      const page = '/account/security'
      const { location, status } = await visitor.get(`${page}?step=${step}`)
      expect([status, location]).toEqual([303, page])
      const { text } = await visitor.get(page)
      expect([text.includes(en.factors.unverified), text.includes('href="/verify-email"')]).toEqual([true, true])
      for (const action of ['app', 'passkey'])
        for (const query of ['', `?step=${step}`]) {
          const sent = await visitor.copy().post(page + query, { action, credential: '{}' })
          expect([action, query, sent.status, sent.location]).toEqual([action, query, 303, page])
        }
      const { status: refused, text: words } = await visitor.copy().post(`${page}?step=codes`, { action: 'app' })
      expect([refused, words.includes(en.problems.email_not_verified)]).toEqual([403, true])
    },
  )

  test.each([
    ['/account', { action: 'code', code: '123456' }],
    ['/account', { action: 'code', code: '' }],
    ['/verify-email', { code: '123456' }],
    ['/verify-email', { code: '' }],
    ['/sign-in', { step: 'code', code: '123456' }],
    ['/sign-in', { step: 'device', code: '123456' }],
  ])('check 48: a code that is sent to %s after its step ended is refused in words: %j', async (path, fields) => {
    const { visitor } = await newPerson(here.system)
    const inSession = path === '/account' ? [visitor] : [visitor, new Visitor(here.system)]
    for (const browser of path === '/sign-in' ? [new Visitor(here.system)] : inSession) {
      const { status, text } = await browser.fill(path, fields)
      expect([status, text.includes(en.problems.invalid_challenge)]).toEqual([400, true])
      expect(text).toContain('role="alert"')
      expect(text).not.toContain('name="code"')
    }
  })

  test('check 48: raw bytes that are no UTF-8 are an error of the form', async () => {
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-in')
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x00], [0xfe, 0xff]]) {
      const head = Buffer.from(`form_token=${visitor.token}&login=a&password=`)
      const body = new Uint8Array(Buffer.concat([head, Buffer.from(bytes)]))
      const { status, text } = await visitor.send('POST', '/sign-in', { ...OWN_FORM, 'content-type': FORM_TYPE }, body)
      expect([bytes, status]).toEqual([bytes, 400])
      expect(text).toStartWith('<!doctype html>')
    }
  })

  test('check 48: passwords that differ only in bytes that are no UTF-8 are not one password', async () => {
    const email = newEmail()
    const visitor = new Visitor(here.system)
    await visitor.get('/sign-up')
    const body = (bytes: string) =>
      `form_token=${visitor.token}&email=${email}&login=${email}&password=long+password+${bytes}`
    const post = (path: string, bytes: string) =>
      visitor.send('POST', path, { ...OWN_FORM, 'content-type': FORM_TYPE }, body(bytes))
    expect((await post('/sign-up', '%FF')).status).toBe(400)
    expect((await post('/sign-up', '%FE%FE')).status).toBe(400)
    expect((await post('/sign-in', '%FE')).status).not.toBe(303)
  })

  test('check 48: an id that is a path reaches no other operation', async () => {
    const { email, visitor } = await newPerson(here.system)
    const [user] = JSON.parse(`[${(await visitor.get('/account/export')).text}]`) as [{ user: { id: string } }]
    const { id } = user.user
    await visitor.get('/account/sessions')
    for (const session_id of [
      `../../users/${id}`,
      `..%2f..%2fusers%2f${id}`,
      '..',
      '.',
      '',
      '../sessions',
      `x/../../../users/${id}`,
    ])
      if (session_id !== '') {
        const { status } = await visitor.copy().post('/account/sessions', { session_id })
        expect([session_id, status < 500, status !== 303]).toEqual([session_id, true, true])
      }
    for (const module_id of [
      `../users/${id}/delete?`,
      '../auth/logout-all?',
      '../auth/logout-all#',
      '..',
      '.',
      '%2e%2e',
    ]) {
      const { status } = await visitor.copy().post('/account/modules', { module_id, action: 'enable' })
      expect([module_id, status < 500, status !== 303]).toEqual([module_id, true, true])
    }
    expect((await visitor.get('/account')).text).toContain(email)
  })

  test('check 48: slow forms keep nobody waiting, and those that break off are no faults', async () => {
    const { hostname, port } = new URL(url())
    const sockets = await Promise.all(
      Array.from(
        { length: 100 },
        () =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(Number(port), hostname, () => {
              socket.write([`POST /sign-in HTTP/1.1`, ...HEADERS, 'Content-Length: 1000', '', 'login='].join('\r\n'))
              resolve(socket)
            })
            socket.on('error', () => undefined)
          }),
      ),
    )
    for (const socket of sockets) socket.write('a')
    expect((await new Visitor(here.system).get('/sign-in')).status).toBe(200)
    expect(await isSignedIn(person.visitor)).toBe(true)
    for (const socket of sockets) socket.resetAndDestroy()
    // The pages have noticed: what comes afterwards is answered after it.
    await eventually(async () => (await new Visitor(here.system).get('/sign-in')).status === 200)
    const faults = here.system
      .output()
      .split('\n')
      .filter((line) => line.includes('page.failed'))
    expect(faults).toEqual([])
  })

  test('check 48: headers that are large or many are refused or ignored', async () => {
    for (const headers of [
      [`Cookie: ${COOKIES.session}=${'x'.repeat(15_000)}`],
      [`Cookie: ${'a=b; '.repeat(3000)}`],
      Array.from({ length: 90 }, (_, i) => `Cookie: a${i}=b`),
      [`Accept-Language: ${'en;q=0.1,'.repeat(1500)}`],
      ['Accept-Language: *;q=x, \u00ff, en-'],
      [`User-Agent: ${'x'.repeat(15_000)}`],
      ['X-Request-Id: a b', 'X-Request-Id: c'],
    ]) {
      const answer = await exchange(url(), [
        Buffer.from(
          `GET /sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers.join('\r\n')}\r\n\r\n`,
          'latin1',
        ),
      ])
      expect([headers[0]?.slice(0, 30), [200, 400, 413, 431].includes(answer.status)]).toEqual([
        headers[0]?.slice(0, 30),
        true,
      ])
    }
  })
})
