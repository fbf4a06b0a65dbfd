import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { limitErrors, loginLimitOf, refusedErrors, refusedLoginsOf } from '../login/limits-admin.ts'
import { loginLimit, loginLimitQuery, refusedLogins, refusedLoginsQuery } from '../schemas/login-limits.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/login-limits` and `/admin/refused-logins`. */
export function loginLimitRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/admin/login-limits', ({ query, caller }) => loginLimitOf(context, query, caller), {
      auth: ['operator', 'support'],
      query: loginLimitQuery,
      rules: limitErrors,
      response: loginLimit,
      detail: operation(
        'admin',
        {
          summary: 'Get the login limit of an account',
          description:
            'Shows the failed logins of an account or a client address, and whether further logins must wait. A support person names an account.',
        },
        'user_not_found',
      ),
    })
    .get('/admin/refused-logins', ({ query, caller }) => refusedLoginsOf(context, query, caller), {
      auth: ['operator', 'support'],
      query: refusedLoginsQuery,
      rules: refusedErrors,
      response: refusedLogins,
      detail: operation(
        'admin',
        {
          summary: 'List refused logins',
          description:
            'Recent logins that were refused before the password was checked. A support person names an account.',
        },
        'user_not_found',
      ),
    })
}
