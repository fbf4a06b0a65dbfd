import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { logIn, registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { WHOLE } from '../support/whole.ts'
import { type Between, startProxy } from './proxy.ts'

/** `LOGOUTS=1000` runs the long measurement and prints its figures. */
const LOGOUTS = Number(process.env.LOGOUTS ?? (WHOLE ? 150 : 20))
const LONG = process.env.LOGOUTS !== undefined
const V1 = '/api/v1'
const CUTS = ['broken', 'silent'] as const
const APART: Name[] = ['users', 'modules']
/** Seconds that a service may decide without auth: longer than a logout and the checks after it take on a busy machine. */
const MAX_LAG = 10

setDefaultTimeout(Math.max(60_000, LOGOUTS * 300))

type Asked = (system: System, user: TestUser) => Promise<Answer>

const operator = (system: System, request: string, body?: object) => {
  const [method, path = ''] = request.split(' ')
  const base = path.startsWith('/auth') ? system.url.auth : system.url.users
  return call(base, `${method} ${V1}${path}`, { headers: as.operator, ...(body ? { body } : {}) })
}
const bearer = (system: System, { tokens }: TestUser, request: string) => {
  const [method, path] = request.split(' ')
  return call(system.url.auth, `${method} ${V1}${path}`, { headers: as.bearer(tokens.access_token) })
}

/** Requests whose answer promises that the token is refused from then on. */
const ENDS: Record<string, Asked> = {
  'a logout': (system, user) => bearer(system, user, 'POST /auth/logout'),
  'a logout everywhere': (system, user) => bearer(system, user, 'POST /auth/logout-all'),
  'a session deleted': (system, user) => bearer(system, user, `DELETE /auth/sessions/${user.tokens.session_id}`),
  'a token revoked': (system, { tokens }) =>
    call(system.url.auth, `POST ${V1}/auth/revoke`, { body: { token: tokens.refresh_token } }),
  'a user disabled': (system, { id }) => operator(system, `PATCH /users/${id}`, { status: 'disabled' }),
  'roles changed': (system, { id }) => operator(system, `PATCH /users/${id}`, { roles: ['USER', 'SALES'] }),
  'a password set': (system, { id }) =>
    operator(system, `POST /users/${id}/set-password`, { new_password: 'quite another phrase' }),
  'a user deleted': (system, { id }) => operator(system, `DELETE /users/${id}`),
}

/** Answers of the other services to a token, asked at once, each first in half of the rounds. */
async function others(system: System, token: string, round: number) {
  return await askEach(system, token, round % 2 === 0 ? APART : APART.toReversed())
}

async function openedAnew(system: System, user: TestUser): Promise<TestUser> {
  const { body } = await logIn(system, user.email)
  return { ...user, tokens: body }
}

function inOrder(times: number[]): { at(share: number): string } {
  const sorted = times.toSorted((a, b) => a - b)
  return { at: (share) => `${sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1)} ms` }
}

describe('check 16: from the answer on, no service accepts the token, four processes', () => {
  let system: System
  beforeAll(async () => {
    system = await processes('apart', { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  })
  afterAll(() => system?.stop())

  test.each(Object.entries(ENDS))('%s', async (name, end) => {
    const rounds = name === 'a logout' ? LOGOUTS : Math.ceil(LOGOUTS / 10)
    const times: number[] = []
    const accepted: unknown[] = []
    await atOnce(rounds, async (round) => {
      const user = await registerUser(system)
      // A token in the cache is checked again for its revocation only.
      expect(await others(system, user.tokens.access_token, round)).toEqual(all(200, APART))
      const sentAt = performance.now()
      const { status } = await end(system, user)
      times.push(performance.now() - sentAt)
      const answers = await others(system, user.tokens.access_token, round)
      expect(status).toBeWithin(200, 205)
      if (!Bun.deepEquals(answers, all('token_revoked', APART))) accepted.push({ round, answers })
      expect(await askEach(system, user.tokens.access_token, ['auth'])).toEqual(all('token_revoked', ['auth']))
    })
    expect(accepted).toEqual([])
    expect(times).toHaveLength(rounds)
    // The answer waits for the acknowledgements, at most a second; they arrive before the leases expire.
    expect(Math.max(...times)).toBeLessThan(PROMPT)
    const { at } = inOrder(times)
    if (LONG) console.log(`${rounds} × ${name}: 0 accepted; answered in ${at(0.5)} (median), ${at(0.99)} (p99)`)
  })

  test('a service that has just started refuses no valid token and accepts no revoked one', async () => {
    const user = await registerUser(system)
    const wrong: unknown[] = []
    let stopped = false
    // While the service is down its port is closed, and it answers nothing.
    const modules = async (token: string) =>
      (await askEach(system, token, ['modules']).catch(() => ({ modules: 'away' }))).modules
    const client = async () => {
      while (!stopped) {
        const { tokens } = await openedAnew(system, user)
        const good = await modules(tokens.access_token)
        await bearer(system, { ...user, tokens }, 'POST /auth/logout')
        const revoked = await modules(tokens.access_token)
        if (![200, 'away'].includes(good ?? 0) || !['token_revoked', 'away'].includes(String(revoked)))
          wrong.push({ good, revoked })
      }
    }
    const clients = Promise.all([client(), client(), client()])
    for (let round = 0; round < (LONG ? 10 : WHOLE ? 2 : 1); round++) {
      const [live, ended] = [await openedAnew(system, user), await openedAnew(system, user)]
      await system.kill('modules')
      await bearer(system, ended, 'POST /auth/logout')
      await system.start('modules')
      const answers = await Promise.all([modules(live.tokens.access_token), modules(ended.tokens.access_token)])
      expect(answers).toEqual([200, 'token_revoked'])
    }
    stopped = true
    await clients
    expect(wrong).toEqual([])
  })
})

test('a service that starts with a long feed accepts no token that is revoked far down in it', async () => {
  const system = await processes('apart', { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  try {
    await system.terminate('auth')
    // Many times more than one page of the feed.
    const database = new Database(join(system.dataDir, 'auth.sqlite'))
    const until = Date.now() + 3_600_000
    database.run(`
      WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 30000)
      INSERT INTO revocations (kind, subject, version, until) SELECT 'session', 'old-' || n, 0, ${until} FROM n`)
    database.close()
    await system.start('auth')
    const user = await registerUser(system)
    await bearer(system, user, 'POST /auth/logout')
    for (let round = 0; round < (WHOLE ? 3 : 1); round++)
      for (const name of APART) {
        await system.kill(name)
        await system.start(name)
        for (let n = 0; n < 20; n++)
          expect([name, round, n, await askEach(system, user.tokens.access_token, [name])]).toEqual([
            name,
            round,
            n,
            all('token_revoked', [name]),
          ])
      }
  } finally {
    await system.stop()
  }
})

describe('a service that is cut off from auth', () => {
  let system: System
  let toAuth: Between
  beforeAll(async () => {
    toAuth = await startProxy(() => system.url.auth, /\/auth\/revocations/)
    const env = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REVOCATION_MAX_LAG: `${MAX_LAG}s` }
    system = await processes('apart', env, {
      settingsOf: (name) => (name === 'modules' ? { AUTH_URL: toAuth.url } : {}),
    })
  })
  afterAll(async () => {
    await system?.stop()
    toAuth?.stop()
  })
  /** Waits until a poll was answered: when a second one arrives, the first was. */
  const followed = async () => {
    const befallen = toAuth.befallen
    toAuth.fates = [{}, {}]
    await eventually(() => toAuth.befallen === befallen + 2)
  }
  const modules = async ({ tokens }: TestUser) => (await askEach(system, tokens.access_token, ['modules'])).modules
  const users = async ({ tokens }: TestUser) => (await askEach(system, tokens.access_token, ['users'])).users
  const logOut = async (user: TestUser) => {
    const sentAt = performance.now()
    expect((await bearer(system, user, 'POST /auth/logout')).status).toBe(204)
    return performance.now() - sentAt
  }

  test.each(LONG ? CUTS : CUTS.slice(0, 1))('from the feed alone (%s) asks auth about each token', async (how) => {
    await followed()
    const registered = [registerUser(system), registerUser(system), registerUser(system)]
    const [live, first, later] = await Promise.all(registered)
    if (!live || !first || !later) throw new Error('Three were registered')
    for (const user of [live, first, later]) expect(await modules(user)).toBe(200)
    toAuth.cut = { paths: /\/auth\/revocations/, how }
    const cutAt = performance.now()
    // The first check waits until the lease has expired; later checks do not wait.
    expect(await logOut(first)).toBeLessThan(PROMPT)
    expect([await modules(first), await modules(live)]).toEqual(['token_revoked', 200])
    // While auth answers introspections, a silent feed is no reason to refuse a token.
    await Bun.sleep(Math.max(0, MAX_LAG * 1000 + 200 - (performance.now() - cutAt)))
    expect(await logOut(later)).toBeLessThan(PROMPT)
    expect([await modules(later), await modules(live)]).toEqual(['token_revoked', 200])
    toAuth.cut = undefined
    expect([await modules(first), await modules(later), await modules(live)]).toEqual([
      'token_revoked',
      'token_revoked',
      200,
    ])
  })

  test.each(LONG ? CUTS : CUTS.slice(1))(
    'completely (%s) refuses tokens known to be revoked, accepts the others until its lease expires, then refuses all',
    async (how) => {
      await followed()
      const registered = [registerUser(system), registerUser(system), registerUser(system)]
      const [live, loggedOutBefore, loggedOutDuring] = await Promise.all(registered)
      if (!live || !loggedOutBefore || !loggedOutDuring) throw new Error('Three were registered')
      for (const user of [live, loggedOutBefore, loggedOutDuring]) expect(await modules(user)).toBe(200)
      await logOut(loggedOutBefore)
      toAuth.cut = { paths: /^/, how }
      expect(await logOut(loggedOutDuring)).toBeLessThan(PROMPT)
      // Auth has published the revocation, and connected services have it.
      expect([await users(loggedOutDuring), await users(live)]).toEqual(['token_revoked', 200])
      expect(await Promise.all([loggedOutBefore, loggedOutDuring, live].map(modules))).toEqual([
        'token_revoked',
        200,
        200,
      ])
      await eventually(async () => (await modules(live)) === 'auth_unavailable')
      expect(await Promise.all([loggedOutBefore, loggedOutDuring, live].map(modules))).toEqual([
        'token_revoked',
        'auth_unavailable',
        'auth_unavailable',
      ])
      toAuth.cut = undefined
      // Auth is asked again as soon as possible, at the latest after the backoff.
      await eventually(async () => (await modules(live)) === 200)
      expect(await Promise.all([loggedOutBefore, loggedOutDuring, live].map(modules))).toEqual([
        'token_revoked',
        'token_revoked',
        200,
      ])
    },
  )
})
