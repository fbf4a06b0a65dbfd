import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../tests/support/servers/ports.ts'
import { type BenchUser, createUsers, settings, startCh202 } from '../ch202.ts'
import type { LoadResult } from '../load.ts'
import { type BenchOptions, measureBoth, type Result, spreadOf, underLoad } from '../measure.ts'
import { type Measurable, send, startServer } from '../processes.ts'

const CLIENTS = 16
const BARE = 'the same bytes from Bun.serve'

/** Measures the pages, and the costs that they have for the API of the same process. */
export async function pages(scale: BenchOptions, folder: string): Promise<Result[]> {
  const withPages = await startCh202(join(folder, 'with'))
  const environment = settings(join(folder, 'without'))
  const without = await startServer({
    command: [process.execPath, 'cli/main.ts', 'serve', 'auth', 'users', 'modules'],
    env: environment,
    url: environment.CH202_URL ?? '',
  })
  try {
    // Before anything else: a page that was rendered once stays in memory.
    // An idle process gives memory back five seconds after its start.
    await Bun.sleep(7000)
    const idle = memoryBeside('memory before the first request, with the pages', withPages, without)
    const users = await createUsers(withPages.url, CLIENTS)
    const usersWithout = await createUsers(without.url, CLIENTS)
    const cookies = await Promise.all(users.map((user) => signIn(withPages.url, user)))
    return [
      idle,
      ...(await besideBare(scale, folder, withPages, '/sign-in', '')),
      ...(await besideBare(scale, folder, withPages, '/account', cookies[0] ?? '')),
      await apiBeside(scale, { server: withPages, users }, { server: without, users: usersWithout }),
      memoryBeside('memory after all of that, with the pages', withPages, without),
    ]
  } finally {
    await withPages.stop()
    await without.stop()
  }
}

/** Signs a user in on the page. @returns the cookies of the browser */
async function signIn(url: string, { email, password }: BenchUser): Promise<string> {
  const form = await fetch(`${url}/sign-in`)
  const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec(await form.text()) ?? []
  const answer = await fetch(`${url}/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: url, cookie: cookiesOf(form) },
    body: new URLSearchParams({ form_token, login: email, password }),
  })
  if (answer.status !== 303) throw new Error(`The sign-in was answered with ${answer.status}`)
  return [cookiesOf(form), cookiesOf(answer)].join('; ')
}

function cookiesOf({ headers }: Response): string {
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(';')[0])
  return cookies.filter((cookie) => cookie !== undefined && !cookie.endsWith('=')).join('; ')
}

/** Measures the rate of a page and its slowest answers, beside a server that only sends the same bytes. */
async function besideBare(
  { rounds, seconds }: BenchOptions,
  folder: string,
  server: Measurable,
  path: string,
  cookie: string,
): Promise<Result[]> {
  const headers: Record<string, string> = cookie === '' ? {} : { cookie }
  const file = join(folder, 'page.html')
  writeFileSync(file, await (await fetch(server.url + path, { headers })).text())
  const port = String(freePort())
  const bare = await startServer({
    command: [process.execPath, 'bench/limits/page.ts', port, file],
    url: `http://127.0.0.1:${port}`,
    ready: '/',
  })
  const slowest: { ours: number[]; limit: number[] } = { ours: [], limit: [] }
  const to = (target: Measurable, side: keyof typeof slowest) => () =>
    underLoad(
      target,
      () =>
        send({
          script: 'lines',
          url: target.url,
          clients: CLIENTS,
          seconds,
          data: { lines: [`GET ${path}`], headers },
        }),
      (measured: LoadResult) => {
        slowest[side].push(measured.p99)
        return measured.rate
      },
    )
  try {
    const rates = await measureBoth(rounds, to(server, 'ours'), to(bare, 'limit'))
    const [ours, limit] = [spreadOf(slowest.ours), spreadOf(slowest.limit)]
    const ratio = spreadOf(slowest.ours.map((value, round) => value / (slowest.limit[round] ?? Number.NaN)))
    const name = `GET ${path}, ${CLIENTS} clients`
    return [
      { name, unit: 'a second', limitIs: BARE, ...rates },
      { name: `${name}, p99`, unit: 'ms', limitIs: BARE, ours, limit, ratio },
    ]
  } finally {
    await bare.stop()
  }
}

interface Side {
  server: Measurable
  users: BenchUser[]
}

async function apiBeside({ rounds, seconds }: BenchOptions, ours: Side, without: Side): Promise<Result> {
  const to =
    ({ server, users }: Side) =>
    () => {
      const data = { users }
      return underLoad(server, () => send({ script: 'readUser', url: server.url, clients: CLIENTS, seconds, data }))
    }
  for (const side of [ours, without]) await to(side)()
  return {
    name: 'GET /users/{id} in a process with the pages',
    unit: 'a second',
    limitIs: 'one without them',
    ...(await measureBoth(rounds, to(ours), to(without))),
    goal: { least: 0.95 },
  }
}

function memoryBeside(name: string, ours: Measurable, without: Measurable): Result {
  const [withPages, plain] = [ours.memory().now, without.memory().now]
  return {
    name,
    unit: 'MiB',
    limitIs: 'without them',
    ours: spreadOf([withPages]),
    limit: spreadOf([plain]),
    ratio: spreadOf([withPages / plain]),
  }
}
