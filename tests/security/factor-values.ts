import { PASSWORD, type TestUser } from '../support/actors.ts'
import { Authenticator } from '../support/browser/authenticator.ts'
import { enrolApp, enrolPasskey, ORIGIN, startedApp } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'

/** Values by their names in paths and bodies. */
type FactorValues = Record<string, unknown>

/** Whether an operation is about second factors: its users need verified addresses. */
export function isAboutFactors(name: string): boolean {
  return /\/(second-factor|factors|passkeys|recovery-codes)(\/|$)/.test(name)
}

/** Marks the email of each user as verified, in users and in auth. */
export async function verifyEmails({ url }: System, users: readonly TestUser[]): Promise<void> {
  for (const { id } of users) {
    const line = `PATCH /api/v1/users/${id}`
    const { status, text } = await call(url.users, line, { headers: as.operator, body: { email_verified: true } })
    if (status !== 200) throw new Error(`verify: ${status} ${text}`)
    // An address that was verified before is announced no more.
    const body = { user_id: id }
    await call(url.auth, 'POST /api/v1/admin/password-cache/sync', { headers: as.operator, body })
  }
}

/** A request that names no login which waits. */
const BY_SESSION = { challenge_id: null }

/** Enrols, for an operation that needs it, a factor of the owner. Gives what the operation names or sends. */
export async function factorValues(system: System, name: string, owner: TestUser): Promise<FactorValues> {
  const { access_token } = owner.tokens
  const auth = (request: string, body: object, headers = {}) => call(system.url.auth, request, { body, headers })
  const loginOptions = async (body: object) => (await auth('POST /auth/passkeys/login-options', body)).body
  switch (name.replace('/api/v1', '')) {
    case 'POST /auth/second-factor': {
      const { recoveryCodes } = await enrolApp(system, access_token, Date.now())
      const { body } = await auth('POST /api/v1/auth/login', { login: owner.email, password: PASSWORD })
      return { challenge_id: body.challenge_id, code: recoveryCodes[0] }
    }
    case 'POST /auth/factors/totp':
    case 'POST /auth/passkeys/options':
    case 'POST /auth/passkeys/login-options':
      return BY_SESSION
    case 'POST /auth/factors/totp/confirm': {
      const app = await startedApp(system, access_token)
      return { ...BY_SESSION, id: app.id, code: app.codeAt(Date.now()) }
    }
    case 'POST /auth/recovery-codes':
    case 'GET /admin/users/{user_id}/factors':
    case 'DELETE /admin/users/{user_id}/factors':
      await enrolApp(system, access_token, Date.now())
      return {}
    case 'GET /auth/factors':
    case 'PATCH /auth/factors/{id}':
    case 'DELETE /auth/factors/{id}':
      return { id: (await enrolApp(system, access_token, Date.now())).app.id }
    case 'POST /auth/passkeys': {
      const headers = as.bearer(access_token)
      const { body } = await auth('POST /auth/passkeys/options', {}, headers)
      return { ...BY_SESSION, credential: new Authenticator(ORIGIN).create(body) }
    }
    case 'POST /auth/passkeys/login': {
      const passkey = await enrolPasskey(system, access_token)
      return { credential: passkey.get(await loginOptions({})) }
    }
  }
  return {}
}
