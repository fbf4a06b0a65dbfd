import { type Complaint, errorOf } from '../../kit/field-errors.ts'
import { invalid, type OAuthError, Problem } from '../../kit/problem.ts'

/** The problem of a parameter of a token request, with the code of RFC 6749, 5.2. */
export function refusedRequest(oauthError: OAuthError, parameter: string, complaint: Complaint): Problem {
  const { errors, publicMessage: message } = invalid([errorOf(parameter, complaint)])
  return new Problem('validation_failed', { message, ...(errors ? { errors } : {}), oauthError })
}
