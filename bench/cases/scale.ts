import { join } from 'node:path'
import { PASSWORD } from '../../tests/support/actors.ts'
import { call } from '../../tests/support/http.ts'
import { type BenchUser, createUsers, logIn, operator, startCh202 } from '../ch202.ts'
import { importUsers, lineOf, RARE, waitForAuth } from '../import.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, spreadOf, underLoad } from '../measure.ts'
import { type Measurable, measureAlone, send } from '../processes.ts'
import { memoryResult } from './processes.ts'
import { startBare } from './requests.ts'

const SMALL = 1000
/** The number of users that are requested, spread over all of them. */
const SAMPLE = 500

/** A process, and a sample of its users. */
interface Populated {
  server: Measurable
  users: BenchUser[]
}

/** A process with a thousand users, and one with a million. */
interface Both extends BenchOptions {
  small: Populated
  large: Populated
}

/** Measures the import of a million users, and whether requests are slower among them than among a thousand. */
export async function scale(options: BenchOptions, folder: string): Promise<Result[]> {
  const count = options.quick ? 20_000 : 1_000_000
  const small = await startCh202(join(folder, 'small'))
  const large = await startCh202(join(folder, 'large'))
  try {
    await importUsers(small.url, SMALL)
    await waitForAuth(small.url)
    const results = [await measureImport(large, count, folder)]
    const both: Both = {
      ...options,
      small: { server: small, users: await sampleOf(small.url, SMALL) },
      large: { server: large, users: await sampleOf(large.url, count) },
    }
    results.push(...(await requestsAmongMany(both, count)), ...(await listsAmongMany(both, count)))
    await large.stop()
    results.push(await memoryOfMany(folder, count))
    return results
  } finally {
    await small.stop()
    await large.stop()
  }
}

/** Measures the memory of a fresh process on the databases of all users. */
async function memoryOfMany(folder: string, count: number): Promise<Result> {
  const large = await startCh202(join(folder, 'large'))
  const users = await createUsers(large.url, 1)
  const bare = await startBare(join(folder, 'knowing.sqlite'), large.url, users)
  try {
    await Bun.sleep(2000)
    return memoryResult(`memory, ${count.toLocaleString('en')} users known`, large.memory().now, bare.memory().now)
  } finally {
    await large.stop()
    await bare.stop()
  }
}

/** Measures the import of many users in two halves, each after the rate of bare inserts. */
async function measureImport(server: Measurable, count: number, folder: string): Promise<Result> {
  const inserts: number[] = []
  const measureInserts = async () => {
    const words = [join(folder, `inserts-${inserts.length}.sqlite`), String(count / 4)]
    inserts.push((await measureAlone<{ rate: number }>('limits/inserts.ts', words)).rate)
  }
  const peaks: number[] = []
  const rates: number[] = []
  for (const half of [0, 1]) {
    await measureInserts()
    const began = performance.now()
    await importUsers(server.url, count / 2, (half * count) / 2)
    rates.push(count / 2 / ((performance.now() - began) / 1000))
    peaks.push(server.memory().peak)
  }
  await waitForAuth(server.url)
  const [first = 0, second = 0] = peaks
  const limit = spreadOf(inserts)
  return {
    name: `import of ${count.toLocaleString('en')} users`,
    unit: 'users a second',
    limitIs: 'inserts in transactions of 500',
    ours: spreadOf(rates),
    limit,
    ratio: spreadOf(rates.map((rate) => rate / limit.median)),
    goal: { least: 0.6 },
    also: [
      {
        says: `memory flat: at most ${Math.round(first)} MiB by the middle, ${Math.round(second)} by the end`,
        holds: second < first * 1.15,
      },
    ],
  }
}

/** A sample of the imported users. The first 64 are logged in. */
async function sampleOf(url: string, count: number): Promise<BenchUser[]> {
  const some = Math.min(SAMPLE, count)
  const users: BenchUser[] = []
  for (let n = 0; n < some; n++) {
    const { email } = lineOf(Math.floor((n * count) / some))
    const { body } = await call(url, `GET /api/v1/users/by-email/${encodeURIComponent(email)}`, { headers: operator })
    users.push({ id: body.id, email, ...(n < 64 ? await logIn(url, email) : NO_SESSION) })
  }
  return users
}

const NO_SESSION = { password: PASSWORD, token: '', refreshToken: '' }

