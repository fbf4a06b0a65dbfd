import { describe, expect, test } from 'bun:test'
import { version } from '../../package.json'
import { descriptorOf, SERVICE_NAMES, SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { openSignIn, SIGN_IN_ANSWERS } from '../support/browser/visitor.ts'
import { eventually } from '../support/eventually.ts'
import { as, awaitReadiness, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart } from '../support/system.ts'

// What the service of the pages is for operators and for programs. The pages themselves are tested in tests/web.

const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const HTML = 'text/html; charset=utf-8'
const JSON_TYPE = 'application/json'

describe.each([
  ['in one process', inProcess],
  ['in processes of their own', inProcessApart],
] as const)('14: the pages, all services %s', (_, start) => {
  const here = running(start)
  /** Sends a request without following a redirect. */
  const ask = async (request: string, headers: Record<string, string> = {}) => {
    const [method = '', path = ''] = request.split(' ')
    const answer = await fetch(here.system.url.web + path, { method, headers, redirect: 'manual' })
    return {
      status: answer.status,
      type: answer.headers.get('content-type'),
      headers: answer.headers,
      text: await answer.text(),
    }
  }

  const cookieOf = (answer: Pick<Response, 'headers'>) => answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''

  test('stand at the root, with the files that they name', async () => {
    expect((await openSignIn(here.system.url.web)).answers).toEqual(SIGN_IN_ANSWERS as string[])
    const start = await ask('GET /')
    expect([start.status, start.headers.get('location')]).toEqual([302, '/sign-in'])
    const wellKnown = await ask('GET /.well-known/change-password')
    expect([wellKnown.status, wellKnown.headers.get('location')]).toEqual([302, '/account/security'])
  })

  test('answer to every program, a slash at the end or not', async () => {
    const paths = (await descriptorOf('web').pagePaths?.())?.filter((path) => path !== '/assets/*') ?? []
    expect(paths.length).toBeGreaterThan(15)
    for (const path of paths)
      for (const target of path === '/' ? [path] : [path, `${path}/`]) {
        const answer = await ask(`GET ${target}`)
        // A page of an account leads to the sign-in; the sign-out is a form; an app sends parameters.
        expect([target, [200, 302, 303, 400, 405].includes(answer.status)]).toEqual([target, true])
        expect(answer.headers.get('content-security-policy')).toStartWith("default-src 'none'; script-src 'self'")
      }
  })

  test('a code that comes when the browser no longer waits for one is told so, not that a password is missing', async () => {
    const form = await ask('GET /sign-in', browser)
    const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec(form.text) ?? []
    for (const step of ['code', 'device']) {
      const answer = await fetch(`${here.system.url.web}/sign-in`, {
        method: 'POST',
        headers: { ...browser, cookie: cookieOf(form), 'sec-fetch-site': 'same-origin' },
        body: new URLSearchParams({ form_token, step, code: '123456' }),
      })
      const text = await answer.text()
      expect([answer.status, text.includes('This code is no longer valid')]).toEqual([400, true])
      expect(text).not.toContain('Fill in this field')
    }
  })

  test('a link that lost its token is void, and its page says so', async () => {
    for (const path of ['/sign-in-link', '/undo-email', '/reset-password', '/invitation']) {
      const form = await ask(`GET ${path}?token=x`, browser)
      const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec(form.text) ?? []
      const answer = await fetch(here.system.url.web + path, {
        method: 'POST',
        headers: { ...browser, cookie: cookieOf(form), 'sec-fetch-site': 'same-origin' },
        body: new URLSearchParams({ form_token, token: '', new_password: 'correct horse battery' }),
      })
      const text = await answer.text()
      expect([path, answer.status, text.includes('This link is no longer valid')]).toEqual([path, 400, true])
    }
  })

  test('an unknown path is a page for browsers, and a problem for others', async () => {
    for (const path of ['/nothing', '/assets/nothing.css', '/sign-in/nothing', '/account/nothing']) {
      const page = await ask(`GET ${path}`, browser)
      expect([path, page.status, page.type]).toEqual([path, 404, HTML])
      expect(page.text).toEndWith('</html>')
    }
    for (const request of ['GET /nothing', 'POST /nothing', 'GET /sign-in/nothing']) {
      const problem = await ask(request)
      expect([request, problem.status, problem.type]).toEqual([request, 404, JSON_TYPE])
      expect(JSON.parse(problem.text)).toMatchObject({ statusCode: 404, code: 'not_found' })
    }
  })

  test('the API answers browsers as it answers everyone', async () => {
    const { system } = here
    for (const [base, request, status] of [
      [system.url.users, 'GET /users', 401],
      [system.url.users, 'GET /api/v1/users/nobody', 401],
      [system.url.auth, 'GET /auth/nothing', 404],
      [system.url.auth, 'GET /.well-known/nothing', 404],
      [system.url.auth, 'GET /health/nothing', 404],
      // The pages have other paths that begin so.
      [system.url.auth, 'GET /oauth/userinfo', 401],
      [system.url.auth, 'GET /oauth/nothing', 404],
      [system.url.auth, 'GET /health/db', 200],
      [system.url.modules, 'GET /modules/', 401],
    ] as const) {
      const answer = await call(base, request, { headers: browser })
      expect([request, answer.status, answer.headers.get('content-type')]).toEqual([request, status, JSON_TYPE])
    }
  })

  test('3: the metadata of auth names the address of every service', async () => {
    const { body } = await here.auth('GET /.well-known/oauth-authorization-server')
    expect(body.ch202).toEqual(Object.fromEntries(SERVICE_NAMES.map((name) => [name, here.system.url[name]])))
  })
})

describe('8: a service without a database', () => {
  const here = running(inProcessApart)
  const names = SERVICE_NAMES.filter((name) => !SERVICES_WITH_DATABASE.includes(name))
  const ask = (name: (typeof names)[number], request: string, headers: Record<string, string> = {}) =>
    call(here.system.url[name], request, { headers })

  test.each(names)('%s has the health of its process, and metrics for operators', async (name) => {
    for (const path of ['/health', '/api/v1/health', '/health/'])
      expect((await ask(name, `GET ${path}`)).body).toEqual({
        status: 'ok',
        service: name,
        version,
        uptime_s: expect.any(Number),
      })
    expect((await ask(name, 'GET /metrics')).status).toBe(401)
    expect((await ask(name, 'GET /metrics', { authorization: 'Bearer of-nobody' })).status).toBe(401)
    expect((await ask(name, 'GET /metrics', as.internal)).status).toBe(403)
    await ask(name, 'GET /sign-in')
    const metrics = await ask(name, 'GET /metrics', as.operator)
    expect([metrics.status, metrics.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/plain')])
    expect(metrics.text).toContain(`service="${name}"`)
    expect(metrics.text).toContain('route="/sign-in"')
    for (const path of ['/health/db', '/health/cache', '/api/v1/health/db'])
      expect((await ask(name, `GET ${path}`)).body).toMatchObject({ statusCode: 404, code: 'not_found' })
  })

  test.each(names)('%s is ready while auth is', async (name) => {
    await awaitReadiness(here.system)
    await here.system.terminate('auth')
    const { body, headers, status } = await ask(name, 'GET /health/ready')
    expect([status, body.code, headers.has('retry-after')]).toEqual([503, 'auth_unavailable', true])
    expect((await ask(name, 'GET /health')).status).toBe(200)
    await here.system.start('auth')
    await eventually(async () => (await ask(name, 'GET /health/ready')).status === 200)
  })
})
