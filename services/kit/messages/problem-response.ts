import type { Problem } from '../problem.ts'
import type { Random } from '../random.ts'
import { isTokenProblem } from '../tokens/check.ts'
import { addHeaders } from './response-headers.ts'

/** The request id: the client's own if it has 1 to 128 visible ASCII characters, otherwise a new one. */
export function requestIdOf(headers: Headers, random: Pick<Random, 'id'>): string {
  const clientId = headers.get('x-request-id')
  return clientId !== null && /^[\x21-\x7e]{1,128}$/.test(clientId) ? clientId : random.id()
}

/** Adds the headers that the response to a problem has. @param headers of the response; changed in place */
export function addProblemHeaders(headers: Record<string, unknown>, problem: Problem, requestId: string): void {
  headers['cache-control'] = 'no-store'
  addHeaders(headers, requestId)
  if (problem.retryAfter !== undefined) headers['retry-after'] = String(Math.ceil(problem.retryAfter))
  if (problem.allow !== undefined) headers.allow = problem.allow
  const authenticate = problem.authenticate ?? (problem.status === 401 ? challenge(problem) : undefined)
  if (authenticate !== undefined) headers['www-authenticate'] = authenticate
  // JSON has no charset parameter (RFC 8259, 11).
  headers['content-type'] = 'application/json'
}

/** The challenge of a 401 (RFC 6750, 3). It has a reason only if a token was sent. */
function challenge(problem: Problem): string {
  return isTokenProblem(problem) ? 'Bearer error="invalid_token"' : 'Bearer'
}
