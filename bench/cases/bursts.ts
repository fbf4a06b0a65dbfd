import { join } from 'node:path'
import { type BenchUser, createUsers, logIn, startCh202 } from '../ch202.ts'
import type { Load, LoadResult } from '../load.ts'
import { type BenchOptions, type Result, spreadOf } from '../measure.ts'
import { type Measurable, send } from '../processes.ts'

/** Token checks a second that are watched: few, so that what they wait for is the burst. */
const CHECKS = 500
/** Clients that check tokens. */
const CLIENTS = 8
/** Sessions that refresh, each by a client of its own. */
const SESSIONS = 128
/** MiB that a process may use at most, whatever comes: the queue and the caches are bounded. */
const MEMORY_MAX = 256

/** Many clients that do the same at one time. */
interface Burst {
  name: string
  load(url: string, users: readonly BenchUser[]): Pick<Load, 'script' | 'rate' | 'clients' | 'data'>
  /** Statuses of answers. 503 is a request that was shed. */
  statuses: readonly string[]
  /** Whether the server starts again immediately before. */
  restarts?: boolean
}

/** Emails of nobody, each used once in a round. */
const strangers = Array.from({ length: 5000 }, (_, n) => ({
  email: `nobody-${n}@example.org`,
  password: 'tried at every site',
}))

const BURSTS: readonly Burst[] = [
  {
    name: '60,000 clients that refresh within a minute',
    load: (_, users) => ({
      script: 'refresh',
      rate: 1000,
      clients: users.length,
      data: { refreshTokens: users.map(({ refreshToken }) => refreshToken) },
    }),
    statuses: ['200'],
  },
  {
    name: 'nine o’clock: 6,000 people who log in within a minute',
    load: (_, users) => ({ script: 'login', rate: 100, clients: 512, data: { users } }),
    statuses: ['200', '503'],
  },
  {
    name: 'a stuffing attack at unknown accounts, 300 a second',
    load: () => ({ script: 'login', rate: 300, clients: 512, data: { users: strangers } }),
    statuses: ['401', '503'],
  },
  {
    name: 'a restart, after which 2,000 requests a second ask for the keys',
    load: () => ({
      script: 'lines',
      rate: 2000,
      clients: 128,
      data: { lines: ['GET /.well-known/jwks.json'], headers: {} },
    }),
    statuses: ['200'],
    restarts: true,
  },
]

/** Measures how long token checks take while many clients do the same at one time, and what is shed. */
export async function bursts(scale: BenchOptions, folder: string): Promise<Result[]> {
  const dataDir = join(folder, 'bursts')
  const server = { current: await startCh202(dataDir) }
  try {
    const users = await createUsers(server.current.url, SESSIONS)
    const restart = async () => {
      await server.current.stop()
      server.current = await startCh202(dataDir)
    }
    const results: Result[] = []
    for (const burst of BURSTS) results.push(await beside(burst, scale, users, server, restart))
    return results
  } finally {
    await server.current.stop()
  }
}

async function beside(
  burst: Burst,
  { rounds, seconds }: BenchOptions,
  users: BenchUser[],
  server: { current: Measurable },
  restart: () => Promise<void>,
): Promise<Result> {
  const tokens = users.slice(0, 16).map(({ token }) => token)
  const watch = async () => {
    const data = { tokens }
    return (await send({ script: 'validate', url: server.current.url, seconds, clients: CLIENTS, rate: CHECKS, data }))
      .p99
  }
  const loads: LoadResult[] = []
  let peak = 0
  const besideIt = async () => {
    if (burst.restarts) await restart()
    const { url } = server.current
    const load = { ...burst.load(url, users), url, seconds: seconds + 1, background: true }
    const sending = send(load, burst.statuses)
    // Until it is under way; a restart has it from the first moment.
    if (!burst.restarts) await Bun.sleep(500)
    const p99 = await watch()
    loads.push(await sending)
    peak = Math.max(peak, server.current.memory().peak)
    if (load.script === 'refresh') await renew(url, users)
    return p99
  }
  const alone = async () => {
    if (burst.restarts) await restart()
    return watch()
  }
  const figures: { ours: number; limit: number }[] = []
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 === 0 ? await besideIt() : undefined
    const limit = await alone()
    figures.push({ ours: first ?? (await besideIt()), limit })
  }
  const requests = loads.reduce((sum, load) => sum + load.requests, 0)
  const shed = loads.reduce((sum, { statuses }) => sum + (statuses['503'] ?? 0), 0)
  return {
    name: `POST /auth/validate-token beside ${burst.name}, p99`,
    unit: 'ms',
    limitIs: 'the same without it',
    ours: spreadOf(figures.map(({ ours }) => ours)),
    limit: spreadOf(figures.map(({ limit }) => limit)),
    ratio: spreadOf(figures.map(({ limit, ours }) => ours / limit)),
    goal: { maximum: 3 },
    also: [
      {
        says: `${Math.round(spreadOf(loads.map((load) => load.requests / (seconds + 1))).median)} a second, ${Math.round((shed / requests) * 100)} % answered 503`,
        holds: true,
      },
      { says: `${Math.round(peak)} MiB at most`, holds: peak < MEMORY_MAX },
    ],
  }
}

/** Logs the users in again: their refresh tokens were replaced by ones that the load did not give back. */
async function renew(url: string, users: BenchUser[]): Promise<void> {
  for (const user of users) Object.assign(user, await logIn(url, user.email))
}
