import { PASSWORD } from '../tests/support/actors.ts'
import { call } from '../tests/support/http.ts'
import { OPERATOR_KEY } from '../tests/support/settings.ts'
import { ownSettings } from '../tests/support/tool.ts'
import { type Measurable, startServer } from './processes.ts'

export const operator = { 'x-api-key': OPERATOR_KEY }

/** As it runs in production, but for the limits: a generator of load is one client that does a thousand things. */
export function settings(dataDir: string, env: Record<string, string> = {}): Record<string, string> {
  return ownSettings(dataDir, { LOG_LEVEL: 'warn', BCRYPT_COST: '10', RATE_LIMIT: 'off', ...env })
}

/** All three services in one process. */
export async function startCh202(dataDir: string, env: Record<string, string> = {}): Promise<Measurable> {
  const own = settings(dataDir, env)
  return startServer({ command: [process.execPath, 'cli/main.ts', 'serve'], env: own, url: own.CH202_URL ?? '' })
}

export interface Known {
  id: string
  email: string
  password: string
  token: string
  refreshToken: string
}

/** Makes users who share one hash, and logs each in. */
export async function known(url: string, count: number, from = 'known', ofUsers = url): Promise<Known[]> {
  const users: Known[] = []
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 10 })
  for (let n = 0; n < count; n++) {
    const email = `${from}-${n}@example.org`
    const made = await call(ofUsers, 'POST /api/v1/users', { headers: operator, body: { email, password_hash } })
    users.push({ id: made.body.id, email, ...(await logIn(url, email)) })
  }
  return users
}

export async function logIn(url: string, email: string): Promise<Omit<Known, 'id' | 'email'>> {
  const { body, status, text } = await call(url, 'POST /api/v1/auth/login', { body: { email, password: PASSWORD } })
  if (status !== 200) throw new Error(`A login was answered with ${status} ${text}`)
  return { password: PASSWORD, token: body.access_token, refreshToken: body.refresh_token }
}
