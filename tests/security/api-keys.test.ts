import { afterAll, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import * as crypto from 'node:crypto'
import { Elysia } from 'elysia'
import { ClientAddress } from '../../services/kit/client-address.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { guard } from '../../services/kit/http/guard.ts'
import { Problem } from '../../services/kit/problem.ts'
import { newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import { INTERNAL_KEY, type Name, OPERATOR_KEY } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import type { System } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'

setDefaultTimeout(120_000)

const NAMES = ['auth', 'users', 'modules'] as const

describe('check 23: the presented key is compared', () => {
  const KEYS = {
    internal: ['internal-one', 'internal-two', 'internal-three'],
    operator: ['operator-one', 'operator-two'],
  }
  const compare = spyOn(crypto, 'timingSafeEqual')
  afterAll(() => compare.mockRestore())
  const app = new Elysia()
    .use(
      guard({
        tokens: { check: () => ({ valid: false, reason: 'malformed' }) },
        internalKeys: KEYS.internal,
        operatorKeys: KEYS.operator,
        clientAddress: new ClientAddress([]),
        clock: systemClock,
      }),
    )
    .onError(({ error }) => new Response('', { status: error instanceof Problem ? error.status : 500 }))
    .get('/', () => 'ok', { auth: ['internal'] })

  test.each([
    ...KEYS.internal.map((key) => [key, 200] as const),
    ...['x', 'internal-on', 'internal-one ', 'Internal-one', 'internal-one,internal-two', 'x'.repeat(5000)].map(
      (key) => [key.slice(0, 40), 401] as const,
    ),
  ])('with every key in turn, as digests, in constant time: %j', async (key, status) => {
    compare.mockClear()
    const answer = await app.handle(
      new Request('http://localhost/', { headers: { 'x-api-key': `"${key}"`.slice(1, -1) } }),
    )
    // White space at the ends is not part of a header's value (RFC 9110, 5.5).
    expect(answer.status).toBe(key === 'internal-one ' ? 200 : status)
    expect(compare.mock.calls.map(([one, other]) => [one.byteLength, other.byteLength])).toEqual(
      Array.from({ length: 5 }, () => [32, 32]),
    )
  })
})

const NEW_KEYS = {
  internal: 'new-internal-key-of-the-tests-0123456789ab',
  operator: 'new-operator-key-of-the-tests-0123456789ab',
}
const OLD_KEYS = { internal: INTERNAL_KEY, operator: OPERATOR_KEY }

describe('check 23: the internal key', () => {
  const settings: Record<string, string> = { RATE_LIMIT: 'off', LOG_LEVEL: 'warn' }
  let system: System
  beforeAll(async () => {
    system = await processes('apart', settings, { settingsOf: () => settings })
  })
  afterAll(() => system?.stop())

  const PATHS: [Name, string][] = [
    ['auth', 'GET /api/v1/auth/revocations?follower=x&after=0&epoch=x'],
    ['auth', 'POST /api/v1/auth/sync/user-deleted'],
    ['users', 'GET /api/v1/users/password-hashes'],
    ['users', 'POST /api/v1/users/verify-credentials'],
    ['modules', 'POST /api/v1/modules/sync/user-deleted'],
  ]

  test.each(PATHS)(
    'at %s, %s: missing, shortened, doubled, in the query, in another header → 401',
    async (name, line) => {
      const key = INTERNAL_KEY
      const wrong: Record<string, string>[] = [
        {},
        { 'x-api-key': '' },
        { 'x-api-key': ' ' },
        { 'x-api-key': key.slice(0, -1) },
        { 'x-api-key': key.slice(1) },
        { 'x-api-key': `${key}x` },
        { 'x-api-key': key + key },
        { 'x-api-key': `${key},${key}` },
        { 'x-api-key': `${key}, ${key}` },
        { 'x-api-key': `${key.slice(0, 9)} ${key.slice(9)}` },
        { 'x-api-key': `${key}%20` },
        { 'x-api-key': `"${key}"` },
        { 'x-api-key': key.toUpperCase() },
        { 'x-api-key': `Bearer ${key}` },
        { authorization: `Bearer ${key}` },
        { authorization: `Basic ${btoa(`internal:${key}`)}` },
        { cookie: `x-api-key=${key}` },
        { 'x-internal-key': key },
      ]
      const refused = { status: 401, code: expect.stringMatching(/^(invalid_api_key|missing_token|invalid_token)$/) }
      for (const headers of wrong) {
        const { body, status, text } = await call(system.url[name], line, { headers })
        expect([headers, { status, code: body.code }]).toEqual([headers, refused])
        expect(text).not.toContain(key)
      }
      const query = `${line}${line.includes('?') ? '&' : '?'}x-api-key=${key}&X-API-Key=${key}&api_key=${key}`
      expect((await call(system.url[name], query)).status).toBe(401)
      const twice = ['Host: localhost', `X-API-Key: ${key}`, `X-API-Key: ${key}`]
      expect((await request(system.url[name], `${line} HTTP/1.1`, twice)).status).toBe(401)
      const empty = ['Host: localhost', 'X-API-Key:', `X-API-Key: ${key}`]
      expect((await request(system.url[name], `${line} HTTP/1.1`, empty)).status).toBe(401)
      // With the right key the request is not refused for its key.
      expect([200, 204, 400]).toContain((await call(system.url[name], line, { headers: as.internal })).status)
    },
  )

  test('and the operator key are rotated under load: while two keys overlap no call fails', async () => {
    const user = await registerUser(system)
    const load = new Load(system, user.id, user.email)
    const roll = async (of: (which: keyof typeof OLD_KEYS) => string) => {
      settings.INTERNAL_API_KEY = of('internal')
      settings.OPERATOR_API_KEY = of('operator')
      for (const name of NAMES) {
        await load.during(async () => {
          await system.terminate(name)
          await system.start(name)
        })
        // While all services run no call may fail, whichever keys each of them sends and accepts.
        await load.aRound()
        // In the suite notices are sent once all services have the keys.
        if (WHOLE || name === NAMES.at(-1)) await expectPropagation(system, load.keys.operator)
      }
    }
    load.start()
    await roll((which) => `${OLD_KEYS[which]},${NEW_KEYS[which]}`)
    load.keys = NEW_KEYS
    await roll((which) => `${NEW_KEYS[which]},${OLD_KEYS[which]}`)
    await roll((which) => NEW_KEYS[which])
    const { failed, done } = await load.stop()
    expect(failed).toEqual([])
    expect(done).toBeGreaterThan(100)
    for (const name of NAMES) {
      const paths = { auth: '/admin/keys', users: '/users', modules: '/modules' }
      const asOperator = async (key: string) =>
        (await call(system.url[name], `GET /api/v1${paths[name]}`, { headers: { 'x-api-key': key } })).status
      expect([name, await asOperator(OLD_KEYS.operator), await asOperator(NEW_KEYS.operator)]).toEqual([name, 401, 200])
    }
    for (const [name, line] of PATHS) {
      const of = async (key: string) => (await call(system.url[name], line, { headers: { 'x-api-key': key } })).status
      expect(await of(OLD_KEYS.internal)).toBe(401)
      expect([200, 204, 400]).toContain(await of(NEW_KEYS.internal))
    }
  })
})

/** Expects notices between services, sent with the key, to arrive by the feed and by the outbox. */
async function expectPropagation(system: System, key: string): Promise<void> {
  const { id, tokens } = await registerUser(system)
  const headers = as.bearer(tokens.access_token)
  expect((await call(system.url.auth, 'POST /api/v1/auth/logout', { headers })).status).toBe(204)
  const paths = { auth: '/auth/sessions', users: `/users/${id}`, modules: '/modules' }
  for (const name of NAMES)
    expect((await call(system.url[name], `GET /api/v1${paths[name]}`, { headers })).status).toBe(401)
  const asOperator = { 'x-api-key': key }
  await call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: asOperator })
  await eventually(async () => {
    const { body } = await call(system.url.auth, `GET /api/v1/admin/audit?type=user.deleted&user_id=${id}`, {
      headers: asOperator,
    })
    return body.items.length === 1
  })
}

