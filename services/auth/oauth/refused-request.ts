import { type Complaint, errorOf } from '../../kit/field-errors.ts'
import { invalid, type OAuthError, Problem } from '../../kit/problem.ts'

/** The problem of a parameter of a token request, with the code of RFC 6749, 5.2. */
export function refusedRequest(oauthError: OAuthError, parameter: string, complaint: Complaint): Problem {
  const { errors, publicMessage: message } = invalid([errorOf(parameter, complaint)])
  return new Problem('validation_failed', { message, ...(errors ? { errors } : {}), oauthError })
}

/** The problem of a parameter with which an app sent a browser. The browser must not be sent to the app then. */
export function refusedBrowserRequest(
  code: 'invalid_authorization' | 'invalid_logout_request',
  parameter: string,
  complaint: Complaint,
): Problem {
  return new Problem(code, { message: `${parameter} ${complaint.message}` })
}
