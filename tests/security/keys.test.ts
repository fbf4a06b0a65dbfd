import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import * as crypto from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Elysia } from 'elysia'
import { decodeProtectedHeader } from 'jose'
import { openAuthStore } from '../../db/auth/store.ts'
import { KeyRing } from '../../services/auth/key-ring.ts'
import { Sealing } from '../../services/auth/sealing.ts'
import type { AuthStore } from '../../services/auth/store.ts'
import { ClientAddress } from '../../services/kit/client-address.ts'
import { DAY, HOUR, MINUTE, SECOND, systemClock } from '../../services/kit/clock.ts'
import { guard } from '../../services/kit/guard.ts'
import { Problem } from '../../services/kit/problem.ts'
import { systemRandom } from '../../services/kit/random.ts'
import { expectProblem } from '../contract/shapes.ts'
import { InstanceInTime } from '../faults/instance-in-time.ts'
import {
  type Answer,
  as,
  call,
  eventually,
  INTERNAL_KEY,
  type Name,
  newEmail,
  OPERATOR_KEY,
  PASSWORD,
  registerUser,
  type System,
  startSystem,
} from '../harness.ts'
import { ch202, ownSettings, temporary } from '../processes.ts'
import { request } from '../sockets.ts'

setDefaultTimeout(60_000)

const NAMES = ['auth', 'users', 'modules'] as const
const operator = { headers: as.operator }

/** One instance in this process at a time: it takes over the intervals. */
function inTime(settings: Record<string, string>) {
  let instance: InstanceInTime | undefined
  const spies: { mockRestore(): void }[] = []
  afterEach(async () => {
    for (const spy of spies.splice(0)) spy.mockRestore()
    await instance?.stop()
    instance = undefined
  })
  const here = {
    settings,
    async start() {
      instance = new InstanceInTime(settings)
      await instance.start()
      return instance
    },
    get instance() {
      if (!instance) throw new Error('It was not started')
      return instance
    },
    restored: <T extends { mockRestore(): void }>(spy: T): T => {
      spies.push(spy)
      return spy
    },
    ask: (line: string, options?: Parameters<InstanceInTime['ask']>[1]) =>
      here.instance.ask(line.replace(' ', ' /api/v1'), options),
    async register() {
      const email = newEmail()
      const { body } = await here.ask('POST /auth/register', { body: { email, password: PASSWORD } })
      return { email, id: String(body.id), ...body.tokens } as Session
    },
    login: (email: string) => here.ask('POST /auth/login', { body: { login: email, password: PASSWORD } }),
    refresh: (refresh_token: string) => here.ask('POST /auth/refresh', { body: { refresh_token } }),
    /** What each of the three says to a token. */
    async each({ access_token, id }: Pick<Session, 'access_token' | 'id'>) {
      const headers = as.bearer(access_token)
      const paths = ['/auth/me', `/users/${id}`, '/modules/']
      return (await Promise.all(paths.map((path) => here.ask(`GET ${path}`, { headers })))).map(({ status }) => status)
    },
    keys: async (): Promise<Key[]> => (await here.ask('GET /admin/keys', operator)).body.items,
    active: async () => (await here.keys()).find(({ status }) => status === 'active')?.kid,
    published: async (): Promise<string[]> =>
      (await here.instance.ask('GET /.well-known/jwks.json')).body.keys.map(({ kid }: Key) => kid),
    rotations: async (): Promise<Record<string, unknown>[]> =>
      (await here.ask('GET /admin/audit?type=key.rotated', operator)).body.items,
    /** A rotation by age runs beside the requests. */
    rotatedFrom: (kid: string | undefined) =>
      eventually(async () => {
        const now = await here.active()
        return now === kid ? undefined : now
      }),
    /** What is looked at each minute is looked at, and done where there is something to do. */
    async aWhile() {
      await here.instance.pass(MINUTE)
      await Bun.sleep(50)
    },
  }
  return here
}

interface Session {
  email: string
  id: string
  access_token: string
  refresh_token: string
}

interface Key {
  kid: string
  status: string
}

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)