/** Compares the time of a request among many users with the time among a thousand. */
async function requestsAmongMany({ large, rounds, seconds, small }: Both, count: number): Promise<Result[]> {
  const cases = {
    'POST /auth/login': ({ server, users }: Populated) =>
      send({ script: 'login', url: server.url, clients: 4, seconds, data: { users } }),
    'GET /users/{id}': ({ server, users }: Populated) => {
      const lines = users.map(({ id }) => `GET /api/v1/users/${id}`)
      return send({ script: 'lines', url: server.url, clients: 16, seconds, data: { lines, headers: operator } })
    },
    'POST /auth/refresh': async ({ server, users }: Populated) => {
      const refreshing = users.slice(0, 16)
      const fresh = await Promise.all(refreshing.map(({ email }) => logIn(server.url, email)))
      const data = { refreshTokens: fresh.map(({ refreshToken }) => refreshToken) }
      return send({ script: 'refresh', url: server.url, clients: 16, seconds, data })
    },
  }
  const results: Result[] = []
  for (const [name, measure] of Object.entries(cases)) {
    const time = (populated: Populated) => async (): Promise<Figure> => {
      const { rate } = await measure(populated)
      return { value: 1000 / rate }
    }
    await measure(small)
    await measure(large)
    results.push({
      name: `${name} among ${count.toLocaleString('en')} users`,
      unit: 'ms each',
      limitIs: `among ${SMALL.toLocaleString('en')}`,
      ...(await measureBoth(rounds, time(large), time(small))),
      goal: { maximum: 1.15 },
    })
  }
  return results
}

/** Compares lists and searches among many users with those among a thousand. */
async function listsAmongMany({ large, rounds, seconds, small }: Both, count: number): Promise<Result[]> {
  const results: Result[] = []
  const sendLines = (populated: Populated, lines: string[]) =>
    send({ script: 'lines', url: populated.server.url, clients: 4, seconds, data: { lines, headers: operator } })
  const compare = async (name: string, ofLarge: string[], ofSmall: string[], p99: number | null) => {
    let worst = 0
    const compared = await measureBoth(
      rounds,
      () =>
        underLoad(
          large.server,
          () => sendLines(large, ofLarge),
          (measured) => {
            worst = Math.max(worst, measured.p99)
            return measured.p50
          },
        ),
      () =>
        underLoad(
          small.server,
          () => sendLines(small, ofSmall),
          ({ p50 }) => p50,
        ),
    )
    results.push({
      name: `${name}, ${count.toLocaleString('en')} users, p50`,
      unit: 'ms',
      limitIs: `among ${SMALL.toLocaleString('en')}`,
      ...compared,
      goal: { maximum: 1.5 },
      ...(p99 === null ? {} : { also: [{ says: `p99 ${worst.toFixed(1)} ms, below ${p99}`, holds: worst < p99 }] }),
    })
  }

  const list = (query: string) => `GET /api/v1/users?size=50${query}`
  const after = async (populated: Populated, page: number) => {
    const { body } = await call(populated.server.url, `${list(`&page=${page}`)}`, { headers: operator })
    return list(`&cursor=${encodeURIComponent(body.next_cursor)}`)
  }
  const first = [await after(large, 1), await after(small, 1)] as const
  await compare('list by cursor, page 2', [first[0]], [first[1]], null)
  const deep = Math.floor(count / 50) * 0.75
  await compare(`list by cursor, page ${deep.toLocaleString('en')}`, [await after(large, deep)], [first[1]], null)
  for (const [kind, of] of Object.entries(SEARCHES)) {
    const lines = of.map((text) => list(`&search=${encodeURIComponent(text)}`))
    await compare(`search, ${kind}`, lines, lines, 20)
  }
  return results
}

/**
 * Searches of three to eight characters; `lineOf` defines which users match. Each finds as many users among a thousand as
 * among a million: `qqq` would not, but `qqqqqq` matches nobody in either.
 */
const SEARCHES = {
  'what everyone has': ['exa', 'exam', 'examp', 'exampl', 'example', 'example.'],
  'what one user has': [
    ...[3, 4, 5, 6].map((length) => RARE.name.slice(0, length)),
    ...[7, 8].map((length) => lineOf(RARE.n + 1).email.slice(0, length)),
  ],
  'what no one has': ['~~~', '~~~~', '~~~~~', 'qqqqqq', 'qqqqqqq', 'qqqqqqqq'],
}
