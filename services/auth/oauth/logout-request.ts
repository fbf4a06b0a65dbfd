import type { Caller } from '../../kit/caller.ts'
import { type Complaint, notAllowed } from '../../kit/field-errors.ts'
import type { Problem } from '../../kit/problem.ts'
import { isUuid } from '../../kit/random.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { LogoutRequest, LogoutRequestAnswer } from '../schemas/logout-requests.ts'
import type { Client, ClientStore } from '../store/index.ts'
import { clientOfUnverifiable, readIdToken } from './jwt.ts'
import { isRegistered, redirectTo } from './redirect-uri.ts'
import { refusedBrowserRequest } from './refused-request.ts'

export interface LogoutRequestContext {
  store: Pick<ClientStore, 'client'>
  keyRing: Pick<KeyRing, 'idTokenKey'>
  issuer: string
}

/**
 * Checks the request of an app to sign its user out (OpenID Connect RP-Initiated Logout, 2). Changes nothing.
 * @returns whether the request is for the session of the caller, so that they need not be asked, and where they go then
 * @throws Problem `invalid_logout_request`
 */
export async function checkLogout(
  { issuer, keyRing, store }: LogoutRequestContext,
  request: LogoutRequest,
  caller: Caller,
): Promise<LogoutRequestAnswer> {
  const { client_id, id_token_hint, post_logout_redirect_uri, state } = request
  const keys = { issuer, key: (kid: string) => keyRing.idTokenKey(kid) }
  const hint = id_token_hint === undefined ? undefined : readIdToken(id_token_hint, keys)
  // An app may send an ID token whose key is gone: it proves nothing, so the user is asked, as without one.
  const hintedClient = hint?.clientId ?? (id_token_hint && clientOfUnverifiable(id_token_hint, keys))
  if (id_token_hint !== undefined && !hintedClient) throw refused('id_token_hint', NO_ID_TOKEN)
  if (hintedClient && client_id !== undefined && client_id !== hintedClient) throw refused('client_id', OTHER_CLIENT)
  const clientId = hintedClient ?? client_id
  const client = clientId !== undefined && isUuid(clientId) ? await store.client(clientId) : null
  if (post_logout_redirect_uri !== undefined) requireRegistered(client, post_logout_redirect_uri)
  return {
    client: client && { id: client.id, name: client.name },
    confirmed: hint !== undefined && hint.sessionId === caller.sessionId,
    redirect_to: post_logout_redirect_uri === undefined ? null : redirectTo(post_logout_redirect_uri, { state }),
  }
}

const NO_ID_TOKEN = notAllowed('must be an ID token of this server')
const OTHER_CLIENT = notAllowed('must be the client of the ID token')
const UNREGISTERED = notAllowed('must be a post-logout redirect URI of the client, to the letter')

function requireRegistered(client: Client | null, uri: string): void {
  if (client?.status === 'active' && isRegistered(uri, client.postLogoutRedirectUris)) return
  throw refused('post_logout_redirect_uri', UNREGISTERED)
}

function refused(parameter: string, complaint: Complaint): Problem {
  return refusedBrowserRequest('invalid_logout_request', parameter, complaint)
}
