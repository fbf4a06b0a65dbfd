import type { ProblemCode } from '../../services/kit/problem.ts'
import { may, POLICY, type Policy, successOf } from '../security/policy.ts'
import { rowsOfAdded } from '../support/added-services.ts'

/** Who may call an operation, in the words of the contract. `bearer`: also with a token that is looked at if sent. */
export type Who = 'anyone' | 'bearer' | 'user' | 'operator' | 'internal' | 'scraper'

interface ContractOperation {
  /** Method and path below `/api/v1`; those of v0 at the root. */
  call: string
  who: Who[]
  /** The status of its success. */
  answer: number
  /** The codes that the contract names for it. */
  codes: ProblemCode[]
}

/** Credentials that make a difference to an operation without being what lets a caller in, or that it alone takes. */
const BESIDE: Record<string, Who[]> = {
  'POST /api/v1/auth/logout': ['bearer'],
  'POST /api/v1/auth/validate-token': ['bearer'],
  'POST /api/v1/users': ['operator', 'bearer', 'internal'],
  'POST /user': ['operator', 'bearer', 'internal'],
  'GET /api/v1/metrics': ['scraper'],
}

const REGISTRATION = 'weak_password rate_limited overloaded registration_closed email_taken'
const CREATION = `${REGISTRATION} username_taken forbidden_field`
const CHANGE = 'user_not_found forbidden_field email_taken username_taken last_admin'
const REFRESH = 'invalid_refresh_token refresh_token_reused rate_limited'
const LOGIN = 'invalid_credentials account_disabled rate_limited overloaded users_unavailable'

/** The codes that sections 3 to 8 of the contract name, separated by spaces as its tables have them. */
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
  'POST /api/v1/users': CREATION,
  'GET /api/v1/users/export': 'validation_failed',
  'POST /api/v1/users/import': 'body_too_large unsupported_media_type validation_failed',
  'GET /api/v1/users/{user_id}': 'user_not_found',
  'GET /api/v1/users/by-username/{username}': 'user_not_found',
  'GET /api/v1/users/by-email/{email}': 'user_not_found',
  'PUT /api/v1/users/{user_id}': CHANGE,
  'PATCH /api/v1/users/{user_id}': CHANGE,
  'DELETE /api/v1/users/{user_id}': 'user_not_found last_admin',
  'POST /api/v1/users/{user_id}/change-password': 'invalid_credentials weak_password',
  'POST /api/v1/users/{user_id}/set-password': 'user_not_found weak_password',
  'GET /api/v1/users/{user_id}/password-hash': 'user_not_found',
  'POST /api/v1/users/{user_id}/password': 'user_not_found',
  'POST /api/v1/users/{user_id}/password-changed': 'user_not_found',
  'DELETE /api/v1/admin/password-cache/{user_id}': 'user_not_found',
  'POST /api/v1/admin/password-cache/sync': 'users_unavailable',
  'DELETE /api/v1/admin/keys/{kid}': 'not_found',
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
  'POST /auth/register': REGISTRATION,
  'POST /auth/login': LOGIN,
  'POST /auth/refresh': REFRESH,
  'GET /user/{id}': 'user_not_found',
  'POST /user': REGISTRATION,
  'DELETE /user/{id}': 'user_not_found last_admin',
  ...rowsOfAdded('codes'),
}

/**
 * In the contract, but doubled: other names of operations that stand above. They are served and not documented.
 * `POST /user/register` is `POST /users`; the others are the bare forms at the root.
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

/** Every operation, at the path under which it is documented. Who may is what the policy says. */
export const CONTRACT: ContractOperation[] = POLICY.map((policy) => ({
  call: policy.call,
  who: [...whoMay(policy), ...(BESIDE[policy.call] ?? [])],
  answer: successOf(policy),
  codes: (CODES[policy.call] ?? '').split(' ').filter(Boolean) as ProblemCode[],
}))

function whoMay(policy: Policy): Who[] {
  if (may(policy, 'no one')) return ['anyone']
  const who: Who[] = []
  if (may(policy, 'the owner')) who.push('user')
  if (may(policy, 'the operator key')) who.push('operator')
  if (may(policy, 'the internal key')) who.push('internal')
  return who
}
