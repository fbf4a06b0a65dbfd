import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { serviceForPath } from '../../cli/client/routing.ts'
import { authRoutes } from '../../services/auth/index.ts'
import { authV0 } from '../../services/auth/routes/v0.ts'
import { documentation } from '../../services/documentation.ts'
import { guard } from '../../services/kit/http/guard.ts'
import { modulesRoutes } from '../../services/modules/index.ts'
import type { ServiceName } from '../../services/registry.ts'
import { usersRoutes } from '../../services/users/index.ts'
import { usersV0 } from '../../services/users/routes/v0.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { freePort } from '../support/servers/ports.ts'
import { openInstance } from '../support/shell.ts'
import { ROOT, runTool } from '../support/tool.ts'

setDefaultTimeout(120_000)

let instance: Awaited<ReturnType<typeof openInstance>>
beforeAll(async () => {
  instance = await openInstance('api')
})
afterAll(() => instance.close())

const api = (words: string[], options: { env?: Record<string, string>; stdin?: string } = {}) =>
  runTool(['api', ...words], { ...options, env: { ...instance.shell.env, ...options.env } })

describe('a path', () => {
  test('is sent to the service that serves it', async () => {
    const unused = undefined as never
    const keys = { internalKeys: [], operatorKeys: [] }
    const guarded = guard({ tokens: unused, ...keys, clientAddress: unused, clock: unused })
    const apps = {
      auth: [authRoutes(unused, guarded), authV0(unused, guarded)],
      users: [usersRoutes(unused, guarded), usersV0(unused, guarded)],
      modules: [modulesRoutes(unused, guarded)],
    }
    for (const [service, parts] of Object.entries(apps)) {
      const paths = parts.flatMap(({ routes }) => routes.map(({ path }) => path))
      expect(paths.length).toBeGreaterThan(5)
      for (const path of paths)
        for (const form of [path, `/api/v1${path}`, path.slice(1)])
          expect([form, serviceForPath(form)]).toEqual([form, service as ServiceName])
    }
    // Every service has its own of these.
    for (const path of ['/health', '/api/v1/health/db', '/metrics', '/swagger/json'])
      expect(serviceForPath(path)).toBe('auth')
    for (const path of Object.keys((await documentation('0')).paths))
      expect([path, serviceForPath(path)]).not.toEqual([path, undefined])
    for (const path of ['/nothing', '/', '', '/api/v1', '/constructor', '/usersx'])
      expect([path, serviceForPath(path)]).toEqual([path, undefined])
  })

  test('is accepted with and without the prefix; an unknown one is a usage error', async () => {
    const table = ['/api/v1/users?size=1', '/users?size=1', 'users?size=1', '/modules/', '/admin/keys', '/health']
    const responses = await Promise.all(table.map((path) => api(['get', path])))
    for (const [at, path] of table.entries()) {
      expect([path, responses[at]?.status, responses[at]?.stderr]).toEqual([path, 0, ''])
      expect(JSON.parse(responses[at]?.stdout ?? '')).toBeObject()
    }
    const strange = ['/nothing', '@example.org/users', 'http://example.org/users', '//example.org/users']
    for (const { status, stderr, stdout } of await Promise.all(strange.map((path) => api(['GET', path]))))
      expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('→ ch202 openapi')])
    expect((await api(['GET', '/health', '--service', 'mail'])).status).toBe(2)
    expect(JSON.parse((await api(['GET', '/health', '--service', 'users'])).stdout).status).toBe('ok')
  })
})

test('an unknown method is a usage error', async () => {
  for (const method of ['DELTE', 'FOO', '']) {
    const { status, stdout, stderr } = await api([method, '/users?size=1'])
    expect([method, status, stdout, stderr]).toEqual([method, 2, '', expect.stringContaining('DELETE')])
  }
})

