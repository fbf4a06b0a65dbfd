import { type Complaint, errorOf, type FieldError, firstOfEach } from './field-errors.ts'

/**
 * Every problem that a client can see, by its code: the status and the default message. One dictionary, so that a code
 * has the same meaning in all services and in the tool.
 */
const PROBLEMS = {
  validation_failed: [400, 'The request is not valid'],
  malformed_json: [400, 'The body is not valid JSON'],
  invalid_reset_token: [400, 'The reset token is unknown, used or expired'],
  weak_password: [400, 'The password is too easy to guess'],
  invalid_authorization: [400, 'The app that sent you here is unknown, or its address is'],
  invalid_challenge: [400, 'The code or link is unknown, used or expired'],
  invalid_logout_request: [400, 'The app that sent you here is unknown, or its address is'],
  invalid_credentials: [401, 'Invalid credentials'],
  missing_token: [401, 'An access token is required'],
  invalid_token: [401, 'The access token is not valid'],
  token_expired: [401, 'The access token has expired'],
  token_revoked: [401, 'The access token has been revoked'],
  invalid_refresh_token: [401, 'The refresh token is not valid'],
  refresh_token_reused: [401, 'The refresh token was used before; its session has ended'],
  invalid_api_key: [401, 'The API key is not valid'],
  invalid_code: [401, 'The code is wrong'],
  reauthentication_required: [401, 'Log in again to do this: the last login was too long ago'],
  forbidden: [403, 'Not allowed'],
  insufficient_scope: [403, 'The client needs another scope for this'],
  forbidden_field: [403, 'Only an operator may set this field'],
  account_disabled: [403, 'The account is disabled'],
  registration_closed: [403, 'Registration is closed'],
  email_not_verified: [403, 'The email is not verified'],
  second_factor_required: [403, 'A second factor is required'],
  second_factor_enrolment_required: [403, 'The account must have a second factor: add one'],
  device_confirmation_required: [403, 'The new device must be confirmed by the code that was mailed'],
  email_login_disabled: [403, 'Logins by a code by mail are turned off'],
  module_not_available: [403, 'The module needs a role that the user does not have'],
  not_found: [404, 'Not found'],
  user_not_found: [404, 'User not found'],
  session_not_found: [404, 'Session not found'],
  module_not_found: [404, 'Module not found'],
  factor_not_found: [404, 'Factor not found'],
  client_not_found: [404, 'Client not found'],
  grant_not_found: [404, 'Grant not found'],
  method_not_allowed: [405, 'Method not allowed'],
  email_taken: [409, 'Email is taken'],
  username_taken: [409, 'Username is taken'],
  last_admin: [409, 'The last active administrator must remain'],
  module_exists: [409, 'A module with this id exists'],
  module_dependency: [409, 'A dependency between modules does not allow this'],
  already_verified: [409, 'The email is verified already'],
  last_way_in: [409, 'The last way to log in must remain'],
  client_exists: [409, 'A client with this name exists'],
  body_too_large: [413, 'The body is larger than 64 KiB'],
  unsupported_media_type: [415, 'The content type must be application/json'],
  rate_limited: [429, 'Too many attempts; try again later'],
  internal_error: [500, 'Something went wrong on our side'],
  users_unavailable: [503, 'The users service cannot be reached'],
  auth_unavailable: [503, 'The auth service cannot be reached'],
  modules_unavailable: [503, 'The modules service cannot be reached'],
  overloaded: [503, 'Too busy; try again shortly'],
  database_unavailable: [503, 'The database cannot be read or written'],
} as const satisfies Record<string, readonly [number, string]>

export type ProblemCode = keyof typeof PROBLEMS

/** The names of the statuses (RFC 9110, 15), for the field `error`. */
const REASONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** The body of every response with a status of 400 or above. */
export interface ProblemBody {
  statusCode: number
  error: string
  message: string | string[]
  code: ProblemCode
  requestId: string
  /** The errors of fields, with `validation_failed`, `weak_password`, `email_taken` and `username_taken`. */
  errors?: FieldError[]
  /** The id of the challenge that the client must answer. */
  challenge_id?: string
  /** Seconds until the challenge expires. */
  expires_in?: number
  /** The answers that complete the login. */
  methods?: string[]
}

