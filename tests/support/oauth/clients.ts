import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { SERVICES_WITH_DATABASE } from '../../../services/registry.ts'
import { type Answer, as, call, form } from '../http.ts'
import type { Name } from '../settings.ts'
import type { System } from '../system.ts'

type AtAuth = Pick<System, 'url'>

/** A client as the answer that creates it has it. */
export interface OAuthClient {
  id: string
  client_secret: string
  scopes: string[]
}

let counter = 0

/** A name that no other client of this run has. */
export function newClientName(): string {
  return `Client ${++counter} ${Math.random().toString(36).slice(2, 8)}`
}

/** Creates a client, for itself unless the fields say otherwise. @throws Error if it is refused */
export async function createClient(
  { url }: AtAuth,
  fields: Record<string, unknown> = {},
  headers: Record<string, string> = as.operator,
): Promise<OAuthClient> {
  const body = { name: newClientName(), ...fields }
  const answer = await call(url.auth, 'POST /api/v1/admin/clients', { headers, body })
  if (answer.status !== 201) throw new Error(`create: ${answer.status} ${answer.text}`)
  return answer.body
}

/** The header by which a client authenticates (RFC 6749, 2.3.1). */
export function basic(id: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
}

/** Sends a request to the token endpoint: a form with `grant_type=client_credentials` unless the fields say otherwise. */
export function requestToken(
  { url }: AtAuth,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return call(url.auth, 'POST /oauth/token', form({ grant_type: 'client_credentials', ...fields }, headers))
}

/** A token of a client that authenticates by Basic. @throws Error if it is refused */
export async function tokenOf(
  system: AtAuth,
  { client_secret, id }: Pick<OAuthClient, 'client_secret' | 'id'>,
  fields: Record<string, string> = {},
): Promise<string> {
  const answer = await requestToken(system, fields, basic(id, client_secret))
  if (answer.status !== 200) throw new Error(`token: ${answer.status} ${answer.text}`)
  return answer.body.access_token
}

/**
 * Asks each service whether it accepts a client's token, on a route that no scope opens: a valid one is
 * `insufficient_scope`.
 */
export async function askEachWithScope({ url }: AtAuth, token: string): Promise<Record<string, string>> {
  const routes: Partial<Record<Name, string>> = { auth: 'GET /admin/keys', users: 'GET /users/export' }
  const results = await Promise.all(
    SERVICES_WITH_DATABASE.map(async (name) => {
      const route = routes[name] ?? `POST /${name}/none/enable`
      return [name, (await call(url[name], route, { headers: as.bearer(token) })).body.code] as const
    }),
  )
  return Object.fromEntries(results)
}

/** The same code for each service, to compare with that of `askEachWithScope`. */
export function each(code: string): Record<string, string> {
  return Object.fromEntries(SERVICES_WITH_DATABASE.map((name) => [name, code]))
}

export interface ClientKey {
  kid: string
  alg: string
  privateKey: CryptoKey
  jwk: JWK
}

/** A new key of a client. */
export async function newClientKey(alg = 'ES256', kid = `key-${++counter}`): Promise<ClientKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** The claims of a valid assertion. */
export function assertionClaims(id: string, audience: string): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000)
  return { iss: id, sub: id, aud: audience, exp: now + 60, iat: now, jti: crypto.randomUUID() }
}

/** Signs an assertion. `undefined` removes a claim. */
export function signAssertion(
  { alg, kid, privateKey }: ClientKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const present = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
  return new SignJWT(present).setProtectedHeader({ alg, kid, ...header }).sign(privateKey)
}

/** The parameters of a request with an assertion. */
export function assertionFields(assertion: string): Record<string, string> {
  return { client_assertion: assertion, client_assertion_type: ASSERTION_TYPE }
}

/** The fields of an app for users, whose ID tokens are signed with an algorithm. */
export const idTokensBy = (id_token_alg: string) => ({
  id_token_alg,
  redirect_uris: ['https://app.example.org/callback'],
})
