import type { Scope, UserScope } from '../../services/kit/access/scopes.ts'
import { ADDED_SERVICES } from '../support/added-services.ts'

/** Every kind of caller: without a credential, the user whom a request is about, and all the others. */
export const CALLERS = [
  'no one',
  'another user',
  'the owner',
  'an admin',
  'the operator key',
  'the internal key',
] as const
export type Caller = (typeof CALLERS)[number]

/** A caller of a system with the setting SUPPORT_ROLE, whom `support-persons.test.ts` asks for. */
export const SUPPORT_PERSON = 'a support person'
const COLUMNS = [...CALLERS, SUPPORT_PERSON] as const

export interface Policy {
  /** Method and path, as documented. */
  call: string
  /**
   * The scope that opens it to a client with a token of its own. `-`: no scope does; `*`: it reads no credentials.
   * Undefined: the row does not say.
   */
  scope: Scope | '-' | '*' | undefined
  /** The scope that opens it to an app with a token for a user. Undefined: no scope does, unless it reads no credentials. */
  app: UserScope | undefined
  /** Status for each caller. */
  statuses: Record<(typeof COLUMNS)[number], number>
}

/**
 * Permissions under `/api/v1`: the status for no one, another user, the owner, an admin, the operator key, the internal key
 * and a support person, each of whom sends a valid request about the owner; the scope that opens it to a client; and the one
 * that opens it to an app, if any does.
 */