/** The errors of OAuth (RFC 6749, 5.2 and 4.1.2.1; RFC 6750, 3.1; RFC 8707, 2). */
export const OAUTH_ERRORS = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
  'invalid_token',
  'insufficient_scope',
  'server_error',
  'temporarily_unavailable',
] as const

export type OAuthError = (typeof OAUTH_ERRORS)[number]

/** Fields that the body of a problem has beside the common ones. */
type Details = Pick<ProblemBody, 'challenge_id' | 'expires_in' | 'methods'>

interface ProblemOptions {
  /** The message for the client. Never contains a submitted secret. */
  message?: string | string[]
  /** The errors of fields. Never contain submitted values. */
  errors?: FieldError[]
  /** Seconds, for the Retry-After header. */
  retryAfter?: number
  /** Methods, for the Allow header. */
  allow?: string
  /** The challenge of a 401, for the WWW-Authenticate header (RFC 9110, 11.6.1). Undefined: that of its code. */
  authenticate?: string
  /** The error of OAuth (RFC 6749, 5.2), for the routes of OAuth. Undefined: that of its status. */
  oauthError?: OAuthError
  /** Further fields of the body. */
  details?: Details
  /** The internal cause: for the log only, never for the response. */
  cause?: unknown
}

/** The field errors of values that belong to another user. */
const TAKEN: Partial<Record<ProblemCode, FieldError[]>> = {
  email_taken: [errorOf('email', { code: 'taken', message: 'is taken' })],
  username_taken: [errorOf('username', { code: 'taken', message: 'is taken' })],
}

/** A failure with a code of the dictionary. Functions throw it, and the app turns it into a response. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly publicMessage: string | string[]
  readonly errors: FieldError[] | undefined
  readonly retryAfter: number | undefined
  readonly allow: string | undefined
  readonly authenticate: string | undefined
  readonly oauthError: OAuthError | undefined
  readonly details: Details

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(code, { cause: options.cause })
    const [status, message] = PROBLEMS[code]
    this.code = code
    this.status = status
    this.publicMessage = options.message ?? message
    this.errors = options.errors ?? TAKEN[code]
    this.retryAfter = options.retryAfter ?? (status === 503 && code !== 'database_unavailable' ? 1 : undefined)
    this.allow = options.allow
    this.authenticate = options.authenticate
    this.oauthError = options.oauthError
    this.details = options.details ?? {}
  }

  /** The body of the response. */
  body(requestId: string): ProblemBody {
    return {
      statusCode: this.status,
      error: REASONS[this.status] ?? 'Error',
      message: this.publicMessage,
      code: this.code,
      requestId,
      ...(this.errors === undefined ? {} : { errors: this.errors }),
      ...this.details,
    }
  }
}

/**
 * A 400 with one error per field: `weak_password` if that is the only error, otherwise `validation_failed`, whose messages
 * begin with the name of the field.
 */
export function invalid(errors: Iterable<FieldError>): Problem {
  const listed = firstOfEach(errors)
  const [first] = listed
  if (first?.code === 'weak' && listed.length === 1)
    return new Problem('weak_password', { message: `The password ${first.message}`, errors: listed })
  return new Problem('validation_failed', {
    message: listed.map(({ field, message }) => `${field} ${message}`),
    errors: listed,
  })
}

/** A 400 with the error of one field. */
export function invalidField(path: string, complaint: Complaint): Problem {
  return invalid([errorOf(path, complaint)])
}

/** A 409 when both the email and the username belong to other users. */
export function bothTaken(): Problem {
  return new Problem('email_taken', {
    errors: [TAKEN.email_taken, TAKEN.username_taken].flatMap((errors) => errors ?? []),
  })
}

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code)
}

export const PROBLEM_CODES = Object.keys(PROBLEMS) as ProblemCode[]

export function statusOf(code: ProblemCode): number {
  return PROBLEMS[code][0]
}
