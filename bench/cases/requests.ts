import { join } from 'node:path'
import { call } from '../../tests/support/http.ts'
import { freePort } from '../../tests/support/servers/ports.ts'
import { type BenchUser, createUsers, logIn, operator, startCh202 } from '../ch202.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, underLoad } from '../measure.ts'
import { type Measurable, measureAlone, SERVER_CORES, send, startServer } from '../processes.ts'

const HASH = `$2b$10$${'abcdefghij'.repeat(5)}abc`

interface Bench extends BenchOptions {
  /** The number of clients, and of users. */
  clients: number
  ch202: Measurable
  bare: Measurable
  users: BenchUser[]
  folder: string
}

/** Measures the most common requests, each beside its lower bound. */
export async function requests(scale: BenchOptions, folder: string): Promise<Result[]> {
  const ch202 = await startCh202(join(folder, 'requests'))
  try {
    const clients = scale.quick ? 16 : 64
    const users = await createUsers(ch202.url, clients)
    const bare = await startBare(join(folder, 'bare.sqlite'), ch202.url, users)
    try {
      const bench = { ...scale, clients, ch202, bare, users, folder }
      return [
        ...(await logins(bench)),
        await validation(bench),
        await userByBearer(bench),
        await modulesByBearer(bench),
        await refreshes(bench),
        await creations(bench),
        await validationBesideLogins(bench),
      ]
    } finally {
      await bare.stop()
    }
  } finally {
    await ch202.stop()
  }
}

/** Starts a bare app that gives the same answers as ours. */
export async function startBare(file: string, url: string, [user]: BenchUser[]): Promise<Measurable> {
  if (!user) throw new Error('There is no user')
  const headers = { authorization: `Bearer ${user.token}` }
  const [validate, read, modules] = await Promise.all([
    call(url, 'POST /api/v1/auth/validate-token', { body: { token: user.token } }),
    call(url, `GET /api/v1/users/${user.id}`, { headers }),
    call(url, 'GET /api/v1/modules/', { headers }),
  ])
  const answers = JSON.stringify({ validate: validate.body, user: read.body, modules: modules.body })
  const port = String(freePort())
  return startServer({
    command: [process.execPath, 'bench/limits/bare.ts', port, file, answers],
    url: `http://127.0.0.1:${port}`,
  })
}

async function logins({ ch202, clients: maximum, rounds, seconds, users }: Bench): Promise<Result[]> {
  const results: Result[] = []
  const checks = async (clients: number): Promise<Figure> => {
    const words = ['--at-once', String(clients), '--seconds', String(seconds)]
    return { value: (await measureAlone<{ rate: number }>('limits/bcrypt.ts', words)).rate }
  }
  for (const clients of [8, maximum]) {
    const load = { script: 'login', url: ch202.url, clients, seconds, data: { users } } as const
    results.push({
      name: `POST /auth/login, ${clients} clients`,
      unit: 'a second',
      limitIs: `bcrypt checks, ${SERVER_CORES} core${SERVER_CORES > 1 ? 's' : ''}`,
      ...(await measureBoth(
        rounds,
        async () => ({ value: (await send(load)).rate }),
        () => checks(clients),
      )),
      goal: { least: 0.95 },
    })
  }
  return results
}

/** Sends the same requests to ours and to the bare app. */
async function besideBare(
  { bare, ch202, clients, rounds, seconds }: Bench,
  name: string,
  script: 'validate' | 'readUser' | 'modules',
  data: unknown,
  least: number,
): Promise<Result> {
  const to = (server: Measurable) => () =>
    underLoad(server, () => send({ script, url: server.url, clients, seconds, data }))
  // Warms up both.
  for (const server of [ch202, bare]) await send({ script, url: server.url, clients, seconds: 1, data })
  return {
    name,
    unit: 'a second',
    limitIs: 'the same answer from a bare Elysia route',
    ...(await measureBoth(rounds, to(ch202), to(bare))),
    goal: { least },
  }
}

const validation = (bench: Bench) =>
  besideBare(bench, 'POST /auth/validate-token', 'validate', { tokens: bench.users.map(({ token }) => token) }, 0.8)

const userByBearer = (bench: Bench) =>
  besideBare(bench, 'GET /users/{id}, Bearer', 'readUser', { users: bench.users }, 0.6)

const modulesByBearer = (bench: Bench) =>
  besideBare(bench, 'GET /modules/, Bearer', 'modules', { tokens: bench.users.map(({ token }) => token) }, 0.6)

function commits({ folder, seconds }: Bench, what: 'update' | 'insert') {
  return async (): Promise<Figure> => {
    const words = ['--file', join(folder, 'commits.sqlite'), '--seconds', String(seconds), '--what', what]
    return { value: (await measureAlone<{ rate: number }>('limits/commits.ts', words)).rate }
  }
}

async function refreshes(bench: Bench): Promise<Result> {
  const { ch202, clients, rounds, seconds, users } = bench
  const refreshing = async () => {
    // The refresh tokens of the last round were replaced.
    const sessions = await Promise.all(users.map(({ email }) => logIn(ch202.url, email)))
    const data = { refreshTokens: sessions.map(({ refreshToken }) => refreshToken) }
    return underLoad(ch202, () => send({ script: 'refresh', url: ch202.url, clients, seconds, data }))
  }
  return {
    name: `POST /auth/refresh, durable, ${clients} clients`,
    unit: 'a second',
    limitIs: 'durable commits of one row',
    ...(await measureBoth(rounds, refreshing, commits(bench, 'update'))),
    goal: { least: 1.5 },
  }
}

async function creations(bench: Bench): Promise<Result> {
  const { ch202, clients, rounds, seconds } = bench
  let round = 0
  const creating = () =>
    underLoad(ch202, () => {
      const data = { key: operator['x-api-key'], hash: HASH, from: `made-${round++}` }
      return send({ script: 'createUser', url: ch202.url, clients, seconds, data }, ['201'])
    })
  return {
    name: `POST /users with a hash, ${clients} clients`,
    unit: 'a second',
    limitIs: 'durable commits of one row',
    ...(await measureBoth(rounds, creating, commits(bench, 'insert'))),
    goal: { least: 1.5 },
  }
}

async function validationBesideLogins({ ch202, clients, rounds, seconds, users }: Bench): Promise<Result> {
  const data = { tokens: users.map(({ token }) => token) }
  const validating = () =>
    underLoad(
      ch202,
      () => send({ script: 'validate', url: ch202.url, clients: 8, seconds, data }),
      ({ p99 }) => p99,
    )
  const besideLogins = async () => {
    const load = {
      script: 'login',
      url: ch202.url,
      clients,
      seconds: seconds + 1,
      background: true,
      data: { users },
    } as const
    const saturating = send(load)
    await Bun.sleep(500)
    const figure = await validating()
    await saturating
    return figure
  }
  const compared = await measureBoth(rounds, besideLogins, validating)
  return {
    name: 'POST /auth/validate-token while logins saturate, p99',
    unit: 'ms',
    limitIs: 'the same without logins',
    ...compared,
    goal: { maximum: 3 },
    also: [{ says: 'below 100 ms', holds: compared.ours.median < 100 }],
  }
}
