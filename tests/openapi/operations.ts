import type { ProblemCode } from '../../services/kit/problem.ts'

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

/** One row: the call, who may, the answer, and the codes, separated by spaces as the contract's tables have them. */
function row(call: string, who: string, answer: number, codes = ''): ContractOperation {
  return {
    call,
    who: who.split(' ') as Who[],
    answer,
    codes: codes.split(' ').filter(Boolean) as ProblemCode[],
  }
}

const REGISTRATION = 'weak_password rate_limited overloaded registration_closed'
const CHANGE = 'user_not_found forbidden_field email_taken username_taken last_admin'
const REFRESH = 'invalid_refresh_token refresh_token_reused rate_limited'
const LOGIN = 'invalid_credentials account_disabled rate_limited overloaded users_unavailable'

/** Sections 3 to 8 of the contract, and the paths that the services have among themselves. */
const VERSIONED: ContractOperation[] = [
  // 3. Auth, public.
  row('POST /auth/register', 'anyone', 201, `${REGISTRATION} email_taken username_taken forbidden_field`),
  row('POST /auth/login', 'anyone', 200, LOGIN),
  row('POST /auth/refresh', 'anyone', 200, REFRESH),
  row('POST /auth/token/refresh', 'anyone', 200, REFRESH),
  row('POST /auth/logout', 'anyone bearer', 204, 'invalid_refresh_token'),
  row('POST /auth/logout-all', 'user', 200),
  row('GET /auth/me', 'user', 200),
  row('POST /auth/validate-token', 'anyone bearer', 200),
  row('POST /auth/introspect', 'internal operator', 200),
  row('GET /auth/sessions', 'user operator', 200),
  row('DELETE /auth/sessions', 'operator', 200),
  row('DELETE /auth/sessions/{session_id}', 'user operator', 204, 'session_not_found'),
  row('POST /auth/password-reset-request', 'anyone', 202, 'rate_limited'),
  row('POST /auth/password-reset-confirm', 'anyone', 204, 'invalid_reset_token weak_password'),
  row('POST /auth/revoke', 'anyone', 200, 'database_unavailable'),
  row('GET /.well-known/jwks.json', 'anyone', 200),
  row('GET /.well-known/oauth-authorization-server', 'anyone', 200),
  // 4. Users.
  row(
    'POST /users',
    'anyone operator bearer internal',
    201,
    `${REGISTRATION} email_taken username_taken forbidden_field`,
  ),
  row('GET /users', 'operator', 200),
  row('GET /users/export', 'operator', 200, 'validation_failed'),
  row('POST /users/import', 'operator', 200, 'body_too_large unsupported_media_type validation_failed'),
  row('GET /users/{user_id}', 'user operator internal', 200, 'user_not_found'),
  row('GET /users/by-username/{username}', 'operator internal', 200, 'user_not_found'),
  row('GET /users/by-email/{email}', 'operator internal', 200, 'user_not_found'),
  row('PUT /users/{user_id}', 'user operator', 200, CHANGE),
  row('PATCH /users/{user_id}', 'user operator', 200, CHANGE),
  row('DELETE /users/{user_id}', 'user operator', 204, 'user_not_found last_admin'),
  row('POST /users/{user_id}/change-password', 'user', 204, 'invalid_credentials weak_password'),
  row('POST /users/{user_id}/set-password', 'operator', 204, 'user_not_found weak_password'),
  row('POST /users/verify-credentials', 'internal', 200),
  row('GET /users/{user_id}/password-hash', 'internal', 200, 'user_not_found'),
  row('POST /users/{user_id}/password', 'internal', 204, 'user_not_found'),
  row('GET /users/password-hashes', 'internal', 200),
  row('POST /users/{user_id}/password-changed', 'internal', 202, 'user_not_found'),
  // 5. Auth, internal and admin.
  row('POST /auth/sync/password', 'internal', 204),
  row('POST /auth/sync/passwords', 'internal', 204),
  row('POST /auth/sync/user-deleted', 'internal', 204),
  row('GET /admin/password-cache', 'operator', 200),
  row('DELETE /admin/password-cache/{user_id}', 'operator', 204, 'user_not_found'),
  row('POST /admin/password-cache/sync', 'operator', 200, 'users_unavailable'),
  row('GET /admin/keys', 'operator', 200),
  row('POST /admin/keys/rotate', 'operator', 201),
  row('DELETE /admin/keys/{kid}', 'operator', 204, 'not_found'),
  row('GET /admin/audit', 'operator', 200),
  row('GET /admin/login-limits', 'operator', 200),
  row('GET /admin/refused-logins', 'operator', 200),
  // 6. Modules.
  row('GET /modules', 'user operator', 200),
  row('GET /modules/{module_id}', 'user operator', 200, 'module_not_found'),
  row(
    'POST /modules/{module_id}/enable',
    'user operator',
    200,
    'module_not_found module_not_available module_dependency',
  ),
  row('POST /modules/{module_id}/disable', 'user operator', 200, 'module_not_found module_dependency'),
  row('POST /modules', 'operator', 201, 'module_exists validation_failed'),
  row('PATCH /modules/{module_id}', 'operator', 200, 'module_not_found'),
  row('DELETE /modules/{module_id}', 'operator', 204, 'module_not_found module_dependency'),
  row('GET /modules/{module_id}/users', 'operator', 200, 'module_not_found'),
  row('POST /modules/sync/user-deleted', 'internal', 204),
  row('GET /modules/users/{user_id}', 'internal operator', 200),
  // 8. On every service; the cache on auth alone.
  row('GET /health', 'anyone', 200),
  row('GET /health/db', 'anyone', 200, 'database_unavailable'),
  row('GET /health/cache', 'anyone', 200),
  row('GET /metrics', 'operator scraper', 200),
  // Our own.
  row('GET /auth/revocations', 'internal', 200),
  row('POST /auth/audit', 'internal', 204),
  row('POST /users/announcements/send', 'internal', 200),
]

/** Section 7. */
const V0: ContractOperation[] = [
  row('POST /auth/register', 'anyone', 200, `${REGISTRATION} email_taken`),
  row('POST /auth/login', 'anyone', 200, LOGIN),
  row('POST /auth/refresh', 'anyone', 200, REFRESH),
  row('GET /user/{id}', 'user operator', 200, 'user_not_found'),
  row('POST /user', 'anyone operator bearer internal', 200, `${REGISTRATION} email_taken`),
  row('DELETE /user/{id}', 'user operator', 200, 'user_not_found last_admin'),
]

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

/** Every operation, at the path under which it is documented. */
export const CONTRACT: ContractOperation[] = [
  ...VERSIONED.map((operation) => ({ ...operation, call: operation.call.replace(' ', ' /api/v1') })),
  ...V0,
]
