import { logIn, newEmail, PASSWORD, registerUser } from './actors.ts'
import { challenged, invitation, type Mailed, nextMail, requested } from './challenges.ts'
import { type Answer, as, call } from './http.ts'
import { mailsTo } from './mails.ts'
import type { System } from './system.ts'

type Here = Pick<System, 'dataDir' | 'url'>

/** A code or a link that has been mailed, and the request that uses it. */
export interface Prepared extends Mailed {
  user: { id: string; email: string }
  /** Undefined: the mail has a link alone. */
  challenge_id?: string
  headers: Record<string, string>
  /** More fields of the request. */
  fields: object
}

export interface Purpose {
  /** The path that takes the code or the token. */
  path: string
  /** The contents of the mail. */
  has: ('code' | 'token')[]
  /** The code of the problem for one that is void. */
  refusal: string
  /** Causes a mail to a new user. */
  prepare(system: Here): Promise<Prepared>
}

/** The password that a link sets. */
const NEW_PASSWORD = 'a wholly new password'

async function newUser(system: Here, fields: object) {
  const email = newEmail()
  const body = { email, password: PASSWORD, ...fields }
  const answer = await call(system.url.users, 'POST /api/v1/users', { headers: as.operator, body })
  return { id: answer.body.id as string, email }
}

const prepared = (user: Prepared['user'], mailed: Mailed & { challenge_id?: string }, more = {}): Prepared => ({
  ...mailed,
  user,
  headers: {},
  fields: {},
  ...more,
})

/** Each purpose of a code or a link, for systems with EMAIL_LOGIN=on, DEVICE_TRUST=all and RATE_LIMIT=off. */
export const PURPOSES: Record<string, Purpose> = {
  email_verification: {
    path: 'email-verification-confirm',
    has: ['code', 'token'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const user = await newUser(system, {})
      return prepared(user, await requested(system, 'email-verification-request', { email: user.email }))
    },
  },
  email_code: {
    path: 'email-code-login',
    has: ['code', 'token'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const user = await newUser(system, { email_verified: true })
      return prepared(user, await requested(system, 'email-code-request', { email: user.email }))
    },
  },
  email_change: {
    path: 'email-change-confirm',
    has: ['code', 'token'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const { tokens, ...user } = await registerUser(system)
      const headers = as.bearer(tokens.access_token)
      const mailed = await requested(system, 'email-change-request', { new_email: newEmail() }, headers)
      return prepared(user, mailed, { headers })
    },
  },
  device: {
    path: 'device-confirm',
    has: ['code'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const user = await newUser(system, { email_verified: true })
      return prepared(user, await challenged(system, user.email, () => logIn(system, user.email)))
    },
  },
  password_reset: {
    path: 'password-reset-confirm',
    has: ['token'],
    refusal: 'invalid_reset_token',
    async prepare(system) {
      const user = await newUser(system, { email_verified: true })
      const before = mailsTo(system, user.email).length
      await call(system.url.auth, 'POST /api/v1/auth/password-reset-request', { body: { email: user.email } })
      const mailed = await nextMail(system, user.email, before)
      return prepared(user, mailed, { fields: { new_password: NEW_PASSWORD } })
    },
  },
  invitation: {
    path: 'invitation-accept',
    has: ['token'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const user = await newUser(system, { password: undefined })
      const token = await invitation(system, user.email)
      const mailed = { token, code: '', mail: '', page: 'invitation' }
      return prepared(user, mailed, { fields: { new_password: NEW_PASSWORD } })
    },
  },
  email_undo: {
    path: 'email-change-undo',
    has: ['token'],
    refusal: 'invalid_challenge',
    async prepare(system) {
      const user = await newUser(system, { email_verified: true })
      const before = mailsTo(system, user.email).length
      const body = { email: newEmail() }
      await call(system.url.users, `PATCH /api/v1/users/${user.id}`, { headers: as.operator, body })
      return prepared(user, await nextMail(system, user.email, before))
    },
  },
}

/** The fields of a request that are the proof. */
export function proofOf({ challenge_id, code, token }: Prepared, by: 'code' | 'token'): Record<string, unknown> {
  return by === 'code' ? { challenge_id, code } : { token }
}

/**
 * Uses a code or a link.
 * @param proof in place of that of the mail
 * @param base the address of a node, in place of that of auth
 */
export function useMailed(
  system: Here,
  path: string,
  { fields, headers }: Pick<Prepared, 'fields' | 'headers'>,
  proof: Record<string, unknown>,
  base = system.url.auth,
): Promise<Answer> {
  return call(base, `POST /api/v1/auth/${path}`, { headers, body: { ...proof, ...fields } })
}

/** Another code than this. */
export function wrongCode(code: string, by = 1): string {
  return String((Number(code) + by) % 1_000_000).padStart(6, '0')
}
