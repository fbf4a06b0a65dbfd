import type { FieldError } from './types.ts'

/** The codes of errors that the API has for clients; `docs/integrate/errors.md` lists all. */
export type ErrorCode =
  /** No answer: no connection, or the server is not running. Nothing has changed here. */
  | 'network_error'
  /** The answer is not one of Ch202, such as that of a proxy. */
  | 'unexpected_answer'
  | 'validation_failed'
  | 'weak_password'
  | 'invalid_challenge'
  | 'invalid_code'
  | 'invalid_credentials'
  | 'account_disabled'
  | 'registration_closed'
  | 'email_taken'
  | 'username_taken'
  | 'rate_limited'
  | 'internal_error'
  | 'users_unavailable'
  | 'auth_unavailable'
  | 'database_unavailable'
  | 'overloaded'
  // Any other code of the API, while editors still suggest those above.
  | (string & {})

interface ErrorFields {
  code: ErrorCode
  status: number
  requestId?: string | undefined
  retryAfter?: number | undefined
  errors?: FieldError[] | undefined
}

/** A failure that the API reported, or a request without an answer. Decide by `code`. */
export class Ch202Error extends Error {
  override readonly name = 'Ch202Error'
  readonly code: ErrorCode
  /** The status of the answer; 0 without one. */
  readonly status: number
  /** Names the request in the log of the server. */
  readonly requestId: string | undefined
  /** Seconds after which the same request may succeed. */
  readonly retryAfter: number | undefined
  /** The errors of single fields; empty if there is no such error. */
  readonly errors: FieldError[]

  constructor(message: string, { code, status, requestId, retryAfter, errors = [] }: ErrorFields, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.status = status
    this.requestId = requestId
    this.retryAfter = retryAfter
    this.errors = errors
  }
}
