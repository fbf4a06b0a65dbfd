import { join } from 'node:path'
import { PASSWORD } from '../../tests/support/actors.ts'
import { freePort } from '../../tests/support/servers/ports.ts'
import { type BenchUser, createUsers, settings, startCh202 } from '../ch202.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, spreadOf, underLoad } from '../measure.ts'
import { type Measurable, run, send, startServer, timeToFirstAnswer } from '../processes.ts'
import { startBare } from './requests.ts'

/** Measures the processes: their memory, their start, and three processes compared with one. */
export async function processes(scale: BenchOptions, folder: string): Promise<Result[]> {
  return [...(await memory(scale, folder)), ...(await starts(scale, folder)), await threeBesideOne(scale, folder)]
}

async function memory({ seconds }: BenchOptions, folder: string): Promise<Result[]> {
  const ch202 = await startCh202(join(folder, 'memory'))
  const users = await createUsers(ch202.url, 16)
  await ch202.stop()
  // Restarted: the process that created the users would use more memory.
  const restarted = await startCh202(join(folder, 'memory'))
  const bare = await startBare(join(folder, 'memory.sqlite'), restarted.url, users)
  try {
    // An idle process gives memory back five seconds after its start, on a busy machine after ten.
    await Bun.sleep(12_000)
    const idle = memoryResult('memory, idle', restarted.memory().now, bare.memory().now, 90)
    const data = { tokens: users.map(({ token }) => token) }
    for (const server of [restarted, bare])
      await send({ script: 'validate', url: server.url, clients: 64, seconds: seconds * 2, data })
    return [idle, memoryResult('memory under load, at most', restarted.memory().peak, bare.memory().peak)]
  } finally {
    await restarted.stop()
    await bare.stop()
  }
}

export function memoryResult(name: string, ours: number, limit: number, below?: number): Result {
  return {
    name,
    unit: 'MiB',
    limitIs: 'a bare Elysia app with one SQLite file',
    ours: spreadOf([ours]),
    limit: spreadOf([limit]),
    ratio: spreadOf([ours / limit]),
    goal: { maximum: 1.5 },
    ...(below === undefined ? {} : { also: [{ says: `below ${below} MiB`, holds: ours < below }] }),
  }
}

async function starts({ rounds }: BenchOptions, folder: string): Promise<Result[]> {
  const env = settings(join(folder, 'starts'))
  const url = env.CH202_URL ?? ''
  const first = await startServer({ command: [process.execPath, 'cli/main.ts', 'serve'], env, url })
  const [user] = await createUsers(url, 1)
  await first.stop()
  const login = { method: 'POST', path: '/api/v1/auth/login', body: { email: user?.email, password: PASSWORD } }
  const ours = (command: string[]) => async (): Promise<Figure> => ({
    value: await timeToFirstAnswer({ command, env, url }, login),
  })
  const bare = async (): Promise<Figure> => {
    const port = String(freePort())
    const command = [process.execPath, 'bench/limits/bare.ts', port, join(folder, 'starts.sqlite'), '{"user":{}}']
    return {
      value: await timeToFirstAnswer({ command, url: `http://127.0.0.1:${port}` }, { method: 'GET', path: '/health' }),
    }
  }
  const tool = join(folder, 'ch202')
  await run([process.execPath, 'cli/main.ts', 'package', 'binary', '--out', tool])
  const name = 'from `ch202 serve` to the first answered login'
  const beside = { unit: 'ms', limitIs: 'a bare Elysia app to its first answer' }
  const turns = Math.max(rounds, 3)
  return [
    {
      name: `${name}, compiled`,
      ...beside,
      ...(await measureBoth(turns, ours([tool, 'serve']), bare)),
      goal: { maximum: 2 },
    },
    {
      name: `${name}, from source`,
      ...beside,
      ...(await measureBoth(turns, ours([process.execPath, 'cli/main.ts', 'serve']), bare)),
    },
  ]
}

/** Sends the same load to three processes and to one. Reported without a goal. */
async function threeBesideOne({ rounds, seconds }: BenchOptions, folder: string): Promise<Result> {
  const one = await startCh202(join(folder, 'one'))
  const env = settings(join(folder, 'three'))
  const [auth, users, modules] = await Promise.all(
    (['auth', 'users', 'modules'] as const).map((name) =>
      startServer({
        command: [process.execPath, 'cli/main.ts', 'serve', name],
        env,
        url: env[`${name.toUpperCase()}_URL`] ?? '',
      }),
    ),
  )
  if (!auth || !users || !modules) throw new Error('Three processes are needed')
  try {
    const load = async (server: Measurable, ofUsers: string): Promise<() => Promise<Figure>> => {
      const some: BenchUser[] = await createUsers(server.url, 32, 'load', ofUsers)
      const data = { tokens: some.map(({ token }) => token) }
      return () => underLoad(server, () => send({ script: 'validate', url: server.url, clients: 32, seconds, data }))
    }
    return {
      name: 'POST /auth/validate-token, three processes',
      unit: 'a second',
      limitIs: 'one process',
      ...(await measureBoth(rounds, await load(auth, users.url), await load(one, one.url))),
    }
  } finally {
    await Promise.all([one, auth, users, modules].map((server) => server.stop()))
  }
}