/** Clients that call all three services continuously, with a key or a password. */
class Load {
  keys: { internal: string; operator: string } = OLD_KEYS
  private readonly failed: unknown[] = []
  private done = 0
  private rounds: number[] = []
  private restarting = false
  private running = true
  private clients: Promise<void>[] = []

  constructor(
    private readonly system: System,
    private readonly userId: string,
    private readonly email: string,
  ) {}

  start(): void {
    const asks = [() => this.askAsOperator(), () => this.askAsService(), () => this.askAsUser()]
    this.rounds = asks.map(() => 0)
    this.clients = asks.map(async (ask, client) => {
      while (this.running) {
        await ask()
        this.rounds[client] = (this.rounds[client] ?? 0) + 1
        await Bun.sleep(5)
      }
    })
  }

  async stop() {
    this.running = false
    await Promise.all(this.clients)
    return { failed: this.failed, done: this.done }
  }

  /** Retries calls that fail because a service is down. */
  async during(work: () => Promise<void>): Promise<void> {
    this.restarting = true
    await work()
    this.restarting = false
  }

  /** Waits until every client has made every call with all services up. */
  async aRound(): Promise<void> {
    const before = [...this.rounds]
    await eventually(() => this.rounds.every((rounds, client) => rounds > (before[client] ?? 0) + 1))
  }

