import { Elysia } from 'elysia'
import type { Caller } from '../../kit/caller.ts'
import { errorOf, REQUIRED } from '../../kit/field-errors.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { invalidField } from '../../kit/problem.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import { emptyAnswer } from '../schemas/fields.ts'
import {
  introspectBody,
  introspection,
  refreshBody,
  token,
  tokenBody,
  validateBody,
  validity,
} from '../schemas/tokens.ts'
import { introspect, validateToken } from '../sessions/introspection.ts'
import { revokeToken } from '../sessions/logout.ts'
import { refreshSession } from '../sessions/sessions.ts'
import type { AuthServices } from './auth-services.ts'

const REFRESH_PROBLEMS = ['invalid_refresh_token', 'refresh_token_reused', 'rate_limited'] as const

/** `/auth/refresh`, `/auth/validate-token`, `/auth/introspect` and `/auth/revoke`. */
export function tokenRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  const refresh = async ({ refresh_token }: { refresh_token: string }, caller: Caller) =>
    (await refreshSession(context, refresh_token, caller)).tokens
  const validationRule: InputRule = ({ token }, { request }) =>
    token === undefined && bearerOf(request) === undefined ? [errorOf('token', REQUIRED)] : []
  return new Elysia({ normalize: false })
    .use(guarded)
    .post('/auth/refresh', ({ body, caller }) => refresh(body, caller), {
      auth: ['anyone'],
      body: refreshBody,
      response: token,
      detail: operation(
        'auth',
        {
          summary: 'Refresh the tokens',
          description:
            'Returns a new access token and the next refresh token. A refresh token works once: its reuse ends the session, except within `REFRESH_REUSE_GRACE`, which a retry needs.',
        },
        ...REFRESH_PROBLEMS,
      ),
    })
    .post('/auth/token/refresh', ({ body, caller }) => refresh(body, caller), {
      auth: ['anyone'],
      body: refreshBody,
      response: token,
      detail: operation(
        'auth',
        { summary: 'Refresh the tokens (second path)', description: 'The same as `POST /auth/refresh`.' },
        ...REFRESH_PROBLEMS,
      ),
    })
    .post(
      '/auth/validate-token',
      ({ body, request }) => {
        const presented = body?.token ?? bearerOf(request)
        if (presented === undefined) throw invalidField('token', REQUIRED)
        return validateToken(context, presented, request.headers.get('cache-control') === 'no-cache')
      },
      {
        auth: ['anyone'],
        body: validateBody,
        rules: validationRule,
        response: validity,
        // Without a body the route validates the Bearer token, so an invalid one is not a 401.
        detail: {
          ...operation('auth', {
            summary: 'Validate an access token',
            description:
              'Returns 200 for an invalid token too, with the reason. A node that has lost the database answers for `REVOCATION_MAX_LAG` by what it knows, but with 503 to `Cache-Control: no-cache`.',
          }),
          security: [{}, { bearer: [] }],
        },
      },
    )
    .post('/auth/introspect', ({ body }) => introspect(context, body.token), {
      auth: ['internal', 'operator', 'client', 'scope:introspect'],
      body: introspectBody,
      response: introspection,
      detail: operation(
        'admin',
        {
          summary: 'Introspect a token',
          description: 'Returns the state and the claims of an access token or a refresh token (RFC 7662).',
        },
        'invalid_credentials',
      ),
    })
    .post(
      '/auth/revoke',
      async ({ body, caller }) => {
        await revokeToken(context, body.token, caller)
        return {}
      },
      {
        auth: ['anyone'],
        body: tokenBody,
        response: emptyAnswer,
        detail: operation('auth', {
          summary: 'Revoke a token',
          description: 'Ends the session of the token (RFC 7009). An unknown token is not an error.',
        }),
      },
    )
}

/**
 * Returns the Bearer token of a request, if it has one. Reads the request itself: for the context's `headers` the framework
 * would build a record on every request.
 */
function bearerOf({ headers }: Request): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]
}