describe('a body', () => {
  test('comes from an argument, a file, or standard input', async () => {
    const file = join(instance.shell.path, 'user.json')
    const user = () => JSON.stringify({ email: newEmail(), password: PASSWORD })
    writeFileSync(file, user())
    const ways: [string[], string | undefined][] = [
      [['--data', user()], undefined],
      [['--data', `@${file}`], undefined],
      [['-d', '-'], user()],
    ]
    for (const [words, stdin] of ways) {
      const response = await api(['POST', '/users', ...words], stdin === undefined ? {} : { stdin })
      expect([words, response.status, JSON.parse(response.stdout).roles]).toEqual([words, 0, ['USER']])
    }
    expect((await api(['POST', '/users', '--data', '@/nowhere'])).status).toBe(2)
    const empty = await api(['POST', '/auth/password-reset-request'])
    expect([empty.status, empty.stdout]).toEqual([1, ''])
  })

  test('of a success is printed unchanged, and a failure like every failure of the tool', async () => {
    const direct = await call(instance.system.url.users, 'GET /users?size=3', { headers: as.operator })
    const response = await api(['GET', '/users?size=3', '-i', '-H', 'x-request-id: mine'])
    expect([response.status, response.stdout]).toEqual([0, direct.text])
    expect(response.stderr).toMatch(/^200\b/)
    expect(response.stderr).toMatch(/^x-request-id: mine$/m)
    const missing = await api(['GET', `/users/${crypto.randomUUID()}`])
    expect([missing.status, missing.stdout]).toEqual([3, ''])
    expect(missing.stderr).toMatch(/^✗ .*\(user_not_found, request [0-9a-f-]+\)$/m)
    const missingAsJson = await api(['GET', `/users/${crypto.randomUUID()}`, '-o', 'json'])
    const error = expect.objectContaining({ code: 'user_not_found', retryable: false })
    expect([missingAsJson.status, missingAsJson.stderr, JSON.parse(missingAsJson.stdout)]).toEqual([
      3,
      '',
      { ok: false, error },
    ])
    expect((await api(['GET', '/users'], { env: { OPERATOR_API_KEY: 'wrong' } })).status).toBe(4)
    const nobody = { OPERATOR_API_KEY: '', CH202_DATA_DIR: instance.shell.fresh() }
    expect((await api(['GET', '/health'], { env: nobody })).status).toBe(0)
    expect((await api(['GET', '/users'], { env: nobody })).status).toBe(4)
  })

  test('is indented on a terminal, without control characters', async () => {
    const email = newEmail()
    await api(['POST', '/users', '-d', JSON.stringify({ email, password: PASSWORD, name: 'Ana \u202e' })])
    const { screen, status } = await instance.shell.inTerminal(`ch202 api GET /users/by-email/${email}`).ended
    expect([status, screen]).toEqual([0, expect.stringContaining(`{\n  "id": "`)])
    expect(screen).toContain('"name": "Ana �"')
  })

  test('of any size is passed on completely, without being held in memory', async () => {
    const [part, times] = [Buffer.alloc(1 << 20, 'x'), 1200]
    let size = 0
    const big = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () =>
        new Response(
          (async function* () {
            for (let n = 0; n < times; n++) {
              // No more than this is under way, however slow the machine is.
              while (n * part.length - size > 100 * part.length) await Bun.sleep(1)
              yield part
            }
          })() as unknown as ReadableStream,
        ),
    })
    const child = Bun.spawn([process.execPath, join(ROOT, 'cli/main.ts'), 'api', 'GET', '/users/export'], {
      env: { ...instance.shell.env, USERS_URL: `http://127.0.0.1:${big.port}` },
      stdout: 'pipe',
      stderr: 'inherit',
    })
    for await (const chunk of child.stdout) size += chunk.length
    expect([await child.exited, size]).toEqual([0, part.length * times])
    expect((child.resourceUsage()?.maxRSS ?? 0) / (1 << 20)).toBeLessThan(times * 0.8)
    await big.stop(true)
  })
})

/** The response to each request in order; the last one repeats. */
type Behaviour = ('cut' | number | [status: number, code: string, retryAfter?: string | (() => string)])[]

interface ScriptedServer {
  server: Server
  url: string
  /** The first line of each request, in order. */
  seen: string[]
}

