import { as, call } from '../http.ts'
import type { System } from '../system.ts'
import { basic, type OAuthClient, requestToken } from './clients.ts'

type Urls = Pick<System, 'url'>

/** Asks for the next tokens of an offline grant. */
export function refreshApp(
  system: Urls,
  { client_secret, id }: Pick<OAuthClient, 'client_secret' | 'id'>,
  refresh_token: string,
  fields: Record<string, string> = {},
) {
  return requestToken(system, { grant_type: 'refresh_token', refresh_token, ...fields }, basic(id, client_secret))
}

/** Asks for the claims of a user, and for their modules. @returns `valid` or the code of the refusal, by service */
export async function usesOf({ url }: Urls, token: string): Promise<[auth: string, modules: string]> {
  const headers = as.bearer(token)
  const [info, modules] = await Promise.all([
    call(url.auth, 'GET /oauth/userinfo', { headers }),
    call(url.modules, 'GET /modules/', { headers }),
  ])
  const outcome = ({ body, status }: typeof info) => (status === 200 ? 'valid' : body.code)
  return [outcome(info), outcome(modules)]
}

/** The result of `usesOf` for a token that is valid, with the scopes for both. */
export const VALID: ReturnType<typeof usesOf> extends Promise<infer Uses> ? Uses : never = ['valid', 'valid']
export const REVOKED: typeof VALID = ['token_revoked', 'token_revoked']
