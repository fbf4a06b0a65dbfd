import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LOGIN_OUTCOMES } from '../../services/auth/login/outcome.ts'
import { DAY, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { recordDrill } from '../../services/kit/process/backup-drill.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { eventually, PATIENCE } from '../support/eventually.ts'
import { enrolApp } from '../support/factors.ts'
import { as, byOperator, call } from '../support/http.ts'
import { scrape } from '../support/metrics.ts'
import { movingClock } from '../support/moving-clock.ts'
import { changeRows } from '../support/postgres/database-rows.ts'
import { receivers } from '../support/servers/receiver.ts'
import { inThisProcess, type System } from '../support/system.ts'
import { runTool } from '../support/tool.ts'
import { WHOLE } from '../support/whole.ts'

setDefaultTimeout(2 * PATIENCE)

const receiver = receivers()

describe.each(['sqlite', 'postgres'] as const)('S5: what metrics show, on %s', (databases) => {
  /** Tests of what a process counts in its memory: in the suite with SQLite files alone. */
  const testOfMemory = databases === 'sqlite' || WHOLE ? test : undefined
  const clock = movingClock()
  const systems: System[] = []
  /** Starts a system that ends with the test. */
  const start = async (env: Record<string, string> = {}, layout: 'together' | 'apart' = 'together') => {
    const system = await inThisProcess({ RATE_LIMIT: 'off', ...env }, { databases, layout, clock })
    systems.push(system)
    return system
  }
  const stopAll = async () => {
    for (const system of systems.splice(0)) await system.stop()
  }
  afterEach(stopAll)
  afterAll(stopAll)

  /** By how much a counter grows while something happens, by its outcome. Those that stay are left out. */
  const growth = async (
    system: System,
    metric: string,
    cause: () => Promise<unknown>,
    labels: Record<string, string> = {},
    outcomes: readonly string[] = LOGIN_OUTCOMES,
  ) => {
    const read = async () => {
      const now = await scrape(system.url.auth)
      return outcomes.map((outcome) => now.sum(metric, { ...labels, outcome }))
    }
    const before = await read()
    await cause()
    const after = await read()
    const grown = outcomes.map((outcome, at) => [outcome, (after[at] ?? 0) - (before[at] ?? 0)] as const)
    return Object.fromEntries(grown.filter(([, by]) => by !== 0))
  }

  testOfMemory?.('logins, by their outcome', async () => {
    const system = await start({ RATE_LIMIT: 'on' })
    const { email, id, tokens } = await createUser(system, { email_verified: true })
    const logins = (cause: () => Promise<unknown>) => growth(system, 'ch202_logins_total', cause)
    expect(await logins(() => logIn(system, email))).toEqual({ succeeded: 1 })
    const v0 = () => call(system.url.auth, 'POST /auth/login', { body: { email, password: PASSWORD } })
    expect(await logins(v0)).toEqual({ succeeded: 1 })
    expect(await logins(() => logIn(system, email, 'not the right one'))).toEqual({ refused: 1 })
    expect(await logins(() => logIn(system, newEmail()))).toEqual({ refused: 1 })
    const faulty = () => call(system.url.auth, 'POST /api/v1/auth/login', { body: { nickname: 'ana' } })
    expect(await logins(faulty)).toEqual({})
    // A registration and a refresh are no logins.
    expect(await logins(() => registerUser(system))).toEqual({})

    const { app } = await enrolApp(system, tokens.access_token, clock.now())
    clock.pass(MINUTE)
    let challenge = ''
    const first = async () => {
      challenge = (await logIn(system, email)).body.challenge_id
    }
    expect(await logins(first)).toEqual({ continued: 1 })
    const second = (code: string) =>
      call(system.url.auth, 'POST /api/v1/auth/second-factor', { body: { challenge_id: challenge, code } })
    expect(await logins(() => second('000000'))).toEqual({ refused: 1 })
    expect(await logins(() => second(app.codeAt(clock.now())))).toEqual({ succeeded: 1 })

    await call(system.url.users, `PATCH /api/v1/users/${id}`, byOperator({ status: 'disabled' }))
    expect(await logins(() => logIn(system, email))).toEqual({ disabled: 1 })
    const guesses = async () => {
      for (let n = 0; n < 10; n++) await logIn(system, 'nobody-guesses', 'not the right one')
    }
    expect(await logins(guesses)).toEqual({ refused: 10 })
    expect(await logins(() => logIn(system, 'nobody-guesses'))).toEqual({ rate_limited: 1 })
  })

  testOfMemory?.('what is refused because too many passwords wait to be hashed', async () => {
    const system = await start({ HASH_QUEUE: '0', BCRYPT_COST: '11' })
    const people = [await registerUser(system), await registerUser(system)]
    const load = (name: string) => scrape(system.url.auth).then((now) => now.sum(`ch202_hash_queue_${name}`))
    expect([await load('waiting'), await load('running'), await load('shed_total')]).toEqual([0, 0, 0])
    const statuses: number[] = []
    /** Logs in forty times at once, until a scrape has seen a hash in work. */
    const logins = async () => {
      for (let isSeen = false; !isSeen; ) {
        let isOver = false
        const wave = Promise.all(Array.from({ length: 40 }, (_, n) => logIn(system, people[n % 2]?.email ?? '')))
        const end = wave.then((answers) => {
          isOver = true
          statuses.push(...answers.map(({ status }) => status))
        })
        while (!isSeen && !isOver) isSeen = (await load('running')) > 0
        await end
      }
    }
    const { overloaded, succeeded } = await growth(system, 'ch202_logins_total', logins)
    const refused = statuses.filter((status) => status === 503).length
    expect(refused).toBeGreaterThan(0)
    expect([overloaded, succeeded, await load('shed_total')]).toEqual([refused, statuses.length - refused, refused])
    expect([await load('waiting'), await load('running')]).toEqual([0, 0])
  })

  const mailed = ['sent', 'retry', 'refused', 'misconfigured', 'expired']

  testOfMemory?.('mails, by their outcome', async () => {
    const system = await start()
    const { email } = await createUser(system, { email_verified: true })
    const waiting = async () => (await scrape(system.url.auth)).sum('ch202_outbox_waiting', { outbox: 'mails' })
    await eventually(async () => (await waiting()) === 0)
    const reset = async () => {
      await call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
      await eventually(async () => (await waiting()) === 0)
    }
    expect(await growth(system, 'ch202_mails_total', reset, {}, mailed)).toEqual({ sent: 1 })
  })

  test('mails that wait, and for how long', async () => {
    const system = await start({ SMTP_URL: 'smtp://127.0.0.1:1' })
    const { email } = await createUser(system, { email_verified: true })
    const outbox = async (what: string) =>
      (await scrape(system.url.auth)).sum(`ch202_outbox_${what}`, { service: 'auth', outbox: 'mails' })
    const reset = async () => {
      await call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email } })
      await eventually(async () => (await scrape(system.url.auth)).sum('ch202_mails_total', { outcome: 'retry' }) > 0)
    }
    const { retry, ...others } = await growth(system, 'ch202_mails_total', reset, {}, mailed)
    expect([Number(retry) > 0, others]).toEqual([true, {}])
    expect([await outbox('waiting'), (await outbox('oldest_seconds')) < 300]).toEqual([1, true])
    clock.pass(5 * MINUTE)
    expect(await outbox('oldest_seconds')).toBeWithin(300, 600)
  })

  test('deliveries of events, by their outcome; those that wait; dead letters', async () => {
    const system = await start()
    const to = receiver()
    const outcomes = ['delivered', 'postponed', 'dead']
    const auth = (request: string, body?: unknown) => call(system.url.auth, request, byOperator(body))
    const { body } = await auth('POST /api/v1/admin/webhooks', { url: to.url, types: ['user.created'] })
    const outbox = async (what: string, name = 'webhooks') =>
      (await scrape(system.url.auth)).sum(`ch202_outbox_${what}`, { service: 'auth', outbox: name })
    const cause = async (ends: () => Promise<boolean>) => {
      await call(system.url.users, 'POST /api/v1/users', byOperator({ email: newEmail(), password: PASSWORD }))
      await eventually(ends)
    }
    const deliveries = (ends: () => Promise<boolean>) =>
      growth(system, 'ch202_deliveries_total', () => cause(ends), { receiver: 'webhook' }, outcomes)
    const total = async (outcome: string) =>
      (await scrape(system.url.auth)).sum('ch202_deliveries_total', { receiver: 'webhook', outcome })
    expect(await deliveries(async () => (await total('delivered')) === 1)).toEqual({ delivered: 1 })
    expect([await outbox('waiting'), await outbox('oldest_seconds')]).toEqual([0, 0])

    to.answers = () => new Response(null, { status: 503 })
    expect(await deliveries(async () => (await total('postponed')) > 0)).toMatchObject({
      postponed: expect.any(Number),
    })
    clock.pass(10 * SECOND)
    expect(await outbox('waiting')).toBe(1)
    expect(await outbox('oldest_seconds')).toBeGreaterThanOrEqual(10)
    expect([await outbox('waiting', 'amqp'), await outbox('oldest_seconds', 'amqp')]).toEqual([0, 0])

    const dead = async () => (await scrape(system.url.auth)).sum('ch202_deliveries_dead')
    expect(await dead()).toBe(0)
    // The webhook asks for no further events.
    to.answers = () => new Response(null, { status: 410 })
    await cause(async () => (await total('dead')) > 0)
    await eventually(async () => (await dead()) > 0 && (await outbox('waiting')) === 0)
    expect((await auth(`DELETE /api/v1/admin/webhooks/${body.id}`)).status).toBe(204)
    expect(await dead()).toBe(0)
  })

  test('notices that no service acknowledges, for how long, and that the service should get no requests', async () => {
    const system = await start({}, 'apart')
    const { id } = await createUser(system)
    const users = async (metric: string, labels = {}) =>
      (await scrape(system.url.users)).sum(metric, { service: 'users', ...labels })
    const toAuth = (what: string) => users(`ch202_outbox_${what}`, { outbox: 'auth' })
    await eventually(async () => (await toAuth('waiting')) === 0)
    await eventually(async () => (await users('ch202_ready')) === 1)
    expect([await toAuth('oldest_seconds'), await users('ch202_outbox_waiting', { outbox: 'modules' })]).toEqual([0, 0])
    await system.terminate('auth')
    await call(system.url.users, `PATCH /api/v1/users/${id}`, byOperator({ name: 'Ana' }))
    expect(await toAuth('waiting')).toBeGreaterThan(0)
    clock.pass(3 * MINUTE)
    expect(await toAuth('oldest_seconds')).toBeWithin(180, 600)
    await eventually(async () => (await users('ch202_ready')) === 0)
    await system.start('auth')
    await eventually(async () => (await toAuth('waiting')) === 0 && (await users('ch202_ready')) === 1)
    expect(await toAuth('oldest_seconds')).toBe(0)
    const modules = await scrape(system.url.modules)
    expect(modules.sum('ch202_outbox_waiting', { service: 'modules', outbox: 'auth' })).toBe(0)
    expect((await scrape(system.url.web)).sum('ch202_ready', { service: 'web' })).toBe(1)
  })

  test('live sessions, of more than are counted at once too, and users in the password cache', async () => {
    const system = await start()
    const live = async () => (await scrape(system.url.auth)).sum('ch202_sessions_live')
    const listed = async () =>
      (await call(system.url.auth, 'GET /api/v1/auth/sessions?all=true', byOperator())).body.total
    const user = await createUser(system)
    expect([await live(), await listed()]).toEqual([1, 1])
    await logIn(system, user.email)
    expect([await live(), await listed()]).toEqual([2, 2])
    const headers = as.bearer(user.tokens.access_token)
    await call(system.url.auth, 'POST /api/v1/auth/logout', { headers })
    expect([await live(), await listed()]).toEqual([1, 1])
    expect((await scrape(system.url.auth)).sum('ch202_password_cache_entries')).toBe(1)

    const columns =
      'user_id, kind, counter, rotated_at, created_at, last_used_at, expires_at, ends_at, access_until, version, refreshes_since, refreshes, auth_time, amr, of_grant'
    // Each statement doubles the rows. No id ends with one of these letters.
    const doublings = [...'ghijklmnopqrs'].map(
      (end) => `INSERT INTO sessions (id, ${columns}) SELECT id || '${end}', ${columns} FROM sessions`,
    )
    await changeRows(system, 'auth', ...doublings)
    await eventually(async () => (await live()) === 2 ** 13)
    // Sessions of apps are no sessions of the list.
    await changeRows(system, 'auth', `UPDATE sessions SET of_grant = 1 WHERE id LIKE '%s'`)
    await eventually(async () => (await live()) === 2 ** 12)
    clock.pass(8 * DAY)
    await eventually(async () => (await live()) === 0)
  })

  testOfMemory?.('the age of the signing key, and the age at which it is replaced', async () => {
    const system = await start({ SIGNING_KEY_MAX_AGE: '30d' })
    const age = async () => (await scrape(system.url.auth)).sum('ch202_signing_key_age_seconds', { alg: 'EdDSA' })
    expect(await age()).toBeLessThan(600)
    clock.pass(2 * DAY)
    expect(await age()).toBeWithin((2 * DAY) / SECOND, (2 * DAY) / SECOND + 600)
    await call(system.url.auth, 'POST /api/v1/admin/keys/rotate?now=true', byOperator())
    expect(await age()).toBeLessThan(600)
    const most = (await scrape(system.url.auth)).sum('ch202_signing_key_max_age_seconds')
    expect(most).toBe((30 * DAY) / SECOND)
  })

  test('the age of the last verified backup', async () => {
    const system = await start()
    const age = async () => (await scrape(system.url.auth)).sum('ch202_backup_verified_age_seconds')
    if (databases === 'postgres') {
      expect(await age()).toBeNaN()
      return
    }
    expect(await age()).toBe(Number.POSITIVE_INFINITY)
    const tool = async (...words: string[]) => {
      const env = { CH202_DATA_DIR: system.dataDir, CH202_SECRET: 'secret-of-the-tests-0123456789-0123456789abc' }
      const { status, stderr } = await runTool(['backup', ...words], { env })
      expect([words, status, stderr]).toEqual([words, 0, expect.any(String)])
    }
    await tool('create')
    expect(await age()).toBe(Number.POSITIVE_INFINITY)
    await tool('verify')
    // The tool has the clock of the machine.
    const ahead = clock.now() - Date.now()
    expect(await age()).toBeWithin(ahead / SECOND - 600, ahead / SECOND + 600)
    clock.pass(3 * DAY)
    expect(await age()).toBeWithin((ahead + 3 * DAY) / SECOND - 600, (ahead + 3 * DAY) / SECOND + 600)
    // One that was made while the clock was ahead does not hide the age of the others.
    const root = join(system.dataDir, 'backups')
    const [name = ''] = readdirSync(root)
    const later = join(root, '2999-01-01T00-00-00-000Z')
    cpSync(join(root, name), later, { recursive: true })
    const manifest = JSON.parse(readFileSync(join(later, 'manifest.json'), 'utf8'))
    writeFileSync(join(later, 'manifest.json'), JSON.stringify({ ...manifest, created_at: '2999-01-01T00:00:00.000Z' }))
    await tool('verify', later)
    expect(await age()).toBeWithin((ahead + 3 * DAY) / SECOND - 600, (ahead + 3 * DAY) / SECOND + 600)
  })

  test('the age of the last trial restore from a bucket', async () => {
    const bucket = {
      BACKUP_S3_URL: 'https://key:secret@s3.example.org/backups',
      BACKUP_PASSPHRASE: 'a passphrase of the tests',
    }
    const ageOf = async (system: System) => (await scrape(system.url.auth)).sum('ch202_backup_drill_age_seconds')
    expect(await ageOf(await start())).toBeNaN()
    const system = await start(bucket)
    const age = () => ageOf(system)
    if (databases === 'postgres') {
      expect(await age()).toBeNaN()
      return
    }
    expect(await age()).toBe(Number.POSITIVE_INFINITY)
    const root = join(system.dataDir, 'backups')
    mkdirSync(root)
    const drill = { backup: 'a', created_at: new Date(clock.now()).toISOString() }
    const at = new Date(clock.now() - DAY).toISOString()
    recordDrill(root, { ...drill, at, passed: true })
    expect(await age()).toBeWithin(DAY / SECOND, DAY / SECOND + 600)
    // A copy that is old protects no better because it was restored yesterday.
    const old = new Date(clock.now() - 90 * DAY).toISOString()
    recordDrill(root, { ...drill, created_at: old, at, passed: true })
    expect(await age()).toBeWithin((90 * DAY) / SECOND, (90 * DAY) / SECOND + 600)
    const ahead = new Date(clock.now() + 90 * DAY).toISOString()
    for (const never of [
      { ...drill, at, passed: false },
      { ...drill, created_at: ahead, at: ahead, passed: true },
    ]) {
      recordDrill(root, never)
      expect(await age()).toBe(Number.POSITIVE_INFINITY)
    }
  })

  testOfMemory?.('polls that are held are no part of the times of requests', async () => {
    const system = await start()
    const before = await scrape(system.url.auth)
    for (const poll of [
      'GET /api/v1/auth/revocations?follower=x&after=0&epoch=x',
      'GET /api/v1/modules/sync/feed?follower=x&after=0&epoch=x',
    ])
      await call(system.url.auth, poll, { headers: as.internal })
    const after = await scrape(system.url.auth)
    const polls = (route: string) => {
      const name = 'ch202_feed_polls_total'
      return after.sum(name, { route }) - (before.sum(name, { route }) || 0)
    }
    expect(polls('/api/v1/auth/revocations')).toBeGreaterThan(0)
    expect(polls('/api/v1/modules/sync/feed')).toBe(1)
    const timed = after.lines.filter(({ name }) => name === 'ch202_http_request_duration_seconds_count')
    expect(timed.length).toBeGreaterThan(0)
    expect(timed.filter(({ labels }) => /revocations|\/feed/.test(labels.route ?? ''))).toEqual([])
    const ofScrapes = { route: '/metrics', status: '200' }
    expect(after.sum('ch202_http_request_duration_seconds_count', ofScrapes)).toBeGreaterThan(0)
  })

  test('a scrape answers while the database is away, without what is in it', async () => {
    const system = await start()
    if (!system.database) return
    await eventually(async () => {
      const now = await scrape(system.url.auth)
      return now.sum('ch202_ready') === 4 && now.sum('ch202_sessions_live') === 0
    })
    await system.database.disconnect('auth')
    try {
      await eventually(async () => {
        const now = await scrape(system.url.auth)
        return now.sum('ch202_ready', { service: 'auth' }) === 0 && Number.isNaN(now.sum('ch202_sessions_live'))
      })
      const now = await scrape(system.url.auth)
      expect(now.sum('ch202_outbox_waiting', { service: 'users' })).toBeNaN()
      expect(now.sum('ch202_process_uptime_seconds')).toBeGreaterThan(0)
    } finally {
      await system.database.admit('auth')
    }
    await eventually(async () => (await scrape(system.url.auth)).sum('ch202_sessions_live') === 0)
  })
})
