import type { ProblemCode } from '../../services/kit/problem.ts'
import { may, POLICY, type Policy, successOf } from '../security/policy.ts'
import { rowsOfAdded } from '../support/added-services.ts'

/**
 * Callers of an operation. `bearer`: the operation reads a token if one is sent, and needs none. `client`: a client with a
 * token of its own. `app`: an app with a token for a user. `secret`: a client that authenticates in the request.
 */
export type Who = 'anyone' | 'bearer' | 'app' | 'client' | 'secret' | 'user' | 'operator' | 'internal' | 'scraper'

interface ContractOperation {
  /** The method and the path under `/api/v1`; of v0, at the root. */
  call: string
  who: Who[]
  /** The status of success. */
  answer: number
  /** The error codes that the contract names for it. */
  codes: ProblemCode[]
}

/** Credentials that an operation reads beyond those that the policy lists. */
const FURTHER_CREDENTIALS: Record<string, Who[]> = {
  'POST /api/v1/auth/logout': ['bearer'],
  'POST /api/v1/auth/validate-token': ['bearer'],
  'POST /api/v1/auth/email-verification-request': ['bearer'],
  'POST /api/v1/auth/logout-requests': ['bearer'],
  'POST /api/v1/users': ['operator', 'bearer', 'internal'],
  'POST /user': ['operator', 'bearer', 'internal'],
  'GET /api/v1/metrics': ['scraper'],
  'POST /api/v1/oauth/token': ['secret'],
  'POST /api/v1/auth/introspect': ['secret'],
  'POST /api/v1/auth/passkeys/login-options': ['bearer'],
  // By the challenge of a login that waits for an enrolment.
  'POST /api/v1/auth/factors/totp': ['anyone'],
  'POST /api/v1/auth/factors/totp/confirm': ['anyone'],
  'POST /api/v1/auth/passkeys/options': ['anyone'],
  'POST /api/v1/auth/passkeys': ['anyone'],
}

const REGISTRATION = 'weak_password rate_limited overloaded registration_closed email_taken'
const CREATION = `${REGISTRATION} username_taken forbidden_field`
const CHANGE = 'user_not_found forbidden_field reauthentication_required email_taken username_taken last_admin'
const REFRESH = 'invalid_refresh_token refresh_token_reused rate_limited'
const STEP = 'second_factor_required second_factor_enrolment_required'
const ENTRY = `email_not_verified device_confirmation_required ${STEP}`
const ENROLMENT = 'invalid_challenge missing_token reauthentication_required email_not_verified'
const FACTOR = 'factor_not_found reauthentication_required'
const LOGIN = `invalid_credentials account_disabled ${ENTRY} rate_limited overloaded users_unavailable`
const CODE = 'invalid_challenge invalid_code'