describe('check 39: a signing key that is old', () => {
  const here = inTime({ SIGNING_KEY_MAX_AGE: '30d', REFRESH_EXPIRE: '60d' })

  test('is replaced by the service itself, as by hand: once, no token refused, with a row that says who', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.pass(30 * DAY - 30 * SECOND)
    const user = await here.register()
    await Bun.sleep(50)
    expect(await here.active()).toBe(first)
    await here.aWhile()
    const second = String(await here.rotatedFrom(first))

    expect((await here.keys()).map(({ kid, status }) => [kid, status])).toEqual([
      [second, 'active'],
      [String(first), 'retiring'],
    ])
    expect((await here.published()).sort()).toEqual([String(first), second].sort())
    expect(kidOf(user.access_token)).toBe(String(first))
    expect(await here.each(user)).toEqual([200, 200, 200])
    const next = (await here.refresh(user.refresh_token)).body
    expect(kidOf(next.access_token)).toBe(second)
    expect(await here.each({ ...user, ...next })).toEqual([200, 200, 200])
    const row = { actor: 'auth', ip: null, request_id: null, user_id: null, detail: { kid: second } }
    expect(await here.rotations()).toEqual([expect.objectContaining(row)])

    for (let n = 0; n < 3; n++) await here.aWhile()
    expect(await here.active()).toBe(second)
    await instance.pass(HOUR + MINUTE)
    expect(await here.published()).toEqual([second])
    expect(await here.rotations()).toHaveLength(1)
  })

  test('while nothing ran: soon after the start', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.restart(30 * DAY)
    await here.rotatedFrom(first)
    const [row] = await here.rotations()
    expect(row).toMatchObject({ actor: 'auth' })
  })

  test('at the moment in which someone rotates by hand: one new key', async () => {
    const instance = await here.start()
    const first = await here.active()
    await instance.pass(30 * DAY - 30 * SECOND)
    const gate = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const activate = KeyRing.prototype.activate
    here.restored(
      spyOn(KeyRing.prototype, 'activate').mockImplementation(async function (this: KeyRing, ...given) {
        begun.resolve()
        await gate.promise
        return activate.apply(this, given)
      }),
    )
    const byHand = here.ask('POST /admin/keys/rotate', operator)
    await begun.promise
    await here.aWhile()
    gate.resolve()
    expect((await byHand).status).toBe(201)
    await here.aWhile()
    expect(await here.rotations()).toEqual([expect.objectContaining({ actor: 'operator' })])
    expect((await here.published()).length).toBe(2)
    expect(await here.active()).not.toBe(first)
  })

  test('by a clock that is set years forward and back, again and again: no storm of keys', async () => {
    const instance = await here.start()
    const first = await here.active()
    for (let years = 1; years <= 8; years++) {
      instance.step(years * 365 * DAY)
      await here.aWhile()
      if (years === 1) await here.rotatedFrom(first)
      await here.aWhile()
      instance.step(-years * 365 * DAY)
      await here.aWhile()
    }
    expect(await here.rotations()).toHaveLength(1)
    expect((await here.published()).length).toBeLessThanOrEqual(2)
    const user = await here.register()
    expect(await here.each(user)).toEqual([200, 200, 200])
  })

  test('and a rotation that fails: tried again each minute, and no key piles up', async () => {
    const instance = await here.start()
    const first = await here.active()
    const activate = here.restored(
      spyOn(KeyRing.prototype, 'activate').mockRejectedValue(new Error('the disk is full')),
    )
    await instance.pass(30 * DAY)
    for (let n = 0; n < 4; n++) await here.aWhile()
    expect(activate.mock.calls.length).toBeGreaterThan(3)
    expect((await here.published()).length).toBeLessThanOrEqual(2)
    expect(await here.keys()).toHaveLength(1)
    const user = await here.register()
    expect(await here.each(user)).toEqual([200, 200, 200])
    activate.mockRestore()
    await here.aWhile()
    await here.rotatedFrom(first)
    expect(await here.published()).toHaveLength(2)
    expect(await here.each(user)).toEqual([200, 200, 200])
  })
})

