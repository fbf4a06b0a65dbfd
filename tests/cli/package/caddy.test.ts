import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { descriptorOf, ofEachService, SERVICE_NAMES, SERVICES } from '../../../services/registry.ts'
import { CONTRACT, DOUBLED } from '../../openapi/operations.ts'
import { createUser, newEmail, PASSWORD, registerUser } from '../../support/actors.ts'
import { Visitor } from '../../support/browser/visitor.ts'
import { type Answer, as, call } from '../../support/http.ts'
import { processes } from '../../support/processes.ts'
import { samplePath, servedRoutes } from '../../support/routes.ts'
import { freePort } from '../../support/servers/ports.ts'
import { addressSettings, INTERNAL_KEY, OPERATOR_KEY } from '../../support/settings.ts'
import { exchange, request } from '../../support/sockets.ts'
import type { System } from '../../support/system.ts'
import { launch, type Running, runTool, temporary } from '../../support/tool.ts'
import { need, run } from './programs.ts'

const folder = temporary('package-caddy')

async function listens(address: string): Promise<boolean> {
  const { hostname, port } = new URL(address)
  const socket = await Bun.connect({ hostname, port: Number(port), socket: { data() {} } }).catch(() => undefined)
  socket?.end()
  return socket !== undefined
}
afterAll(() => folder.remove())

