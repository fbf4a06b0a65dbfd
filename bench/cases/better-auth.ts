import { join } from 'node:path'
import { PASSWORD } from '../../tests/support/actors.ts'
import { freePort } from '../../tests/support/servers/ports.ts'
import { createUsers, startCh202 } from '../ch202.ts'
import { type BenchOptions, measureBoth, type Result, spreadOf, underLoad } from '../measure.ts'
import { type Measurable, send, startServer } from '../processes.ts'

const USERS = 16
/** Enough clients for the maximum rate of both: each hashes in as many threads as there are cores. */
const CLIENTS = 8
const THEIRS = 'better-auth'

/** Compares sign-up, sign-in and session checks with better-auth and its defaults, on the same machine in the same run. */
export async function betterAuth(scale: BenchOptions, folder: string): Promise<Result[]> {
  const { rounds, seconds } = scale
  const port = String(freePort())
  const ours = await startCh202(join(folder, 'beside'))
  const theirs = await startServer({
    command: [process.execPath, 'bench/limits/better-auth.ts', port, join(folder, 'better-auth.sqlite')],
    url: `http://127.0.0.1:${port}`,
  })
  try {
    const users = await createUsers(ours.url, USERS)
    const cookies = await signUp(theirs.url)
    const tokens = users.map(({ token }) => token)
    const sendTo =
      (server: Measurable, script: Parameters<typeof send>[0]['script'], data: unknown, status = '200') =>
      () =>
        underLoad(server, () => send({ script, url: server.url, clients: CLIENTS, seconds, data }, [status]))
    let round = 0
    const sendSignUps = (server: Measurable, path: string, status: string) => () =>
      sendTo(server, 'signUp', { path, from: `new-${round++}`, password: PASSWORD }, status)()
    const signIns = users.map(({ email, password }) => ({ path: '/api/auth/sign-in/email', body: { email, password } }))
    const result = async (
      name: string,
      least: number,
      ...sides: [Parameters<typeof measureBoth>[1], Parameters<typeof measureBoth>[2]]
    ): Promise<Result> => ({
      name,
      unit: 'a second',
      limitIs: THEIRS,
      ...(await measureBoth(rounds, ...sides)),
      goal: { least },
    })
    return [
      await result('sign-in', 1.1, sendTo(ours, 'login', { users }), sendTo(theirs, 'posts', { posts: signIns })),
      await result(
        'check of a session',
        20,
        sendTo(ours, 'validate', { tokens }),
        sendTo(theirs, 'cookies', { cookies }),
      ),
      await result(
        'sign-up',
        3,
        sendSignUps(ours, '/api/v1/auth/register', '201'),
        sendSignUps(theirs, '/api/auth/sign-up/email', '200'),
      ),
      memoryBeside(ours, theirs),
    ]
  } finally {
    await ours.stop()
    await theirs.stop()
  }
}

function memoryBeside(ours: Measurable, theirs: Measurable): Result {
  const [oursPeak, theirsPeak] = [ours.memory().peak, theirs.memory().peak]
  return {
    name: 'memory through all of that, at most',
    unit: 'MiB',
    limitIs: THEIRS,
    ours: spreadOf([oursPeak]),
    limit: spreadOf([theirsPeak]),
    ratio: spreadOf([oursPeak / theirsPeak]),
    goal: { maximum: 0.5 },
  }
}

/** Creates users in better-auth. @returns the cookies of their sessions */
async function signUp(url: string): Promise<string[]> {
  const cookies: string[] = []
  for (let n = 0; n < USERS; n++) {
    const answer = await fetch(`${url}/api/auth/sign-up/email`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: `known-${n}@example.org`, password: PASSWORD, name: 'Ana' }),
    })
    if (!answer.ok) throw new Error(`better-auth answered a sign-up with ${answer.status}`)
    cookies.push(answer.headers.getSetCookie()[0]?.split(';')[0] ?? '')
  }
  return cookies
}
