import { type Answer, as, call } from './http.ts'
import type { System } from './system.ts'

type Urls = Pick<System, 'url'>
/** A system, or one node of auth. */
interface AtAuth {
  url: Pick<System['url'], 'auth'>
}

let counter = 0

/** An email that no other user of this run has. */
export function newEmail(): string {
  return `user${++counter}-${Math.random().toString(36).slice(2, 8)}@example.org`
}

export const PASSWORD = 'correct horse battery'

export interface TestUser {
  id: string
  email: string
  tokens: { access_token: string; refresh_token: string; session_id: string }
  /** Names the mail to verify the email, after a registration. */
  challenge_id?: string
}

/**
 * Registers a user at auth.
 * @param extra more fields of the body
 * @throws Error if the registration is refused
 */
export async function registerUser(system: AtAuth, extra: Record<string, unknown> = {}): Promise<TestUser> {
  const email = newEmail()
  const answer = await call(system.url.auth, 'POST /api/v1/auth/register', {
    body: { email, password: PASSWORD, ...extra },
  })
  if (answer.status !== 201) throw new Error(`register: ${answer.status} ${answer.text}`)
  const { challenge_id, id, tokens } = answer.body
  return { id, email, tokens, challenge_id }
}

/**
 * Creates a user with the operator key, and logs them in.
 * @param fields more fields of the body
 * @throws Error if the creation is refused
 */
export async function createUser(system: Urls, fields: Record<string, unknown> = {}): Promise<TestUser> {
  const email = newEmail()
  const created = await call(system.url.users, 'POST /api/v1/users', {
    headers: as.operator,
    body: { email, password: PASSWORD, ...fields },
  })
  if (created.status !== 201) throw new Error(`create: ${created.status} ${created.text}`)
  const login = await logIn(system, email)
  return { id: created.body.id, email, tokens: login.body }
}

/** Logs in at auth. @param login an email or a username */
export function logIn(system: AtAuth, login: string, password = PASSWORD): Promise<Answer> {
  return call(system.url.auth, 'POST /api/v1/auth/login', { body: { login, password } })
}
