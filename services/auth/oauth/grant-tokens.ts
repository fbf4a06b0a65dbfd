import { createHash } from 'node:crypto'
import type { Clock } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import { type GrantClaims, type SigningKey, signAccessToken } from '../../kit/tokens/access-token.ts'
import type { TokenAlg } from '../../kit/tokens/algorithms.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { TokenAnswer } from '../schemas/oauth.ts'
import { grantRefreshToken } from '../sessions/refresh-token.ts'
import { authenticationOf } from '../sessions/sessions.ts'
import type { Account, Client, Grant, Session } from '../store/index.ts'
import { acrOf } from './assurance-class.ts'
import { signForClient } from './jwt.ts'

export interface GrantTokensContext {
  clock: Clock
  random: Random
  issuer: string
  keyRing: Pick<KeyRing, 'signing' | 'signingIdTokens'>
  refreshCodes: Codes
  config: Pick<Config, 'jwtExpire'>
}

/** A grant and what its tokens are made of. */
export interface GrantOfUser {
  grant: Grant
  client: Client
  account: Account
  /** The session of an offline grant, otherwise the one in which the user signed in. */
  session: Session
}

/** The parts of an ID token that its grant does not hold. */
interface IdTokenParts {
  /** The result of `idTokenKeyFor`. */
  key: SigningKey | undefined
  /** The nonce of the authorization request; a refresh has none (OpenID Connect Core, 12.2). */
  nonce: string | null
}

/**
 * Returns the key that signs the ID token; undefined when the scopes ask for none. Callers read it before they use up a code or a refresh
 * token: the app could not try again once the key is there.
 * @throws InternalError when there is no key of the client's algorithm
 */
export function idTokenKeyFor(
  { keyRing }: Pick<GrantTokensContext, 'keyRing'>,
  { idTokenAlg }: Client,
  scopes: readonly string[],
): SigningKey | undefined {
  return scopes.includes('openid') ? keyRing.signingIdTokens(idTokenAlg) : undefined
}

/**
 * Issues the tokens of a grant.
 * @param scopes those of the access token
 */
export function tokensOfGrant(
  context: GrantTokensContext,
  of: GrantOfUser,
  scopes: readonly string[],
  { key, nonce }: IdTokenParts,
): TokenAnswer {
  const { clock, config, keyRing, refreshCodes } = context
  const { grant, session } = of
  const now = Math.floor(clock.now() / 1000)
  const exp = Math.min(now + Math.floor(config.jwtExpire / 1000), Math.floor(session.expiresAt / 1000))
  const access_token = signAccessToken(accessClaims(context, of, scopes, { now, exp }), keyRing.signing())
  const { id: sessionId, counter } = session
  return {
    access_token,
    token_type: 'Bearer',
    expires_in: exp - now,
    scope: scopes.join(' '),
    ...(grant.offline ? { refresh_token: grantRefreshToken(refreshCodes, { sessionId, counter }) } : {}),
    ...(key ? { id_token: idToken(context, of, key, { access_token, nonce, now, exp }) } : {}),
  }
}

function accessClaims(
  { issuer, random }: GrantTokensContext,
  { account, client, grant, session }: GrantOfUser,
  scopes: readonly string[],
  { exp, now }: { exp: number; now: number },
): GrantClaims {
  return {
    iss: issuer,
    sub: account.userId,
    aud: grant.resource ?? client.id,
    exp,
    iat: now,
    jti: random.id(),
    client_id: client.id,
    scope: scopes.join(' '),
    ver: account.version,
    client_ver: client.version,
    gid: grant.id,
    ...(grant.offline ? {} : { sid: grant.sessionId }),
    ...authenticationOf(session),
    ...(scopes.includes('email') ? { email: account.email } : {}),
    ...(scopes.includes('roles') ? { roles: account.roles } : {}),
  }
}

function idToken(
  { issuer }: GrantTokensContext,
  { account, client, grant, session }: GrantOfUser,
  key: SigningKey,
  { access_token, exp, nonce, now }: { access_token: string; exp: number; nonce: string | null; now: number },
): string {
  const claims = {
    iss: issuer,
    sub: account.userId,
    aud: client.id,
    exp,
    iat: now,
    ...authenticationOf(session),
    acr: acrOf(session),
    sid: grant.sessionId,
    ...(nonce === null ? {} : { nonce }),
    at_hash: halfHash(key.alg, access_token),
  }
  return signForClient('JWT', claims, key)
}

/** The left half of the hash of a token, by the hash of the algorithm (OpenID Connect Core, 3.1.3.6). */
function halfHash(alg: TokenAlg, token: string): string {
  const hash = createHash(alg === 'EdDSA' ? 'sha512' : 'sha256')
    .update(token)
    .digest()
  return hash.subarray(0, hash.length / 2).toString('base64url')
}