/** The error codes that sections 3 to 8 of the contract name, separated by spaces as in its tables. */
const CODES: Record<string, string> = {
  'POST /api/v1/auth/register': CREATION,
  'POST /api/v1/auth/login': LOGIN,
  'POST /api/v1/auth/refresh': REFRESH,
  'POST /api/v1/auth/token/refresh': REFRESH,
  'POST /api/v1/auth/logout': 'invalid_refresh_token',
  'DELETE /api/v1/auth/sessions/{session_id}': 'session_not_found',
  'POST /api/v1/auth/password-reset-request': 'rate_limited',
  'POST /api/v1/auth/password-reset-confirm': 'invalid_reset_token weak_password',
  'POST /api/v1/auth/revoke': 'database_unavailable',
  'POST /api/v1/users': `${CREATION} reauthentication_required`,
  'GET /api/v1/users/export': 'validation_failed reauthentication_required',
  'POST /api/v1/users/import': 'body_too_large unsupported_media_type validation_failed reauthentication_required',
  'POST /api/v1/auth/email-verification-request': 'already_verified rate_limited',
  'POST /api/v1/auth/email-verification-confirm': CODE,
  'POST /api/v1/auth/email-code-request': 'email_login_disabled rate_limited',
  'POST /api/v1/auth/email-code-login': `${CODE} email_login_disabled account_disabled ${STEP}`,
  'POST /api/v1/auth/email-change-request': 'reauthentication_required rate_limited',
  'POST /api/v1/auth/email-change-confirm': `${CODE} email_taken`,
  'POST /api/v1/auth/email-change-undo': 'invalid_challenge',
  'POST /api/v1/auth/invitation-accept': `invalid_challenge weak_password username_taken account_disabled ${STEP}`,
  'POST /api/v1/auth/device-confirm': `${CODE} ${STEP}`,
  'POST /api/v1/auth/second-factor':
    'invalid_code invalid_credentials account_disabled email_not_verified rate_limited',
  'POST /api/v1/auth/passkeys/login-options': 'invalid_challenge',
  'POST /api/v1/auth/passkeys/login': 'invalid_credentials account_disabled email_not_verified users_unavailable',
  'POST /api/v1/auth/factors/totp': ENROLMENT,
  'POST /api/v1/auth/factors/totp/confirm': `${ENROLMENT} factor_not_found invalid_code`,
  'POST /api/v1/auth/passkeys/options': ENROLMENT,
  'POST /api/v1/auth/passkeys': `${ENROLMENT} invalid_credentials`,
  'POST /api/v1/auth/recovery-codes': FACTOR,
  'PATCH /api/v1/auth/factors/{id}': FACTOR,
  'DELETE /api/v1/auth/factors/{id}': `${FACTOR} last_way_in`,
  'GET /api/v1/admin/users/{user_id}/factors': 'user_not_found',
  'POST /api/v1/admin/users/{user_id}/factors': 'user_not_found email_not_verified reauthentication_required',
  'DELETE /api/v1/admin/users/{user_id}/factors': 'user_not_found reauthentication_required',
  'POST /api/v1/admin/users/{user_id}/password-reset': 'user_not_found account_disabled rate_limited',
  'POST /api/v1/auth/reauthenticate': 'invalid_credentials invalid_code rate_limited overloaded users_unavailable',
  'POST /api/v1/admin/invitations':
    'reauthentication_required email_taken account_disabled username_taken user_not_found',
  'POST /api/v1/oauth/token': 'invalid_credentials',
  'GET /api/v1/auth/authorizations': 'invalid_authorization',
  'POST /api/v1/auth/authorizations': 'invalid_authorization',
  'DELETE /api/v1/auth/grants/{grant_id}': 'grant_not_found reauthentication_required',
  'POST /api/v1/auth/logout-requests': 'invalid_logout_request',
  'POST /api/v1/admin/clients': 'client_exists reauthentication_required',
  'GET /api/v1/admin/clients/{client_id}': 'client_not_found',
  'PATCH /api/v1/admin/clients/{client_id}': 'client_not_found client_exists reauthentication_required',
  'DELETE /api/v1/admin/clients/{client_id}': 'client_not_found reauthentication_required',
  'POST /api/v1/admin/clients/{client_id}/secret': 'client_not_found reauthentication_required',
  'POST /api/v1/admin/keys/rotate': 'reauthentication_required',
  'GET /api/v1/users/{user_id}': 'user_not_found',
  'GET /api/v1/users/by-username/{username}': 'user_not_found',
  'GET /api/v1/users/by-email/{email}': 'user_not_found',
  'PUT /api/v1/users/{user_id}': CHANGE,
  'PATCH /api/v1/users/{user_id}': CHANGE,
  'DELETE /api/v1/users/{user_id}': 'user_not_found reauthentication_required last_admin',
  'POST /api/v1/users/{user_id}/change-password': 'invalid_credentials weak_password',
  'POST /api/v1/users/{user_id}/set-password': 'user_not_found reauthentication_required weak_password',
  'POST /api/v1/users/{user_id}/erase': 'user_not_found reauthentication_required last_admin',
  'GET /api/v1/users/{user_id}/password-hash': 'user_not_found',
  'POST /api/v1/users/{user_id}/password': 'user_not_found',
  'POST /api/v1/users/{user_id}/password-changed': 'user_not_found',
  'POST /api/v1/users/{user_id}/proof': 'user_not_found email_taken username_taken weak_password',
  'POST /api/v1/users/invited': 'email_taken username_taken',
  'DELETE /api/v1/admin/password-cache/{user_id}': 'user_not_found',
  'POST /api/v1/admin/password-cache/sync': 'users_unavailable',
  'DELETE /api/v1/admin/keys/{kid}': 'not_found reauthentication_required',
  'PATCH /api/v1/admin/webhooks/{webhook_id}': 'not_found',
  'DELETE /api/v1/admin/webhooks/{webhook_id}': 'not_found',
  'GET /api/v1/modules/{module_id}': 'module_not_found',
  'POST /api/v1/modules/{module_id}/enable': 'module_not_found module_not_available module_dependency',
  'POST /api/v1/modules/{module_id}/disable': 'module_not_found module_dependency',
  'POST /api/v1/modules': 'module_exists validation_failed',
  'PATCH /api/v1/modules/{module_id}': 'module_not_found',
  'DELETE /api/v1/modules/{module_id}': 'module_not_found module_dependency',
  'GET /api/v1/modules/{module_id}/users': 'module_not_found',
  'GET /api/v1/health/db': 'database_unavailable',
  'GET /api/v1/health/ready': 'database_unavailable auth_unavailable users_unavailable modules_unavailable',
  'POST /auth/register': REGISTRATION,
  'POST /auth/login': LOGIN,
  'POST /auth/refresh': REFRESH,
  'GET /user/{id}': 'user_not_found',
  'POST /user': REGISTRATION,
  'DELETE /user/{id}': 'user_not_found reauthentication_required last_admin',
  ...rowsOfAdded('codes'),
}

/**
 * Aliases in the contract: further paths of the operations above, served but not documented. `POST /user/register` is
 * `POST /users`; the others are the same paths without `/auth`.
 */
export const DOUBLED = [
  'POST /user/register',
  'POST /register',
  'POST /login',
  'POST /refresh',
  'POST /token/refresh',
  'POST /logout',
  'POST /validate-token',
  'POST /password-reset',
  'GET /whoami',
]

/** Every operation at its documented path, with its callers from the policy. */
export const CONTRACT: ContractOperation[] = POLICY.map((policy) => ({
  call: policy.call,
  who: [...whoMay(policy), ...(FURTHER_CREDENTIALS[policy.call] ?? [])],
  answer: successOf(policy),
  codes: (CODES[policy.call] ?? '').split(' ').filter(Boolean) as ProblemCode[],
}))

function whoMay(policy: Policy): Who[] {
  if (may(policy, 'no one')) return ['anyone']
  const who: Who[] = []
  if (may(policy, 'the owner')) who.push('user')
  if (may(policy, 'the operator key')) who.push('operator')
  if (may(policy, 'the internal key')) who.push('internal')
  if (policy.scope !== '-') who.push('client')
  if (policy.app !== undefined) who.push('app')
  return who
}