const VERSIONED = `
  POST   /auth/register                            201 201 201 201 201 201 201 *
  POST   /auth/login                               200 200 200 200 200 200 200 *
  POST   /auth/refresh                             200 200 200 200 200 200 200 *
  POST   /auth/token/refresh                       200 200 200 200 200 200 200 *
  POST   /auth/logout                              204 204 204 204 204 204 204 -
  POST   /auth/logout-all                          401 200 200 200 403 403 200 -
  GET    /auth/me                                  401 200 200 200 403 403 200 -
  POST   /auth/validate-token                      200 200 200 200 200 200 200 *
  POST   /auth/introspect                          401 403 403 200 200 200 403 introspect
  POST   /auth/revoke                              200 200 200 200 200 200 200 *
  GET    /auth/sessions                            401 200 200 200 200 403 200 sessions:read
  GET    /auth/activity                            401 200 200 200 403 403 200 -
  DELETE /auth/sessions                            401 403 403 200 200 403 200 sessions:revoke
  DELETE /auth/sessions/{session_id}               401 404 204 204 204 403 204 sessions:revoke
  POST   /auth/password-reset-request              202 202 202 202 202 202 202 *
  POST   /auth/password-reset-confirm              204 204 204 204 204 204 204 *
  POST   /auth/email-verification-request          202 202 202 202 202 202 202 -
  POST   /auth/email-verification-confirm          200 200 200 200 200 200 200 *
  POST   /auth/email-code-request                  202 202 202 202 202 202 202 *
  POST   /auth/email-code-login                    200 200 200 200 200 200 200 *
  POST   /auth/email-change-request                401 202 202 202 403 403 202 -
  POST   /auth/email-change-confirm                401 400 200 400 403 403 400 -
  POST   /auth/email-change-undo                   204 204 204 204 204 204 204 *
  POST   /auth/invitation-accept                   200 200 200 200 200 200 200 *
  POST   /auth/device-confirm                      200 200 200 200 200 200 200 *
  POST   /auth/reauthenticate                      401 200 200 200 403 403 200 -
  POST   /auth/second-factor                       200 200 200 200 200 200 200 *
  POST   /auth/passkeys/login-options              200 200 200 200 200 200 200 -
  POST   /auth/passkeys/login                      200 200 200 200 200 200 200 *
  GET    /auth/factors                             401 200 200 200 403 403 200 -
  POST   /auth/factors/totp                        401 201 201 201 401 401 201 -
  POST   /auth/factors/totp/confirm                401 404 200 404 401 401 404 -
  POST   /auth/passkeys/options                    401 200 200 200 401 401 200 -
  POST   /auth/passkeys                            401 401 201 401 401 401 401 -
  POST   /auth/recovery-codes                      401 404 200 404 403 403 404 -
  PATCH  /auth/factors/{id}                        401 404 200 404 403 403 404 -
  DELETE /auth/factors/{id}                        401 404 204 404 403 403 404 -
  GET    /.well-known/jwks.json                    200 200 200 200 200 200 200 *
  GET    /.well-known/oauth-authorization-server   200 200 200 200 200 200 200 *
  GET    /.well-known/openid-configuration         200 200 200 200 200 200 200 *

  POST   /users                                    201 201 201 201 201 201 201 users:write
  GET    /users                                    401 403 403 200 200 403 200 users:read
  GET    /users/export                             401 403 403 200 200 403 403 -
  POST   /users/import                             401 403 403 200 200 403 403 -
  GET    /users/{user_id}                          401 404 200 200 200 200 200 users:read
  GET    /users/by-username/{username}             401 403 403 200 200 200 200 users:read
  GET    /users/by-email/{email}                   401 403 403 200 200 200 200 users:read
  PUT    /users/{user_id}                          401 404 200 200 200 403 403 users:write
  PATCH  /users/{user_id}                          401 404 200 200 200 403 200 users:write
  DELETE /users/{user_id}                          401 404 204 204 204 403 403 users:write
  POST   /users/{user_id}/change-password          401 404 204 404 403 403 404 -
  POST   /users/{user_id}/set-password             401 403 403 204 204 403 403 -
  POST   /users/{user_id}/erase                    401 403 403 202 202 403 403 -
  POST   /users/verify-credentials                 401 403 403 403 403 200 403 -
  GET    /users/{user_id}/password-hash            401 403 403 403 403 200 403 -
  POST   /users/{user_id}/password                 401 403 403 403 403 204 403 -
  GET    /users/password-hashes                    401 403 403 403 403 200 403 -
  POST   /users/{user_id}/password-changed         401 403 403 403 403 202 403 -
  POST   /users/{user_id}/proof                    401 403 403 403 403 200 403 -
  POST   /users/invited                            401 403 403 403 403 200 403 -
  POST   /users/announcements/send                 401 403 403 403 403 200 403 -

  POST   /auth/sync/password                       401 403 403 403 403 204 403 -
  POST   /auth/sync/passwords                      401 403 403 403 403 204 403 -
  POST   /auth/sync/user-deleted                   401 403 403 403 403 204 403 -
  POST   /auth/sync/user-erased                    401 403 403 403 403 204 403 -
  POST   /auth/sync/email-changed                  401 403 403 403 403 204 403 -
  POST   /auth/sync/account-mail                   401 403 403 403 403 204 403 -
  POST   /auth/sync/events                         401 403 403 403 403 204 403 -
  POST   /auth/audit                               401 403 403 403 403 204 403 -
  GET    /auth/sessions/{session_id}/second-factor 401 403 403 403 403 200 403 -
  GET    /auth/revocations                         401 403 403 403 403 200 403 introspect
  GET    /admin/password-cache                     401 403 403 200 200 403 403 -
  DELETE /admin/password-cache/{user_id}           401 403 403 204 204 403 403 -
  POST   /admin/password-cache/sync                401 403 403 200 200 403 403 -
  GET    /admin/keys                               401 403 403 200 200 403 403 -
  POST   /admin/keys/rotate                        401 403 403 201 201 403 403 -
  DELETE /admin/keys/{kid}                         401 403 403 204 204 403 403 -
  GET    /admin/audit                              401 403 403 200 200 403 200 audit:read
  GET    /admin/audit/chain                        401 403 403 200 200 403 403 audit:read
  POST   /admin/invitations                        401 403 403 201 201 403 201 users:write
  GET    /admin/mails                              401 403 403 200 200 403 200 mails:read
  POST   /admin/mails/{mail_id}/retry              401 403 403 202 202 403 403 -
  POST   /admin/mails/test                         401 403 403 202 202 403 403 -
  GET    /admin/login-limits                       401 403 403 200 200 403 200 -
  GET    /admin/refused-logins                     401 403 403 200 200 403 200 -
  POST   /admin/webhooks                           401 403 403 201 201 403 403 -
  GET    /admin/users/{user_id}/factors            401 403 403 200 200 403 403 -
  POST   /admin/users/{user_id}/factors            401 403 403 201 201 403 403 -
  DELETE /admin/users/{user_id}/factors            401 403 403 204 204 403 403 -
  POST   /admin/users/{user_id}/password-reset     401 403 403 202 202 403 202 -
  GET    /admin/webhooks                           401 403 403 200 200 403 403 -
  PATCH  /admin/webhooks/{webhook_id}              401 403 403 200 200 403 403 -
  DELETE /admin/webhooks/{webhook_id}              401 403 403 204 204 403 403 -
  GET    /admin/webhooks/deliveries                401 403 403 200 200 403 403 -
  POST   /admin/webhooks/replay                    401 403 403 200 200 403 403 -

  POST   /oauth/token                              200 401 401 401 200 200 401 *
  GET    /oauth/userinfo                           401 403 403 403 403 403 403 - openid
  POST   /oauth/userinfo                           401 403 403 403 403 403 403 - openid
  GET    /auth/authorizations                      200 200 200 200 200 200 200 *
  POST   /auth/authorizations                      401 200 200 200 403 403 200 -
  GET    /auth/grants                              401 200 200 200 403 403 200 -
  DELETE /auth/grants/{grant_id}                   401 404 204 404 403 403 404 -
  POST   /auth/logout-requests                     200 200 200 200 200 200 200 -
  POST   /admin/clients                            401 403 403 201 201 403 403 -
  GET    /admin/clients                            401 403 403 200 200 403 403 -
  GET    /admin/clients/{client_id}                401 403 403 200 200 403 403 -
  PATCH  /admin/clients/{client_id}                401 403 403 200 200 403 403 -
  DELETE /admin/clients/{client_id}                401 403 403 204 204 403 403 -
  POST   /admin/clients/{client_id}/secret         401 403 403 201 201 403 403 -

  GET    /modules                                  401 200 200 200 200 403 403 modules:read modules
  GET    /modules/{module_id}                      401 200 200 200 200 403 403 modules:read
  POST   /modules/{module_id}/enable               401 200 200 200 200 403 403 modules:write
  POST   /modules/{module_id}/disable              401 200 200 200 200 403 403 modules:write
  POST   /modules                                  401 403 403 201 201 403 403 modules:write
  PATCH  /modules/{module_id}                      401 403 403 200 200 403 403 modules:write
  DELETE /modules/{module_id}                      401 403 403 204 204 403 403 modules:write
  GET    /modules/{module_id}/users                401 403 403 200 200 403 403 modules:read
  GET    /modules/users/{user_id}                  401 403 403 200 200 200 403 modules:read
  GET    /modules/sync/feed                        401 403 403 403 403 200 403 modules:read
  POST   /modules/sync/user-deleted                401 403 403 403 403 204 403 -

  GET    /health                                   200 200 200 200 200 200 200 *
  GET    /health/db                                200 200 200 200 200 200 200 *
  GET    /health/cache                             200 200 200 200 200 200 200 *
  GET    /health/ready                             200 200 200 200 200 200 200 *
  GET    /metrics                                  401 403 403 200 200 403 403 metrics
`