describe('check 39: the doctor says when the key that signs is older than SIGNING_KEY_MAX_AGE', () => {
  const folder = temporary('keys')
  const ago = (ms: number) => ({ now: () => Date.now() - ms, monotonic: systemClock.monotonic })
  afterAll(() => folder.remove())

  test.each([
    ['2h', 2 * HOUR + MINUTE, 'warning'],
    ['3h', 2 * HOUR + MINUTE, 'ok'],
    ['', 89 * DAY, 'ok'],
    ['', 91 * DAY, 'warning'],
    // Made while the clock was ahead.
    ['', -2 * DAY, 'warning'],
  ])('of %j, a key of %d ms: %s', async (SIGNING_KEY_MAX_AGE, age, status) => {
    const env = ownSettings(folder.fresh(), { SIGNING_KEY_MAX_AGE })
    mkdirSync(String(env.CH202_DATA_DIR), { mode: 0o700 })
    const store = openAuthStore(join(String(env.CH202_DATA_DIR), 'auth.sqlite'))
    await KeyRing.open(store, new Sealing([String(env.CH202_SECRET)], systemRandom), ago(age))
    store.close()
    const { stdout } = await ch202(['doctor', '--only', 'keys.age', '-o', 'json'], { env })
    expect(JSON.parse(stdout).items).toEqual([expect.objectContaining({ id: 'keys.age', status })])
  })
})

describe('check 39: the ring and the feed', () => {
  const nothing = async () => undefined
  const ringOn = (change: () => Promise<number>) => {
    const store = {
      signingKeys: async () => [],
      activateSigningKey: nothing,
      addSigningKey: change,
      removeSigningKey: change,
    }
    return KeyRing.open(store as unknown as AuthStore, new Sealing(['secret'], systemRandom), systemClock)
  }
  const kids = (ring: KeyRing | undefined) => ring?.jwks().map(({ kid }) => kid)

  test('whoever finds a change in the feed finds it among the published keys', async () => {
    let ring: KeyRing | undefined
    const told: unknown[] = []
    // It is written, and a poll reads it before whoever wrote it goes on.
    ring = await ringOn(async () => told.push(kids(ring)))
    told.length = 0
    const first = ring.active().kid
    const { kid } = await ring.add()
    await ring.activate(kid, Number.POSITIVE_INFINITY, null)
    await ring.remove(first, null)
    expect(told).toEqual([[first, kid], [kid]])
  })

  test('a change that is not written has not happened', async () => {
    let fails = false
    const ring = await ringOn(() => (fails ? Promise.reject(new Error('the disk is full')) : Promise.resolve(1)))
    const first = ring.active().kid
    fails = true
    await expect(ring.add()).rejects.toThrow('the disk is full')
    await expect(ring.remove(first, null)).rejects.toThrow('the disk is full')
    expect(kids(ring)).toEqual([first])
    expect(ring.signing().kid).toBe(first)
  })
})

describe('check 39: killed between the steps of', () => {
  const here = inTime({})
  type Step = 'add' | 'activate' | 'remove'
  const rows: [change: 'a rotation' | 'a removal', step: Step, when: 'before' | 'after'][] = [
    ['a rotation', 'add', 'before'],
    ['a rotation', 'add', 'after'],
    ['a rotation', 'activate', 'after'],
    ['a removal', 'add', 'after'],
    ['a removal', 'remove', 'before'],
    ['a removal', 'remove', 'after'],
  ]

  test.each(rows)('%s, at "%s", %s its commit: the ring works', async (change, step, when) => {
    const instance = await here.start()
    const old = String(await here.active())
    const user = await here.register()
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const real = KeyRing.prototype[step] as (this: KeyRing, ...given: unknown[]) => Promise<unknown>
    async function halted(this: KeyRing, ...given: unknown[]) {
      const done = when === 'after' ? await real.apply(this, given) : undefined
      reached.resolve()
      await gate.promise
      return when === 'after' ? done : await real.apply(this, given)
    }
    const spy = here.restored(spyOn(KeyRing.prototype, step).mockImplementation(halted as never))
    const asked = here.ask(change === 'a rotation' ? 'POST /admin/keys/rotate' : `DELETE /admin/keys/${old}`, operator)
    await reached.promise
    // The files are taken in this moment; what ran on goes on with the ones that are thrown away.
    const crashed = instance.crash(1000)
    gate.resolve()
    spy.mockRestore()
    await Promise.allSettled([asked, crashed])

    const removed = change === 'a removal' && step === 'remove' && when === 'after'
    const listed = await here.keys()
    expect(listed.filter(({ status }) => status === 'active')).toHaveLength(1)
    expect((await here.published()).sort()).toEqual(listed.map(({ kid }) => kid).sort())
    expect(listed.some(({ kid }) => kid === old)).toBe(!removed)
    expect(await here.each(user)).toEqual(removed ? [401, 401, 401] : [200, 200, 200])
    const next = await here.refresh(user.refresh_token)
    expect(await here.each({ ...user, ...next.body })).toEqual([200, 200, 200])
    // And the change can be asked for again.
    const { body } = await here.ask('POST /admin/keys/rotate', operator)
    expect(await here.active()).toBe(body.kid)
    for (const { kid } of listed) expect((await here.ask(`DELETE /admin/keys/${kid}`, operator)).status).toBe(204)
    expect(await here.published()).toEqual([body.kid])
    const fresh = (await here.login(user.email)).body
    expect(await here.each({ ...user, ...fresh })).toEqual([200, 200, 200])
    expect(await here.each({ ...user, ...next.body })).toEqual([401, 401, 401])
  })
})

