import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { addressSetting } from '../../services/kit/process/service-address.ts'
import { SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { arrived, as, call } from '../support/http.ts'
import { launch, ownSettings, processesWith, type Running, temporary } from '../support/tool.ts'
import { sliced } from '../support/whole.ts'
import { KeepAlive, type Outcome } from './keep-alive.ts'
import { endAndRemove } from './left-behind.ts'

setDefaultTimeout(120_000)

const folder = temporary('sigterm')
afterAll(() => endAndRemove(folder))

const CLIENTS = 64
const LOGINS = 4
/** Users with much data, whose list is larger than the buffers between two sockets. */
const MANY = 1000
const PART = 100
const DATA = { text: 'x'.repeat(4000) }
const tool = (...words: string[]) => [process.execPath, 'cli/main.ts', ...words]

/** A running instance, started in any of the supported ways. */
interface Instance {
  env: Record<string, string>
  auth: string
  users: string
  web: string
  processes: Running[]
}

const WAYS: [way: string, commands: string[][], together: boolean][] = [
  ['ch202 serve', [tool('serve')], true],
  ['a process each', SERVICE_NAMES.map((name) => tool('serve', name)), false],
  ['ch202 start', [tool('start')], false],
]

async function start(commands: string[][], together: boolean, env: Record<string, string>): Promise<Instance> {
  const processes = commands.map((command) => launch(command, { env }))
  const lines = commands.length === 1 && !together ? SERVICE_NAMES.length : 1
  await Promise.all(processes.map((running) => running.printed(/ready at/, lines)))
  const of = (name: ServiceName) => (together ? env.CH202_URL : env[addressSetting(name)]) ?? ''
  return { env, auth: of('auth'), users: of('users'), web: of('web'), processes }
}

/** A request to create a user, with its outcome. */
interface CreateRequest {
  email: string
  outcome: Outcome
}

const endsConnection = ({ headers, kind }: Outcome) => kind !== 'answered' || headers.get('connection') === 'close'

/** Creates users over one connection until the connection ends. */
async function make(instance: Instance, requests: CreateRequest[]): Promise<void> {
  const client = new KeepAlive(instance.users)
  for (;;) {
    const email = newEmail()
    const body = JSON.stringify({ email, password: PASSWORD })
    const outcome = await client.ask({ method: 'POST', path: '/users', headers: as.operator, body })
    requests.push({ email, outcome })
    if (endsConnection(outcome)) break
  }
  client.close()
}

/** Logs in over one connection until the connection ends: nearly all the time a login waits for its hash. */
function logInRepeatedly(instance: Instance, login: string, outcomes: Outcome[]): Promise<void> {
  const body = JSON.stringify({ login, password: PASSWORD })
  return repeat(instance.auth, { method: 'POST', path: '/api/v1/auth/login', body }, outcomes)
}

/** Sends a request over one connection until the connection ends. */
async function repeat(base: string, request: Parameters<KeepAlive['ask']>[0], outcomes: Outcome[]): Promise<void> {
  const client = new KeepAlive(base)
  for (;;) {
    const outcome = await client.ask(request)
    outcomes.push(outcome)
    if (endsConnection(outcome)) break
  }
  client.close()
}

/** A data directory with many users. Checking one of their passwords takes longer than a request. */
const many = (async () => {
  const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'silent' })
  const { processes, users } = await start([tool('serve')], true, env)
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 8 })
  const line = (n: number) =>
    JSON.stringify({ email: `n${n}@example.org`, password_hash, metadata: DATA, app_metadata: DATA })
  for (let first = 0; first < MANY; first += PART) {
    const body = Array.from({ length: PART }, (_, n) => line(first + n)).join('\n')
    const headers = { ...as.operator, 'content-type': 'application/x-ndjson' }
    const { status } = await call(users, 'POST /users/import', { headers, body })
    expect(status).toBe(200)
  }
  processes[0]?.signal('SIGTERM')
  await processes[0]?.ended
  return env.CH202_DATA_DIR ?? ''
})()

