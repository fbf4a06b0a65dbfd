import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { connect } from 'node:net'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { as, call, jsonLines } from '../support/http.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from '../support/settings.ts'
import { inProcess, type System } from '../support/system.ts'
import { launch } from '../support/tool.ts'

setDefaultTimeout(120_000)

/** Seconds. The server checks for idle connections every four seconds, and closes them four to eight seconds later. */
const IDLE = 1
/** Milliseconds: longer than the server keeps an idle connection. */
const LONGER = 10_000
/** Users with as much data as one may have: their list is much longer than the buffers between a server and its client. */
const USERS = 1000
const PER_REQUEST = 50

let system: System
beforeAll(async () => {
  system = await inProcess({ IDLE_TIMEOUT: `${IDLE}s`, RATE_LIMIT: 'off' })
  const data = { text: 'x'.repeat(8000) }
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
  for (let from = 0; from < USERS; from += PER_REQUEST) {
    const users = Array.from({ length: PER_REQUEST }, (_, n) => ({
      email: `u${from + n}@example.org`,
      password_hash,
      metadata: data,
      app_metadata: data,
    }))
    const { text } = await call(system.url.users, 'POST /api/v1/users/import', jsonLines(users))
    expect(text.match(/"created"/g)?.length).toBe(PER_REQUEST)
  }
})
afterAll(() => system?.stop())

interface Talk {
  received: string
  /** Milliseconds between the last byte and the close by the server. */
  idle: number
}

/** Sends each part after its delay, reads nothing for `pause` milliseconds, and then reads until the server closes. */
function talk(parts: readonly (readonly [delay: number, bytes: string])[], pause = 0): Promise<Talk> {
  const { hostname, port } = new URL(system.url.users)
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let lastByteAt = performance.now()
    const socket = connect(Number(port), hostname)
    if (pause > 0) {
      socket.pause()
      setTimeout(() => socket.resume(), pause)
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      lastByteAt = performance.now()
    })
    socket.on('error', () => undefined)
    socket.on('close', () =>
      resolve({ received: Buffer.concat(chunks).toString('latin1'), idle: performance.now() - lastByteAt }),
    )
    const send = async () => {
      for (const [delay, bytes] of parts) {
        await Bun.sleep(delay)
        socket.write(bytes)
      }
    }
    void send()
  })
}

const head = (line: string, ...headers: string[]) =>
  [`${line} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n')
const status = ({ received }: Talk) => Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0)

// Most of the time the tests wait, so all of them run at once.
describe.concurrent('R13', () => {
  test('a connection without a request is kept open for IDLE_TIMEOUT, and closed soon after', async () => {
    // Connections that begin at different times between two checks of the server.
    const talks = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        await Bun.sleep(n * 500)
        return talk([[0, head('GET /health')]])
      }),
    )
    for (const one of talks) {
      expect(status(one)).toBe(200)
      expect(one.idle).toBeGreaterThan(IDLE * 1000)
      expect(one.idle).toBeLessThan(20_000)
    }
  })

  test('a connection that is used again in time is kept open', async () => {
    const again = Array.from({ length: 8 }, () => [1000, head('GET /health')] as const)
    const { received } = await talk(again)
    expect(received.match(/"status":"ok"/g)?.length).toBe(8)
  })

  test('a connection with a request under way is not idle, however slow the client is', async () => {
    const email = newEmail()
    const body = JSON.stringify({ email, password: PASSWORD })
    const length = `Content-Length: ${body.length}`
    const slow = await talk([
      [0, head('POST /api/v1/auth/register', 'Content-Type: application/json', length)],
      [LONGER, body],
    ])
    expect([status(slow), slow.received.includes(email)]).toEqual([201, true])
    // The connection is idle from then on.
    expect(slow.idle).toBeLessThan(20_000)
  })

  const key = `X-API-Key: ${OPERATOR_KEY}`

  test('NDJSON lines are complete when their reader pauses', async () => {
    const read = await talk([[0, head('GET /api/v1/users/export', key)]], LONGER)
    expect(status(read)).toBe(200)
    expect(read.received.length).toBeGreaterThan(USERS * 16_000)
    expect(read.received.match(/"email":"u\d+@/g)?.length).toBe(USERS)
    expect(read.received).toEndWith('0\r\n\r\n')
    expect(read.idle).toBeLessThan(5000)
  })

  test('NDJSON lines are complete when they are sent slowly', async () => {
    const lines = [newEmail(), newEmail(), newEmail()].map(
      (email) => `${JSON.stringify({ email, password: PASSWORD })}\n`,
    )
    const length = `Content-Length: ${lines.join('').length}`
    const sent = await talk([
      [0, head('POST /api/v1/users/import', key, 'Content-Type: application/x-ndjson', length)],
      ...lines.map((line) => [LONGER / 2, line] as const),
    ])
    expect([status(sent), sent.received.match(/"status":"created"/g)?.length]).toEqual([200, 3])
  })

  test('NDJSON lines are written completely by the tool, into a pipe that pauses', async () => {
    const line = `"${process.execPath}" cli/main.ts users export | (head -c 1000 > /dev/null; sleep ${LONGER / 1000}; wc -l)`
    const env = { USERS_URL: system.url.users, AUTH_URL: system.url.auth, OPERATOR_API_KEY: OPERATOR_KEY }
    const { stderr, stdout } = await launch(['sh', '-c', line], { env }).ended
    expect(stderr).not.toContain('✗')
    // `head` read some of them.
    expect(Number(stdout)).toBeGreaterThan(USERS - 100)
  })
})

test('R13: only authorized exports and imports have no time limit', async () => {
  // A system for this test alone: others would add calls to the spy.
  const system = await inProcess({ LOG_LEVEL: 'silent' })
  const { server } = system.app('users')
  if (!server) throw new Error('The app has no server')
  const limits = spyOn(server, 'timeout')
  const lines = { ...as.operator, 'content-type': 'application/x-ndjson' }
  const rows: [request: string, headers: Record<string, string>, status: number, limits: number[]][] = [
    ['GET /users/export', as.operator, 200, [0]],
    ['GET /api/v1/users/export', as.operator, 200, [0]],
    ['POST /users/import', lines, 200, [0]],
    ['GET /users/export', {}, 401, []],
    ['POST /users/import', { ...lines, 'x-api-key': INTERNAL_KEY }, 403, []],
    ['GET /users', as.operator, 200, []],
    ['GET /auth/sessions?all=true', as.operator, 200, []],
    ['GET /health', {}, 200, []],
  ]
  for (const [request, headers, status, expected] of rows) {
    limits.mockClear()
    const body = request.startsWith('POST') ? { body: '' } : {}
    expect([request, (await call(system.url.users, request, { headers, ...body })).status]).toEqual([request, status])
    expect([request, limits.mock.calls.map(([, seconds]) => seconds)]).toEqual([request, expected])
  }
  await system.stop()
})
