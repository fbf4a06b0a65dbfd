import { createHash, randomBytes } from 'node:crypto'
import { type Answer, as, call } from '../http.ts'
import type { System } from '../system.ts'
import { basic, createClient, type OAuthClient, requestToken } from './clients.ts'

type AtAuth = Pick<System, 'url'>

export const CALLBACK = 'https://app.example.org/callback'

/** An app that may ask users for everything. It belongs to the team, so that users are not asked, unless the fields say otherwise. */
export function createApp(
  system: AtAuth,
  fields: Record<string, unknown> = {},
  headers?: Record<string, string>,
): Promise<OAuthClient> {
  const all = {
    redirect_uris: [CALLBACK],
    first_party: true,
    scopes: ['openid', 'profile', 'email', 'offline_access', 'roles', 'modules', 'metadata'],
    ...fields,
  }
  return createClient(system, all, headers)
}

/** The verifier of PKCE and its challenge. */
export function newVerifier(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

export const PKCE = newVerifier()

/** The parameters of an authorization request. */
export function authorizationOf({ id }: Pick<OAuthClient, 'id'>, fields: Record<string, unknown> = {}) {
  return {
    client_id: id,
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope: 'openid',
    state: 'the state',
    code_challenge: PKCE.challenge,
    code_challenge_method: 'S256',
    ...fields,
  }
}

/** Asks for a code as a user. */
export function authorize(
  { url }: AtAuth,
  accessToken: string,
  client: Pick<OAuthClient, 'id'>,
  fields: Record<string, unknown> = {},
): Promise<Answer> {
  const body = authorizationOf(client, fields)
  return call(url.auth, 'POST /auth/authorizations', { headers: as.bearer(accessToken), body })
}

/** The parameters that an answer sends to the client. @throws Error if it sends none */
export function sentTo({ body, text }: Answer): URLSearchParams {
  if (body?.outcome !== 'redirect') throw new Error(`no redirect: ${text}`)
  return new URL(body.redirect_to).searchParams
}

/** A code for a user. @throws Error if the user is to be asked */
export async function codeFor(
  system: AtAuth,
  accessToken: string,
  client: Pick<OAuthClient, 'id'>,
  fields: Record<string, unknown> = {},
): Promise<string> {
  const sent = sentTo(await authorize(system, accessToken, client, fields))
  const code = sent.get('code')
  if (code === null) throw new Error(`no code: ${sent}`)
  return code
}

/** Redeems a code. */
export function redeem(
  system: AtAuth,
  { client_secret, id }: Pick<OAuthClient, 'client_secret' | 'id'>,
  code: string,
  fields: Record<string, string> = {},
): Promise<Answer> {
  const form = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: CALLBACK,
    code_verifier: PKCE.verifier,
    ...fields,
  }
  return requestToken(system, form, basic(id, client_secret))
}

/** The tokens of an app for a user. @throws Error if they are refused */
export async function tokensFor(
  system: AtAuth,
  accessToken: string,
  client: Pick<OAuthClient, 'client_secret' | 'id'>,
  fields: Record<string, unknown> = {},
): Promise<{ access_token: string; id_token: string; refresh_token: string; scope: string }> {
  const answer = await redeem(system, client, await codeFor(system, accessToken, client, fields))
  if (answer.status !== 200) throw new Error(`redeem: ${answer.status} ${answer.text}`)
  return answer.body
}
