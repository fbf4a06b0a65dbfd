import { timestamp } from '../../kit/clock.ts'
import type { Token } from '../schemas/tokens.ts'
import type { TokensV0 } from '../schemas/v0.ts'
import type { SessionWithTokens } from './sessions.ts'

/** The tokens of a session in the shape of version 0.0.1. */
export function tokensV0Of({ session, tokens }: SessionWithTokens): TokensV0 {
  return {
    accessToken: tokens.access_token,
    refreshToken: { token: tokens.refresh_token, exp: timestamp(session.expiresAt), userId: session.userId },
  }
}

/** The tokens of a session in the shape of the login that opened it, also if a later step completed that login. */
export function tokensOfLogin(opened: SessionWithTokens): Token | TokensV0 {
  return opened.session.kind === 'v0' ? tokensV0Of(opened) : opened.tokens
}
