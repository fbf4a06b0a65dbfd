import type { OAuthError, Problem, ProblemBody } from '../problem.ts'
import { isTokenProblem } from '../tokens/check.ts'

/** A problem of an OAuth route: `error` is an OAuth code instead of the reason phrase. */
export interface OAuthProblemBody extends ProblemBody {
  error: OAuthError
  error_description: string
}

/** The body of a problem for OAuth clients (RFC 6749, 5.2). Other clients can read it as a problem too. */
export function oauthBody(problem: Problem, requestId: string): OAuthProblemBody {
  const body = problem.body(requestId)
  return { ...body, error: errorOf(problem), error_description: printable([body.message].flat().join('; ')) }
}

/** The OAuth code of a problem (RFC 6749, 5.2 and 4.1.2.1; for a Bearer RFC 6750, 3.1, as RFC 7662, 2.3 says). */
function errorOf(problem: Problem): OAuthError {
  const { oauthError, status } = problem
  if (oauthError) return oauthError
  if (isTokenProblem(problem)) return 'invalid_token'
  if (status === 401) return 'invalid_client'
  if (status === 403) return 'insufficient_scope'
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

/** Replaces the characters that RFC 6749 does not allow in a description. */
function printable(text: string): string {
  return text.replaceAll(/["\\]/g, "'").replaceAll(/[^\x20-\x7e]/g, '?')
}