/** A body that never ends: the stop takes the full time limit, so it runs beside the other tests. */
const endless = (async () => {
  const env = ownSettings(folder.fresh(), { LOG_LEVEL: 'silent' })
  const { processes, users } = await start([tool('serve')], true, env)
  const client = new KeepAlive(users)
  await client.open()
  const head = ['POST /users HTTP/1.1', 'host: localhost', 'content-type: application/json', 'content-length: 9999']
  client.send([...head, '', '{'].join('\r\n'))
  const trickle = setInterval(() => client.send(' '), 200)
  await arrived(users)
  const stoppedAt = performance.now()
  processes[0]?.signal('SIGTERM')
  const ended = await processes[0]?.ended
  clearInterval(trickle)
  client.close()
  return { took: performance.now() - stoppedAt, status: ended?.status, stderr: ended?.stderr }
})()

describe.each(sliced(WAYS, 2))('%s: SIGTERM under load', (_, commands, together) => {
  test('loses no acknowledged write, cuts no answer, and leaves no process', async () => {
    const dataDir = folder.fresh()
    cpSync(await many, dataDir, { recursive: true })
    const env = ownSettings(dataDir, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
    const instance = await start(commands, together, env)

    const requests: CreateRequest[] = []
    const makers = Array.from({ length: CLIENTS }, () => make(instance, requests))
    const logins: Outcome[] = []
    const loggingIn = Array.from({ length: LOGINS }, (_, n) => logInRepeatedly(instance, `n${n}@example.org`, logins))
    const pages: Outcome[] = []
    const opening = repeat(instance.web, { method: 'GET', path: '/sign-in' }, pages)
    // Half a body, and an answer that is read slowly.
    const slow = new KeepAlive(instance.users)
    const slowly = newEmail()
    await slow.open()
    const bytes = KeepAlive.bytes({
      method: 'POST',
      path: '/users',
      headers: as.operator,
      body: JSON.stringify({ email: slowly, password: PASSWORD }),
    })
    slow.send(bytes.slice(0, -30))
    const reader = new KeepAlive(instance.users)
    await reader.open()
    reader.send(KeepAlive.bytes({ method: 'GET', path: '/users/export', headers: as.operator }))
    reader.pause()
    await eventually(() => requests.length > 2 * CLIENTS && logins.length > LOGINS && pages.length > 1)
    await arrived(instance.users)

    const stoppedAt = performance.now()
    for (const running of instance.processes) running.signal('SIGTERM')
    // A second signal, as `bun run` forwards one that the terminal has sent already.
    for (const running of instance.processes) running.signal('SIGTERM')
    await Bun.sleep(300)
    slow.send(bytes.slice(-30))
    reader.resume()
    const slowest = await Promise.all([slow.answer(), reader.answer()])
    await Promise.all([...makers, ...loggingIn, opening])
    const ended = await Promise.all(instance.processes.map((running) => running.ended))
    const took = performance.now() - stoppedAt
    expect(ended.map(({ status, stderr }) => [status, stderr])).toEqual(commands.map(() => [0, '']))
    expect(took).toBeLessThan(PROMPT)
    expect(processesWith(env.CH202_DATA_DIR ?? '')).toEqual([])
    expect(await new KeepAlive(instance.users).ask({ method: 'GET', path: '/health' })).toMatchObject({
      kind: 'refused',
    })

    const outcomes = slowest.map(({ kind, status }) => `${kind} ${status}`)
    expect(outcomes).toEqual(['answered 201', 'answered 200'])
    expect(slowest[0]?.headers.get('connection')).toBe('close')
    expect(slowest[1]?.text.trimEnd().split('\n').length).toBeGreaterThanOrEqual(MANY)
    const successes = requests.filter(({ outcome }) => outcome.kind === 'answered' && outcome.status === 201)
    const others = requests.filter(({ outcome }) => outcome.kind === 'answered' && outcome.status !== 201)
    const cut = requests.filter(({ outcome }) => outcome.kind === 'cut')
    const unanswered = requests.filter(({ outcome }) => outcome.kind === 'closed')
    expect(cut).toEqual([])
    expect(others.map(({ outcome }) => [outcome.status, outcome.text])).toEqual([])
    expect(successes.length).toBeGreaterThan(CLIENTS)
    // The last answer on a connection has `connection: close`; a request that was sent meanwhile was not processed.
    const last = successes.filter(({ outcome }) => outcome.headers.get('connection') === 'close')
    expect(last.length).toBeGreaterThan(0)
    expect(last.length + unanswered.length).toBe(CLIENTS)

    const loginOutcomes = logins.map(({ kind, status }) => `${kind} ${status}`)
    expect(new Set(loginOutcomes.filter((one) => one !== 'closed 0'))).toEqual(new Set(['answered 200']))
    const lastLogins = logins.filter(({ headers }) => headers.get('connection') === 'close')
    expect(lastLogins.length).toBeGreaterThan(0)
    expect(lastLogins.length + loginOutcomes.filter((one) => one === 'closed 0').length).toBe(LOGINS)

    const pageOutcomes = pages.map(({ kind, status }) => `${kind} ${status}`)
    expect(new Set(pageOutcomes.filter((one) => one !== 'closed 0'))).toEqual(new Set(['answered 200']))

    const again = await start([tool('serve')], true, env)
    const exists = async ({ email }: { email: string }) =>
      (await call(env.CH202_URL ?? '', `GET /users/by-email/${email}`, { headers: as.operator })).status === 200
    const successPresence = await Promise.all([...successes, { email: slowly }].map(exists))
    expect(successPresence.filter((one) => !one).length).toBe(0)
    // Requests without an answer were not processed.
    const unansweredPresence = await Promise.all(unanswered.map(exists))
    expect(unansweredPresence.filter((one) => one).length).toBe(0)
    again.processes[0]?.signal('SIGTERM')
    await again.processes[0]?.ended
  })
})

test('a runner that is killed leaves no service behind, and loses no acknowledged write', async () => {
  const env = ownSettings(folder.fresh(), { RATE_LIMIT: 'off' })
  const { auth, processes, users } = await start([tool('start')], false, env)
  const email = newEmail()
  const registration = await call(auth, 'POST /api/v1/auth/register', { body: { email, password: PASSWORD } })
  expect(registration.status).toBe(201)
  processes[0]?.signal('SIGKILL')
  const survivors = () => processesWith(env.CH202_DATA_DIR ?? '')
  await eventually(() => survivors().length === 0 || undefined).catch(() => expect(survivors()).toEqual([]))
  expect(await new KeepAlive(users).ask({ method: 'GET', path: '/health' })).toMatchObject({ kind: 'refused' })
  // The services stopped in an orderly way.
  expect(readdirSync(env.CH202_DATA_DIR ?? '').filter((name) => /-(wal|shm)$/.test(name))).toEqual([])
  const again = await start([tool('serve')], true, env)
  const login = await call(env.CH202_URL ?? '', 'POST /auth/login', { body: { email, password: PASSWORD } })
  expect(login.status).toBe(200)
  again.processes[0]?.signal('SIGTERM')
  await again.processes[0]?.ended
})

test('a request that never ends delays a stop by at most ten seconds', async () => {
  const { status, stderr, took } = await endless
  expect([status, stderr]).toEqual([0, ''])
  expect(took).toBeWithin(5000, PROMPT)
})

test('hashes that take minutes delay a stop by at most ten seconds', async () => {
  const env = ownSettings(folder.fresh(), { BCRYPT_COST: '20' })
  const { processes, users } = await start([tool('serve')], true, env)
  const body = JSON.stringify({ email: newEmail(), password: PASSWORD })
  // All cores hash, and one hash waits.
  const clients = Array.from({ length: availableParallelism() + 1 }, () => new KeepAlive(users))
  for (const client of clients) {
    await client.open()
    client.send(KeepAlive.bytes({ method: 'POST', path: '/users', headers: as.operator, body }))
  }
  await eventually(async () =>
    /^ch202_hash_queue_waiting\{[^}]*\} 1$/m.test((await call(users, 'GET /metrics', { headers: as.operator })).text),
  )
  const stoppedAt = performance.now()
  processes[0]?.signal('SIGTERM')
  const ended = await processes[0]?.ended
  for (const client of clients) client.close()
  expect([ended?.status, ended?.stderr]).toEqual([0, ''])
  expect(ended?.stdout).not.toContain(PASSWORD)
  expect(performance.now() - stoppedAt).toBeWithin(5000, PROMPT)
})