describe('check 39: a new CH202_SECRET beside the old one', () => {
  const OLD = 'old-secret-of-the-tests-0123456789-01234567'
  const NEW = 'new-secret-of-the-tests-0123456789-01234567'
  const settings: Record<string, string> = { REFRESH_REUSE_GRACE: '1h' }
  const here = inTime(settings)
  const refreshV0 = (refreshToken: string) => here.instance.ask('POST /auth/refresh', { body: { refreshToken } })
  const restartWith = async (secret: string) => {
    settings.CH202_SECRET = secret
    await here.instance.restart(SECOND)
  }

  test('nothing is lost; without the old one, no more than the refresh tokens that it made', async () => {
    settings.CH202_SECRET = OLD
    await here.start()
    const [active, idle] = [await here.register(), await here.register()]
    const v0 = (await here.instance.ask('POST /auth/login', { body: { email: idle.email, password: PASSWORD } })).body
    const first: string = v0.refreshToken.token
    expect((await refreshV0(first)).status).toBe(200)
    const kid = await here.active()

    await restartWith(`${NEW},${OLD}`)
    expect(await here.active()).toBe(kid)
    expect(await here.each(active)).toEqual([200, 200, 200])
    const next = await here.refresh(active.refresh_token)
    expect(next.status).toBe(200)
    const again = await here.refresh(active.refresh_token)
    expect(again.body.refresh_token).toBe(next.body.refresh_token)
    // The answer was lost: what comes the second time is of the new secret, and is good.
    const repeated = await refreshV0(first)
    expect(repeated.status).toBe(200)
    expect((await refreshV0(repeated.body.refreshToken.token)).status).toBe(200)

    await restartWith(NEW)
    expect(await here.active()).toBe(kid)
    for (const session of [{ ...active, ...next.body }, idle]) expect(await here.each(session)).toEqual([200, 200, 200])
    expect((await here.refresh(next.body.refresh_token)).status).toBe(200)
    expectProblem(await here.refresh(idle.refresh_token), 401, 'invalid_refresh_token')
    expect((await refreshV0(repeated.body.refreshToken.token)).status).toBe(200)
    expect((await here.login(idle.email)).status).toBe(200)
  })
})

describe('check 23: the key that is shown is compared', () => {
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
    // White space at the ends is no part of a header's value (RFC 9110, 5.5).
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
    system = await startSystem('three processes', settings, { settingsOf: () => settings })
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
    'at %s, %s: missing, shortened, doubled, in the query, in another place → 401',
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
      // With the right one it is no longer a matter of the key.
      expect([200, 204, 400]).toContain((await call(system.url[name], line, { headers: as.internal })).status)
    },
  )

  test('and the operator key are rolled from old to new under load: two keys overlap without one failed call', async () => {
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
        // With all of them there nothing may fail, whatever each of them sends and takes.
        await load.aRound()
        await expectPropagation(system, load.keys.operator)
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

/** What one service tells another with its key arrives: by the feed, and by the outbox. */
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

/** Clients that ask all three services without a pause, with a key or a password. */
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

  /** While a service is away, what can't reach it is asked again. */
  async during(work: () => Promise<void>): Promise<void> {
    this.restarting = true
    await work()
    this.restarting = false
  }

  /** Every client has asked everything with all services there. */
  async aRound(): Promise<void> {
    const before = [...this.rounds]
    await eventually(() => this.rounds.every((rounds, client) => rounds > (before[client] ?? 0) + 1), 10_000)
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
    // Which asks users for the roles, with a key of its own.
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
    // Auth asks users, and users tells auth.
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