/** The same for the contract of version 0.0.1, at the root. */
const V0 = `
  POST   /auth/register                            200 200 200 200 200 200 200 *
  POST   /auth/login                               200 200 200 200 200 200 200 *
  POST   /auth/refresh                             200 200 200 200 200 200 200 *
  GET    /user/{id}                                401 404 200 200 200 403 200 -
  POST   /user                                     200 200 200 200 200 200 200 -
  DELETE /user/{id}                                401 404 200 200 200 403 403 -
`

/** Every operation, at the path under which it is documented. */
export const POLICY: Policy[] = [
  ...rows(VERSIONED, '/api/v1'),
  ...Object.values(ADDED_SERVICES).flatMap(({ policy }) => rows(policy, '/api/v1')),
  ...rows(V0, ''),
]

function rows(table: string, prefix: string): Policy[] {
  const lines = table.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line) => {
    const [method = '', path = '', ...columns] = line.trim().split(/ +/)
    const byCaller = COLUMNS.map((caller, column) => [caller, Number(columns[column])])
    const [scope, app] = columns.slice(COLUMNS.length) as [Policy['scope'], Policy['app']]
    const statuses = Object.fromEntries(byCaller) as Policy['statuses']
    return { call: `${method} ${prefix}${path}`, scope, app, statuses }
  })
}

/** The status of a success: no operation has two. What opens to apps alone answers them 200. */
export function successOf(policy: Policy): number {
  return isForApps(policy) ? 200 : Math.min(...Object.values(policy.statuses))
}

/** Whether nobody but apps may call the operation. */
export function isForApps({ app, statuses }: Policy): boolean {
  return app !== undefined && Object.values(statuses).every((status) => status >= 400)
}

/** Whether the operation reads no credentials. */
export function isOpen({ scope }: Policy): boolean {
  return scope === '*'
}

export function may({ statuses }: Policy, caller: keyof Policy['statuses']): boolean {
  return statuses[caller] < 400
}

/** Whether only services may call the operation: not even operators. */
export function isInternal(policy: Policy): boolean {
  return may(policy, 'the internal key') && !may(policy, 'the operator key') && !may(policy, 'the owner')
}

/** Whether only operators may call the operation. */
export function isAdmin(policy: Policy): boolean {
  return may(policy, 'the operator key') && !may(policy, 'the internal key') && !may(policy, 'the owner')
}