  private async askAsOperator() {
    const headers = () => ({ 'x-api-key': this.keys.operator })
    await this.ask('users', 'GET /users?size=2', () => ({ headers: headers() }))
    await this.ask('auth', 'GET /admin/keys', () => ({ headers: headers() }))
    await this.ask('modules', 'GET /modules', () => ({ headers: headers() }))
    await this.ask('modules', 'GET /metrics', () => ({ headers: as.bearer(this.keys.operator) }))
  }

  private async askAsService() {
    const headers = () => ({ 'x-api-key': this.keys.internal })
    await this.ask('users', 'GET /users/password-hashes', () => ({ headers: headers() }))
    // Auth asks users for the roles, with its own key.
    await this.ask('modules', `GET /modules/users/${this.userId}`, () => ({ headers: headers() }))
    await this.ask('auth', 'POST /auth/introspect', () => ({
      headers: { ...headers(), 'content-type': 'application/x-www-form-urlencoded' },
      body: 'token=x',
    }))
  }

  private async askAsUser() {
    const body = { login: this.email, password: PASSWORD }
    const tokens = (await this.ask('auth', 'POST /auth/login', () => ({ body })))?.body
    if (!tokens) return
    // Auth calls users, and users sends notices to auth.
    await this.ask('auth', 'POST /auth/register', () => ({ body: { email: newEmail(), password: PASSWORD } }))
    const { refresh_token } = tokens
    await this.ask('auth', 'POST /auth/refresh', () => ({ body: { refresh_token } }))
    const headers = as.bearer(tokens.access_token)
    await this.ask('users', `GET /users/${this.userId}`, () => ({ headers }))
    await this.ask('modules', 'GET /modules', () => ({ headers }))
  }

  private async ask(name: Name, line: string, options: () => Parameters<typeof call>[2]): Promise<Answer | undefined> {
    for (;;) {
      const away = this.restarting
      const path = line.endsWith('/metrics') ? line : line.replace(' ', ' /api/v1')
      const answer = await call(this.system.url[name], path, options()).catch((error: Error) => error)
      if (!(answer instanceof Error) && answer.status < 300) {
        this.done++
        return answer
      }
      const cutOff = answer instanceof Error || /^(users|auth)_unavailable$/.test(answer.body.code)
      if (!cutOff || !(away || this.restarting)) {
        this.failed.push([name, line, answer instanceof Error ? answer.message : [answer.status, answer.body.code]])
        return undefined
      }
      await Bun.sleep(20)
    }
  }
}
