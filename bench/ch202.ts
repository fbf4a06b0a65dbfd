import { PASSWORD } from '../tests/support/actors.ts'
import { call } from '../tests/support/http.ts'
import { OPERATOR_KEY } from '../tests/support/settings.ts'
import { ownSettings } from '../tests/support/tool.ts'
import { type Measurable, startServer } from './processes.ts'

export const operator = { 'x-api-key': OPERATOR_KEY }

/** The settings of production, except rate limits: a load generator is one client with thousands of requests. */
export function settings(dataDir: string, env: Record<string, string> = {}): Record<string, string> {
  return ownSettings(dataDir, { LOG_LEVEL: 'warn', BCRYPT_COST: '10', RATE_LIMIT: 'off', ...env })
}

/** Starts all three services in one process. @param onAllCores see `startServer` */
export async function startCh202(
  dataDir: string,
  env: Record<string, string> = {},
  onAllCores = false,
): Promise<Measurable> {
  const environment = settings(dataDir, env)
  return startServer({
    command: [process.execPath, 'cli/main.ts', 'serve'],
    env: environment,
    url: environment.CH202_URL ?? '',
    onAllCores,
  })
}

/** A user who is logged in. */
export interface BenchUser {
  id: string
  email: string
  password: string
  token: string
  refreshToken: string
}

/**
 * Creates users who share one hash, and logs each of them in.
 * @param url of auth
 * @param prefix of their emails
 * @param usersUrl of users, if it is another process
 */
export async function createUsers(url: string, count: number, prefix = 'known', usersUrl = url): Promise<BenchUser[]> {
  const users: BenchUser[] = []
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 10 })
  for (let n = 0; n < count; n++) {
    const email = `${prefix}-${n}@example.org`
    const response = await call(usersUrl, 'POST /api/v1/users', { headers: operator, body: { email, password_hash } })
    users.push({ id: response.body.id, email, ...(await logIn(url, email)) })
  }
  return users
}

/** Logs a user of `createUsers` or `importUsers` in. */
export async function logIn(url: string, email: string): Promise<Omit<BenchUser, 'id' | 'email'>> {
  const { body, status, text } = await call(url, 'POST /api/v1/auth/login', { body: { email, password: PASSWORD } })
  if (status !== 200) throw new Error(`A login was answered with ${status} ${text}`)
  return { password: PASSWORD, token: body.access_token, refreshToken: body.refresh_token }
}