async function scriptedServer(behaviour: Behaviour): Promise<ScriptedServer> {
  const seen: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      const [line = ''] = bytes.toString().split(' HTTP/')
      if (!/^[A-Z]+ \//.test(line)) return
      const next = behaviour[Math.min(seen.length, behaviour.length - 1)] ?? 200
      seen.push(line)
      if (next === 'cut') return void socket.destroy()
      const [status, code = '', retryAfter] = typeof next === 'number' ? [next] : next
      const body = JSON.stringify({ statusCode: status, code, message: code, id: '1', email: 'ben@example.org' })
      const after = typeof retryAfter === 'function' ? retryAfter() : retryAfter
      const wait = after === undefined ? '' : `retry-after: ${after}\r\n`
      socket.write(
        `HTTP/1.1 ${status} X\r\n${wait}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      )
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as { port: number }
  return { server, url: `http://127.0.0.1:${port}`, seen }
}

describe('a request is tried again', () => {
  const busy: Behaviour = [[503, 'users_unavailable']]
  const overloaded: Behaviour = [[503, 'overloaded']]
  const limited: Behaviour = [[429, 'rate_limited']]
  const soon = () => new Date(Date.now() + 2500).toUTCString()
  const rows: [name: string, method: string, Behaviour, requests: number, status: number][] = [
    ['a read that is always 503', 'GET', busy, 4, 7],
    ['a read that is 503 twice', 'GET', [...busy, ...busy, 200], 3, 0],
    ['a read that is 502, then 504', 'GET', [502, 504, 200], 3, 0],
    ['a read that is cut', 'GET', ['cut'], 4, 7],
    ['a read that is cut once', 'GET', ['cut', 200], 2, 0],
    ['a read that is limited for a second', 'GET', [[429, 'rate_limited', '1'], 200], 2, 0],
    ['a read that is limited until a date', 'GET', [[429, 'rate_limited', soon], 200], 2, 0],
    ['a read that is limited for long', 'GET', [[429, 'rate_limited', '100']], 1, 7],
    ['a read that is limited for an invalid time', 'GET', [[429, 'rate_limited', 'later']], 1, 7],
    ['a read that fails', 'GET', [500], 1, 7],
    ['a read of nothing', 'GET', [404], 1, 3],
    ['a POST that is cut', 'POST', ['cut'], 1, 7],
    ['a PUT that is cut', 'PUT', ['cut'], 1, 7],
    ['a PATCH that is cut', 'PATCH', ['cut'], 1, 7],
    ['a DELETE that is cut', 'DELETE', ['cut'], 1, 7],
    ['a DELETE that is 503 from another service', 'DELETE', busy, 1, 7],
    ['a POST that is 503 from another service', 'POST', busy, 1, 7],
    ['a POST that is 502', 'POST', [502], 1, 7],
    ['a POST that was refused as overloaded', 'POST', [...overloaded, 200], 2, 0],
    ['a POST that was limited', 'POST', [...limited, 200], 2, 0],
  ]

  test('when that is safe, and only then', async () => {
    const look = async ([name, method, behaviour, requests, status]: (typeof rows)[number]) => {
      const { seen, server, url } = await scriptedServer(behaviour)
      const ended = await api([method, '/users', ...(method === 'GET' ? [] : ['-d', '{}'])], {
        env: { USERS_URL: url },
      })
      server.close()
      expect([name, ended.status, seen.length]).toEqual([name, status, requests])
      if (/for a second|until a date/.test(name)) expect([name, ended.took > 1000]).toEqual([name, true])
    }
    // A few at a time: each is a process.
    for (let at = 0; at < rows.length; at += 8) await Promise.all(rows.slice(at, at + 8).map(look))
  })

  test('not by Bun itself, on a connection that it reuses', async () => {
    const { seen, server, url } = await scriptedServer([200, 'cut'])
    const { status } = await runTool(['users', 'delete', 'ben@example.org', '--yes'], {
      env: { ...instance.shell.env, USERS_URL: url },
    })
    server.close()
    expect([status, seen]).toEqual([7, ['GET /api/v1/users/by-email/ben%40example.org', 'DELETE /api/v1/users/1']])
  })

  test('by any method, if the connection was refused', async () => {
    const port = freePort()
    const seen: string[] = []
    const running = instance.shell.start(`ch202 api POST /users -d '{}' --debug`, {
      env: { USERS_URL: `http://127.0.0.1:${port}` },
    })
    await eventually(() => running.stderr().includes('ECONNREFUSED'))
    const late = Bun.serve({
      port,
      hostname: '127.0.0.1',
      fetch: ({ method }) => {
        seen.push(method)
        return Response.json({})
      },
    })
    const { status, stderr } = await running.ended
    await late.stop(true)
    expect([status, seen]).toEqual([0, ['POST']])
    expect(stderr.includes(as.operator['x-api-key'])).toBe(false)
  })
})
