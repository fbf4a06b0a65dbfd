import { fromBase32, NEW_TOTP, totpCode, totpStep } from '../../services/auth/factors/totp.ts'
import { Authenticator } from './browser/authenticator.ts'
import { as, call } from './http.ts'
import type { System } from './system.ts'

/** A system, or one node of auth. */
interface AtAuth {
  url: Pick<System['url'], 'auth'>
}

/** An app that shows codes. */
export interface App {
  id: string
  secret: string
  /** The code of a time, in milliseconds since the epoch. */
  codeAt(now: number): string
}

/** Reads a secret as an app does. */
export function appWith({ id, secret }: { id: string; secret: string }): App {
  const key = fromBase32(secret) ?? Buffer.alloc(0)
  return { id, secret, codeAt: (now) => totpCode(key, NEW_TOTP, totpStep(NEW_TOTP, now)) }
}

/** Makes a secret for a user, which is no factor before a code of it is sent. @throws Error if it is refused */
export async function startedApp({ url }: AtAuth, accessToken: string): Promise<App> {
  const headers = as.bearer(accessToken)
  const begun = await call(url.auth, 'POST /api/v1/auth/factors/totp', { headers, body: {} })
  if (begun.status !== 201) throw new Error(`totp: ${begun.status} ${begun.text}`)
  return appWith(begun.body)
}

/** A user who has an app as a second factor. */
export interface UserWithApp {
  app: App
  recoveryCodes: string[]
}

/**
 * Adds an app to the account of a user, by their access token, with the code of `now`: the next login needs a later one.
 * @throws Error if it is refused
 */
export async function enrolApp(system: AtAuth, accessToken: string, now: number): Promise<UserWithApp> {
  const headers = as.bearer(accessToken)
  const app = await startedApp(system, accessToken)
  const body = { id: app.id, code: app.codeAt(now) }
  const confirmed = await call(system.url.auth, 'POST /api/v1/auth/factors/totp/confirm', { headers, body })
  if (confirmed.status !== 200) throw new Error(`confirm: ${confirmed.status} ${confirmed.text}`)
  return { app, recoveryCodes: confirmed.body.recovery_codes ?? [] }
}

/** The origin of the pages of the systems that tests start, from which their passkeys are used. */
export const ORIGIN = 'https://app.example.org'

/**
 * Adds a passkey to the account of a user, by their access token.
 * @throws Error if it is refused
 */
export async function enrolPasskey(
  system: AtAuth,
  accessToken: string,
  authenticator = new Authenticator(ORIGIN),
): Promise<Authenticator> {
  const headers = as.bearer(accessToken)
  const options = await call(system.url.auth, 'POST /api/v1/auth/passkeys/options', { headers, body: {} })
  if (options.status !== 200) throw new Error(`options: ${options.status} ${options.text}`)
  const credential = authenticator.create(options.body)
  const added = await call(system.url.auth, 'POST /api/v1/auth/passkeys', { headers, body: { credential } })
  if (added.status !== 201) throw new Error(`passkey: ${added.status} ${added.text}`)
  return authenticator
}
