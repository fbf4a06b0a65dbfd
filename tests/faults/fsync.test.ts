import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, call } from '../support/http.ts'
import { ownSettings, temporary } from '../support/tool.ts'
import { preloaded, type Syncing, straced } from './failing-sync.ts'
import { endAndRemove } from './left-behind.ts'

setDefaultTimeout(120_000)

const folder = temporary('fsync')
afterAll(() => endAndRemove(folder))

const DELAY = 120
const operator = { headers: as.operator }

const traced = await straced()
if (!traced) console.warn('fsync: strace can not be had here; it fails by a module in the process alone')
const syncing: Syncing = traced ?? preloaded(folder.path)

describe(`by ${traced ? 'strace' : 'a module in the process'}`, () => {
  const start = async () => {
    const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'warn' })
    const launched = async () => {
      const running = syncing.launch(['serve'], env)
      await running.printed(/ready at/)
      return running
    }
    const base = env.CH202_URL ?? ''
    const ask = (request: string, options?: Parameters<typeof call>[2]) => call(`${base}/api/v1`, request, options)
    const running = await launched()
    const email = newEmail()
    const { body } = await ask('POST /auth/register', { body: { email, password: PASSWORD } })
    return { base, ask, running, launched, email, id: body.id, tokens: body.tokens }
  }
  const refresh = (token: string) => ['POST /auth/refresh', { body: { refresh_token: token } }] as const

  test('check 33: while fsync fails, no write is acknowledged and reads work; then the service recovers', async () => {
    const { ask, base, email, id, launched, running, tokens } = await start()
    const bearer = { headers: as.bearer(tokens.access_token) }
    await syncing.fail()
    const writes = [
      refresh(tokens.refresh_token),
      ['POST /auth/login', { body: { login: email, password: PASSWORD } }],
      ['POST /auth/register', { body: { email: `1-${email}`, password: PASSWORD } }],
      [`PATCH /users/${id}`, { ...operator, body: { name: 'Another' } }],
      [`DELETE /users/${id}`, operator],
      ['POST /auth/logout', bearer],
    ] as const
    for (const [request, options] of writes) expectProblem(await ask(request, options), 503, 'database_unavailable')
    // Writes that share a commit are refused together.
    const many = await Promise.all(Array.from({ length: 16 }, () => ask(`PATCH /users/${id}`, writes[3][1])))
    expect(new Set(many.map(({ status }) => status))).toEqual(new Set([503]))
    expect((await call(base, 'GET /health/db')).status).toBe(503)
    expect((await ask('GET /auth/me', bearer)).body).toMatchObject({ id, name: null })
    expect((await ask(`GET /users/by-email/1-${email}`, operator)).status).toBe(404)

    await syncing.well()
    expect((await call(base, 'GET /health/db')).status).toBe(200)
    expect((await ask('GET /auth/me', bearer)).body).toMatchObject({ id, name: null })
    const next = await ask(...refresh(tokens.refresh_token))
    expect(next.status).toBe(200)
    expect((await ask('POST /auth/register', { body: { email: `1-${email}`, password: PASSWORD } })).status).toBe(201)
    expect((await ask(`PATCH /users/${id}`, writes[3][1])).body.name).toBe('Another')

    running.signal('SIGKILL')
    await running.ended
    const again = await launched()
    expect((await ask('GET /auth/me', bearer)).body).toMatchObject({ id, name: 'Another' })
    expect((await ask(...refresh(next.body.refresh_token))).status).toBe(200)
    expect((await ask(`GET /users/by-email/1-${email}`, operator)).status).toBe(200)
    again.signal('SIGTERM')
    expect((await again.ended).status).toBe(0)
  })

  test('check 33: every answer to a write waits for a slow fsync', async () => {
    const { ask, email, id, launched, running, tokens } = await start()
    await syncing.slow(DELAY)
    const writes = [
      refresh(tokens.refresh_token),
      ['POST /auth/login', { body: { login: email, password: PASSWORD } }],
      [`PATCH /users/${id}`, { ...operator, body: { name: 'Another' } }],
    ] as const
    for (const [request, options] of writes) {
      const began = performance.now()
      expect((await ask(request, options)).status).toBe(200)
      expect(performance.now() - began).toBeGreaterThan(DELAY - 5)
    }
    const began = performance.now()
    const answer = await ask('POST /users', { ...operator, body: { email: `1-${email}`, password: PASSWORD } })
    running.signal('SIGKILL')
    expect(answer.status).toBe(201)
    expect(performance.now() - began).toBeGreaterThan(DELAY - 5)
    await running.ended
    await syncing.well()
    const again = await launched()
    expect((await ask(`GET /users/by-email/1-${email}`, operator)).status).toBe(200)
    again.signal('SIGTERM')
    await again.ended
  })
})
