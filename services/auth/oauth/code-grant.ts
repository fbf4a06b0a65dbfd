import { createHash } from 'node:crypto'
import type { Caller } from '../../kit/caller.ts'
import { type Complaint, notAllowed, REQUIRED } from '../../kit/field-errors.ts'
import type { Config } from '../../kit/process/config.ts'
import { type AuditRecordContext, auditEvent } from '../audit/record.ts'
import type { TokenAnswer, TokenRequest } from '../schemas/oauth.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import { newSession } from '../sessions/sessions.ts'
import type { AuthorizationCode, Client, GrantStore } from '../store/index.ts'
import { codeHash } from './authorize.ts'
import { type GrantTokensContext, idTokenKeyFor, tokensOfGrant } from './grant-tokens.ts'
import { refusedRequest } from './refused-request.ts'

export interface CodeGrantContext extends GrantTokensContext, AuditRecordContext {
  store: GrantStore
  feed: Pick<RevocationFeed, 'announce'>
  config: Pick<Config, 'jwtExpire' | 'refreshExpire' | 'refreshExpireV0' | 'sessionMaxAge'>
}

/**
 * Redeems an authorization code (RFC 6749, 4.1.3).
 * @throws Problem with the OAuth error `invalid_grant` or `invalid_target`
 */
export async function redeemCode(
  context: CodeGrantContext,
  client: Client,
  request: TokenRequest,
  caller: Caller,
): Promise<TokenAnswer> {
  const { clock, config, feed, random, store } = context
  if (request.code === undefined) throw refusedRequest('invalid_request', 'code', REQUIRED)
  const hash = codeHash(request.code)
  const code = await store.code(hash)
  if (code?.clientId !== client.id) throw invalidGrant('code', INVALID_CODE)
  const isNew = code.usedAt === null
  if (isNew) {
    requireMatch(code, request)
    requireRights(client, code)
  }
  const key = isNew ? idTokenKeyFor(context, client, code.scopes) : undefined
  const now = clock.now()
  const grantId = random.id()
  const used = await store.useCode({
    hash,
    now,
    grantId,
    clientVersion: client.version,
    firstParty: client.firstParty,
    accessUntil: now + config.jwtExpire,
    offlineSession: (account, { amr, authTime }) => ({
      ...newSession(context, { account, methods: amr }, caller, 'v1'),
      id: grantId,
      authTime,
      ofGrant: true,
    }),
    event: ({ scopes, userId }, id) =>
      auditEvent(context, caller, 'grant.issued', userId, { client_id: client.id, grant_id: id, scopes }),
  })
  if (used.outcome === 'used') await feed.announce(used.ended)
  if (used.outcome !== 'granted') throw invalidGrant('code', INVALID_CODE)
  const { account, grant, session } = used
  return tokensOfGrant(context, { grant, client, account, session }, grant.scopes, { key, nonce: code.nonce })
}

const INVALID_CODE = notAllowed('must be a code that was issued to the client and was not used, within a minute')

function invalidGrant(parameter: string, complaint: Complaint) {
  return refusedRequest('invalid_grant', parameter, complaint)
}

/** @throws Problem when a code does not belong to the request that redeems it */
function requireMatch(code: AuthorizationCode, { code_verifier, redirect_uri, resource }: TokenRequest): void {
  // OAuth 2.1 has left it out: PKCE binds the code to its request more tightly.
  const hasRedirect = redirect_uri !== undefined || code.codeChallenge === null
  if (hasRedirect && redirect_uri !== code.redirectUri)
    throw invalidGrant('redirect_uri', notAllowed('must be that of the authorization request'))
  // A verifier without a challenge: somebody has removed the challenge from the request (RFC 9700, 4.8.2).
  const challenge = code_verifier === undefined ? null : createHash('sha256').update(code_verifier).digest('base64url')
  if (challenge !== code.codeChallenge)
    throw invalidGrant('code_verifier', notAllowed('must be that of the code_challenge'))
  if (resource !== undefined && resource !== code.resource)
    throw refusedRequest('invalid_target', 'resource', notAllowed('must be that of the authorization request'))
}

/** @throws Problem when the client has lost a right since the user gave it */
function requireRights({ resources, scopes }: Client, code: AuthorizationCode): void {
  const hasResource = code.resource === null || resources.includes(code.resource)
  if (!hasResource || !code.scopes.every((scope) => scopes.includes(scope)))
    throw invalidGrant('code', notAllowed('must be for scopes and a resource that the client still has'))
}
