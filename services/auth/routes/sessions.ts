import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { emptyBody, noContent } from '../schemas/fields.ts'
import { logoutBody, revoked, revokeQuery, sessionPage, sessionParams, sessionsQuery } from '../schemas/sessions.ts'
import { listErrors, listSessions, sessionsOfErrors } from '../sessions/list.ts'
import { logout, logoutAll, revokeSession, revokeSessions } from '../sessions/logout.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/logout`, `/auth/logout-all` and `/auth/sessions`. */
export function sessionRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/logout',
      async ({ body, caller, set }) => {
        await logout(context, caller, body?.refresh_token)
        set.status = 204
      },
      {
        auth: ['anyone', 'user', 'holder'],
        body: logoutBody,
        response: noContent,
        detail: operation(
          'auth',
          {
            summary: 'Log out',
            description: 'Ends the session of the access token, and of the refresh token in the body.',
          },
          'invalid_refresh_token',
        ),
      },
    )
    .post('/auth/logout-all', async ({ caller }) => ({ revoked: await logoutAll(context, caller) }), {
      auth: ['user'],
      body: emptyBody,
      response: revoked,
      detail: operation('auth', {
        summary: 'Log out everywhere',
        description: 'Ends all sessions of the current user.',
      }),
    })
    .get('/auth/sessions', ({ query, caller }) => listSessions(context, query, caller), {
      auth: ['user', 'operator', 'support', 'scope:sessions:read'],
      query: sessionsQuery,
      rules: listErrors,
      response: sessionPage,
      detail: operation(
        'sessions',
        {
          summary: 'List active sessions',
          description: 'Users see their own sessions. Operators name a user, or all; support persons name a user.',
        },
        'user_not_found',
      ),
    })
    .delete(
      '/auth/sessions',
      async ({ query, caller }) => ({ revoked: await revokeSessions(context, query, caller) }),
      {
        auth: ['operator', 'support', 'scope:sessions:revoke'],
        query: revokeQuery,
        rules: sessionsOfErrors,
        response: revoked,
        detail: operation(
          'admin',
          {
            summary: 'End the sessions of a user',
            description: 'With `all=true` it ends the sessions of all users: for operators only.',
          },
          'user_not_found',
        ),
      },
    )
    .delete(
      '/auth/sessions/:session_id',
      async ({ params, caller, set }) => {
        await revokeSession(context, params.session_id, caller)
        set.status = 204
      },
      {
        auth: ['user', 'operator', 'support', 'scope:sessions:revoke'],
        params: sessionParams,
        response: noContent,
        detail: operation('sessions', 'End a session', 'session_not_found'),
      },
    )
}