describe('the Caddyfile', () => {
  const caddy = () => need('caddy', 'caddy')
  const writeCaddyfile = async (options: string[], env: Record<string, string> = {}) => {
    const file = join(folder.fresh(), 'Caddyfile')
    const ended = await runTool(['package', 'caddy', '--out', file, ...options], { env })
    expect([ended.status, ended.stdout]).toEqual([0, ''])
    return file
  }

  const forms: string[][] = [[], ['--domain', 'id.example.org'], ['--domain', 'http://[::1]:8080', '--admin']]
  test.each(forms)('is valid and formatted: %s %s %s', async (...options) => {
    const file = await writeCaddyfile(options)
    const valid = await run([caddy(), 'validate', '--adapter', 'caddyfile', '--config', file])
    expect(valid.status).toBe(0)
    expect(valid.stdout + valid.stderr).not.toMatch(/"level":"(warn|error)"|WARN|ERROR/)
    expect((await run([caddy(), 'fmt', file])).stdout).toBe(readFileSync(file, 'utf8'))
    const encrypted = !options.some((option) => option.startsWith('http://'))
    expect(readFileSync(file, 'utf8').includes('Strict-Transport-Security "max-age=31536000; includeSubDomains"')).toBe(
      encrypted,
    )
  })

  const refused: [options: string[], name: string][] = [
    [['--domain', 'a b'], '--domain'],
    [['--domain', 'a{\n}'], '--domain'],
    [['--domain', 'https://example.org/path'], '--domain'],
    [['--url', 'ftp://x'], 'The address of auth'],
  ]
  test.each(refused)('is refused with %j', async (options, name) => {
    const { status, stdout, stderr } = await runTool(['package', 'caddy', ...options])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(name)
  })

  test('takes the addresses of the services from their settings, or one for all from --url', async () => {
    const env = addressSettings((name) => `http://127.0.0.1:${SERVICES[name].number}`)
    const proxied = async (...options: string[]) => {
      const { stdout } = await runTool(['package', 'caddy', ...options], { env })
      return [...new Set([...stdout.matchAll(/reverse_proxy (\S+)/g)].map((match) => match[1]))].sort()
    }
    expect(await proxied()).toEqual(Object.values(env).sort())
    expect(await proxied('--url', 'http://127.0.0.1:3000')).toEqual(['http://127.0.0.1:3000'])
    const { WEB_URL, ...withoutPages } = env
    expect(await proxied('--no-pages')).toEqual(Object.values(withoutPages).sort())
  })

  describe('in front of the services', () => {
    /** The requests that reached the stand-ins of the services. */
    let reached: { service: string; method: string; url: string; headers: Headers }[] = []
    const standInFor = (service: string, port = 0) =>
      Bun.serve({
        port,
        hostname: '127.0.0.1',
        fetch: ({ headers, method, url }) => {
          reached.push({ service, method, url: url.replace(/^http:\/\/[^/]+/, ''), headers })
          return new Response()
        },
      })
    const standIns = SERVICE_NAMES.map((service) => ({ service, server: standInFor(service) }))
    const site = () => `http://127.0.0.1:${freePort()}`
    const [plain, forAdmins, real, realForAdmins, dead] = [site(), site(), site(), site(), site()]
    /** The name of a site, which responds only to requests with that name. */
    const HOST = `Host: ${new URL(plain).host}`
    let system: System
    let proxy: Running
    /** The response of a site without a running service. It takes some seconds, during which other tests run. */
    let away: Promise<Answer>

    beforeAll(async () => {
      system = await processes('apart', { TRUSTED_PROXIES: '127.0.0.1' })
      const toStandIns = addressSettings(
        (service) => `http://127.0.0.1:${standIns.find((one) => one.service === service)?.server.port}`,
      )
      const toSystem = addressSettings((service) => system.url[service])
      const files = await Promise.all([
        writeCaddyfile(['--domain', plain], toStandIns),
        writeCaddyfile(['--domain', forAdmins, '--admin'], toStandIns),
        writeCaddyfile(['--domain', real], toSystem),
        writeCaddyfile(['--domain', realForAdmins, '--admin'], toSystem),
        // A port that no test takes, unlike one that is free at the moment.
        writeCaddyfile(['--domain', dead, '--url', 'http://127.0.0.1:9']),
      ])
      const config = join(folder.path, 'Caddyfile')
      writeFileSync(config, `{\n\tadmin off\n}\n${files.map((file) => `import ${file}\n`).join('')}`)
      const home = folder.fresh()
      proxy = launch([caddy(), 'run', '--adapter', 'caddyfile', '--config', config], {
        env: { HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home },
      })
      // Caddy opens one port after the other.
      for (const one of [plain, forAdmins, real, realForAdmins, dead])
        while (!(await listens(one))) {
          if (/Error/.test(proxy.stderr())) throw new Error(proxy.stderr())
          await Bun.sleep(10)
        }
      away = call(dead, 'GET /health')
    }, 120_000)
    afterAll(async () => {
      proxy?.signal('SIGKILL')
      for (const { server } of standIns) await server.stop(true)
      await system?.stop()
    })

    const rowOf = (method: string, path: string) => {
      const template = path.replace(/:(\w+)/g, '{$1}')
      const find = (name: string) => CONTRACT.find((row) => row.call === `${method} ${name}`)
      return find(template) ?? find(`/api/v1${template}`)
    }
    /** Whether the contract opens the path to callers from other machines. An unknown path is closed. */
    const isOpen = (method: string, path: string, admin: boolean): boolean => {
      const bare = path.replace(/^\/api\/v1/, '')
      if (/^\/(metrics|swagger)/.test(bare)) return false
      if (/^\/health\/(db|cache|ready)$/.test(bare)) return admin
      if (DOUBLED.includes(`${method} ${path}`) || bare === '/user/register')
        return method !== 'GET' || bare === '/whoami'
      const { who = [] } = rowOf(method, path) ?? {}
      return who.some((one) => ['anyone', 'app', 'bearer', 'user'].includes(one)) || (admin && who.includes('operator'))
    }

    test.each([
      ['without --admin', plain, false],
      ['with --admin', forAdmins, true],
    ] as const)('every route of the services is reached or not, as the contract has it, %s', async (_, base, admin) => {
      const routes = await servedRoutes()
      expect(routes.length).toBeGreaterThan(100)
      const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
      const served = new Map(routes.map((route) => [`${route.method} ${route.path}`, route]))
      const paths = [...new Map(routes.map((route) => [route.path, route.service]))]
      const wrong: string[] = []
      let open = 0
      for (const [path, service] of paths)
        for (const method of methods) {
          reached = []
          // A key's id is a digest.
          const target = samplePath(path).replace(/\/kid$/, `/${'A'.repeat(43)}`)
          const answer = await call(base, `${method} ${target}`)
          const expected = served.has(`${method} ${path}`) && isOpen(method, path, admin)
          if (expected) open++
          const common = path.replace(/^\/api\/v1/, '').startsWith('/health')
          const to = expected ? [`${common ? 'auth' : service} ${target}`] : []
          const got = reached.map((one) => `${one.service} ${one.url}`)
          if (JSON.stringify(got) !== JSON.stringify(to)) wrong.push(`${method} ${path} reached ${got}, not ${to}`)
          if (!expected && (answer.status !== 404 || answer.body.code !== 'not_found'))
            wrong.push(`${method} ${path} answered ${answer.status} ${answer.text}`)
        }
      expect(wrong).toEqual([])
      expect(open).toBeGreaterThan(admin ? 110 : 60)
    })

    const id = '01900000-0000-7000-8000-000000000000'
    const passed: [line: string, service: string][] = [
      ['GET /api/v1/modules/ HTTP/1.1', 'modules'],
      ['GET /auth/sessions?page=2&size=10 HTTP/1.1', 'auth'],
      ['HEAD /health HTTP/1.1', 'auth'],
      ['OPTIONS /api/v1/auth/login HTTP/1.1', 'auth'],
      ['GET /user/ana%40example.org HTTP/1.1', 'users'],
      [`GET /user/a.b+c'd%2Be@example.org HTTP/1.1`, 'users'],
      [`GET ${plain}/auth/me HTTP/1.1`, 'auth'],
      // The pages and the API share the first part of these paths.
      ['POST /oauth/token HTTP/1.1', 'auth'],
      ['GET /oauth/userinfo HTTP/1.1', 'auth'],
      ['GET /oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fapp.example.org%2Fcallback HTTP/1.1', 'web'],
      ['POST /oauth/logout HTTP/1.1', 'web'],
    ]
    test.each(passed)('%s is passed on unchanged', async (line, service) => {
      reached = []
      const target = line.split(' ')[1]?.replace(/^http:\/\/[^/]+/, '')
      await request(plain, line, [HOST])
      expect(reached.map((one) => [one.service, one.url])).toEqual([[service, target as string]])
    })

    const tricks = [
      '//auth/sync/password',
      '/auth//sync/password',
      '/auth/sync/password/',
      '/auth/login/../sync/password',
      '/auth/login/%2e%2e/sync/password',
      '/auth/login%2f..%2fsync%2fpassword',
      '/auth/sync%2Fpassword',
      '/auth/login/sync/password',
      '/auth/login;/../sync/password',
      '/auth/login%3f/../../sync/password',
      '/AUTH/LOGIN',
      '/Auth/login',
      '/auth/login//',
      '/auth/login/.',
      '/./auth/login',
      '/auth/./login',
      '/auth/log%69n',
      '/auth/login%00',
      '/auth/login%20',
      '/auth/login%0a',
      '/auth/login#/../sync/password',
      '\\auth\\sync\\password',
      '/auth\\sync\\password',
      '/api/v1/api/v1/auth/login',
      '/api/v1//auth/sync/password',
      '/api/v1/../../auth/sync/password',
      '/api/v2/auth/login',
      '/API/V1/auth/login',
      `${plain}//auth/sync/password`,
      `${plain}/admin/keys`,
      '/admin/keys',
      '/admin/keys?/auth/me',
      '/%61dmin/keys',
      '/metrics',
      '/metrics/',
      '/health/../metrics',
      '/health/db',
      '/swagger',
      '/users/password-hashes',
      '/users/password-hashes/',
      '/users/password%2Dhashes',
      '/users/%70assword-hashes',
      '/users/export?with_hashes=true',
      '/users/.',
      '/users/..',
      `/users/${id}/password-hash`,
      `/users/${id}%2fpassword-hash`,
      `/users/${id}/change-password/../password`,
      `/users/${id}/../password-hashes`,
      '/users/by-email/ana@example.org',
      '/user/..',
      '/user/%2e%2e',
      '/user/../admin/keys',
      '/user/..%2fusers%2fexport@example.org',
      '/user/..%5cusers%5cexport@example.org',
      '/user/%2e%2e%2fx@example.org',
      '/user/..\\users\\a@example.org',
      '/user/a@example.org/../../users/export',
      '/user/@example.org',
      `/modules/users/${id}`,
      '/modules/sync/user-deleted',
      '/modules/../users/export',
      '/modules/billing/users',
      '/modules/BILLING',
      '*',
      '',
      '/assets',
      '/assets/',
      '/assets/../metrics',
      '/assets/page.css/../../metrics',
      '/assets/a/b',
      '/sign-in/x',
      '/sign-in%2f..%2fmetrics',
      '/oauth',
      '/oauth/authorize/x',
      '/oauth/consent/..',
      '/oauth/logout/../token',
      '/api/v1/oauth/authorize',
      '/SIGN-IN',
      '/account/..',
      '/not-found',
    ]
    test.each(tricks)('%j reaches no service', async (target) => {
      reached = []
      for (const method of ['GET', 'POST', 'OPTIONS', 'get', 'PROPFIND']) {
        const headers = [HOST, `X-API-Key: ${INTERNAL_KEY}`, 'X-Original-URL: /auth/login', 'Content-Length: 0']
        const answer = await request(plain, `${method} ${target} HTTP/1.1`, headers)
        // Caddy responds with 404, with 400 to a request that is not HTTP, or with an empty body.
        expect(answer.status === 0 || answer.status === 404 || answer.status === 400 || answer.text === '').toBe(true)
      }
      // The path is closed for every method.
      expect(reached.map(({ method, service, url }) => `${method} ${service} ${url}`)).toEqual([])
    })

    test.each([
      ['without --admin', plain],
      ['with --admin', forAdmins],
    ])('every page is reached, and nothing else of its service, %s', async (_, base) => {
      const service = 'web'
      const paths = (await descriptorOf(service).pagePaths?.()) ?? []
      expect(paths.length).toBeGreaterThan(15)
      for (const path of paths) {
        const target = `${path.replace('*', 'page-0123456789.css')}?token=a%2Fb`
        for (const method of ['GET', 'HEAD', 'POST']) {
          reached = []
          await call(base, `${method} ${target}`)
          expect(reached.map((one) => [one.service, one.method, one.url])).toEqual([[service, method, target]])
        }
        for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
          reached = []
          expect((await call(base, `${method} ${target}`)).body.code).toBe('not_found')
          expect(reached).toEqual([])
        }
      }
    })

    test('a browser gets a page for a path that is closed, and the path reaches no service', async () => {
      for (const target of ['/metrics', '/admin/keys?search=x', '/users/export', '/nope', '/health/db']) {
        reached = []
        await call(plain, `GET ${target}`, { headers: { accept: 'text/html,*/*;q=0.8' } })
        expect(reached.map(({ service, url }) => [service, url])).toEqual([['web', '/not-found']])
        reached = []
        await call(plain, `POST ${target}`, { headers: { accept: 'text/html' } })
        expect(reached).toEqual([])
      }
      for (const target of ['/nope', '/metrics']) {
        const page = await call(real, `GET ${target}`, { headers: { accept: 'text/html' } })
        expect([page.status, page.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8'])
        expect(page.text).toContain('</html>')
      }
    })

    test('a person registers on the pages: their session has the address of their browser', async () => {
      const email = newEmail()
      // Only the last address of the header is from Caddy.
      const visitor = new Visitor(real, { 'x-forwarded-for': '6.6.6.6' })
      const { at, status } = await visitor.fillIn('/sign-up', { email, password: PASSWORD })
      expect([status, at]).toEqual([200, '/verify-email'])
      const { text } = await visitor.open('/account/sessions')
      expect(text).toContain('127.0.0.1')
      expect(text).not.toContain('6.6.6.6')
      expect((await visitor.open('/account')).text).toContain(email)
    })

    test('two requests in one do not make a third', async () => {
      reached = []
      const hidden = `GET /admin/keys HTTP/1.1\r\n${HOST}\r\n\r\n`
      for (const framing of [
        `Content-Length: ${hidden.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
        `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${hidden}`,
        `Content-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
      ])
        await exchange(plain, `POST /auth/login HTTP/1.1\r\n${HOST}\r\n${framing}`, 300)
      expect(reached.filter(({ url }) => url !== '/auth/login')).toEqual([])
    })

    test('keys are accepted from other machines only with --admin', async () => {
      const body = () => ({ email: newEmail(), password: PASSWORD, roles: ['ADMIN'] })
      const create = (base: string) => call(base, 'POST /users', { headers: as.operator, body: body() })
      expect((await create(real)).body.code).toBe('forbidden_field')
      expect((await create(realForAdmins)).status).toBe(201)
      const keyed = await call(real, `GET /users/${id}`, { headers: as.internal })
      expect(keyed.body.code).toBe('missing_token')
      reached = []
      await call(plain, 'GET /auth/me', { headers: { 'x-api-key': OPERATOR_KEY } })
      expect(reached[0]?.headers.has('x-api-key')).toBe(false)
    })

    test('an administrator can work from another machine only with --admin', async () => {
      const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
      const headers = as.bearer(admin.tokens.access_token)
      expect((await call(realForAdmins, 'GET /users?size=1', { headers })).status).toBe(200)
      expect((await call(realForAdmins, 'GET /admin/keys', { headers })).status).toBe(200)
      expect((await call(real, 'GET /users?size=1', { headers })).body.code).toBe('not_found')
      expect((await call(real, 'GET /admin/keys', { headers })).body.code).toBe('not_found')
    })

    test('a user registers, reads, changes and deletes the account at one address', async () => {
      const user = await registerUser({ ...system, url: ofEachService(() => real) })
      const headers = as.bearer(user.tokens.access_token)
      expect((await call(real, 'GET /whoami', { headers })).body).toMatchObject({ email: user.email })
      expect((await call(real, `GET /user/${encodeURIComponent(user.email)}`, { headers })).status).toBe(200)
      const patched = await call(real, `PATCH /api/v1/users/${user.id}`, { headers, body: { name: 'Ana' } })
      expect(patched.body).toMatchObject({ name: 'Ana' })
      expect((await call(real, 'GET /api/v1/modules/', { headers })).status).toBe(200)
      expect((await call(real, 'POST /auth/logout', { headers })).status).toBe(204)
      expect((await call(real, 'GET /modules', { headers })).body.code).toBe('token_revoked')
    })

    test('a session has the address of the client, whatever headers the client sends', async () => {
      const user = await createUser(system)
      const body = JSON.stringify({ email: user.email, password: PASSWORD })
      // An address other than Caddy's, which is the trusted proxy.
      await new Promise<void>((done, failed) => {
        const headers = { 'content-type': 'application/json', 'x-forwarded-for': '6.6.6.6, 127.0.0.1' }
        httpRequest(`${real}/api/v1/auth/login`, { method: 'POST', headers, localAddress: '127.0.0.7' }, (response) =>
          response.resume().on('end', done),
        )
          .on('error', failed)
          .end(body)
      })
      const sessions = await call(real, 'GET /auth/sessions', { headers: as.bearer(user.tokens.access_token) })
      expect(sessions.body.items.map((session: { ip: string | null }) => session.ip)).toContain('127.0.0.7')
      expect(sessions.text).not.toContain('6.6.6.6')
    })

    test('a body that is too large gets the problem of the contract, from the service or from Caddy', async () => {
      const tooLarge = (answer: Answer) =>
        expect([answer.status, answer.body.code, answer.headers.get('content-type')]).toEqual([
          413,
          'body_too_large',
          'application/json',
        ])
      const stream = (bytes: number) => new Blob(['{"email":"', 'a'.repeat(bytes)]).stream()
      const headers = { 'content-type': 'application/json' }
      tooLarge(await call(real, 'POST /auth/login', { headers, body: 'a'.repeat(100_000) }))
      tooLarge(await call(real, 'POST /auth/login', { headers, body: 'a'.repeat(1_000_000) }))
      tooLarge(await call(real, 'POST /auth/login', { headers, body: stream(1_000_000) }))
      const lined = { ...as.operator, 'content-type': 'application/x-ndjson' }
      const blank = '\n'.repeat(900_000)
      const imported = await call(realForAdmins, 'POST /users/import', { headers: lined, body: blank })
      expect([imported.status, imported.text]).toEqual([200, ''])
      tooLarge(await call(realForAdmins, 'POST /users/import', { headers: lined, body: '\n'.repeat(1_500_000) }))
      tooLarge(await call(realForAdmins, 'POST /users/import', { headers: lined, body: '\n'.repeat(3_000_000) }))
    })

    test('a service that restarts is waited for', async () => {
      const standIn = standIns.find(({ service }) => service === 'modules')
      if (!standIn) throw new Error('No service has the name modules')
      const { port } = standIn.server
      await standIn.server.stop(true)
      reached = []
      const waiting = call(plain, 'GET /modules')
      await Bun.sleep(200)
      expect(reached).toEqual([])
      standIn.server = standInFor('modules', port)
      expect((await waiting).status).toBe(200)
      expect(reached.map(({ service, url }) => [service, url])).toEqual([['modules', '/modules']])
    })

    test('a response of Caddy itself is a problem of the contract', async () => {
      const unknown = await call(plain, 'GET /nope')
      expect(unknown.body).toEqual({
        statusCode: 404,
        error: 'Not Found',
        message: 'Not found',
        code: 'not_found',
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
      expect(unknown.headers.get('x-request-id')).toBe(unknown.body.requestId)
      expect(unknown.headers.get('x-content-type-options')).toBe('nosniff')
      const { body, headers, status } = await away
      expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'overloaded', '1'])
      expect(body.requestId).toBe(headers.get('x-request-id') as string)
    })
  })
})
