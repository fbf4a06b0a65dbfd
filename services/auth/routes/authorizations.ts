import { Elysia } from 'elysia'
import { errorOf } from '../../kit/field-errors.ts'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { invalid } from '../../kit/problem.ts'
import { authorize, checkAuthorization } from '../oauth/authorize.ts'
import { endGrant, listGrants } from '../oauth/grants.ts'
import { checkLogout } from '../oauth/logout-request.ts'
import { authorizationAnswer, authorizationBody, authorizationQuery } from '../schemas/authorizations.ts'
import { REPEATED } from '../schemas/client-parameters.ts'
import { noContent } from '../schemas/fields.ts'
import { grantList, grantParams } from '../schemas/grants.ts'
import { logoutRequest, logoutRequestAnswer } from '../schemas/logout-requests.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/authorizations`, `/auth/grants` and `/auth/logout-requests`: what pages need to sign users in at apps, and out. */
export function authorizationRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/auth/authorizations', ({ query, request }) => checkAuthorization(context, onceEach(query, request)), {
      auth: ['anyone'],
      query: authorizationQuery,
      response: authorizationAnswer,
      detail: operation(
        'oauth',
        {
          summary: 'Check an authorization request',
          description: 'Says what a page shows somebody who comes with an authorization request and is not signed in.',
        },
        'invalid_authorization',
      ),
    })
    .post('/auth/authorizations', ({ body, caller }) => authorize(context, body, caller), {
      auth: ['user'],
      body: authorizationBody,
      response: authorizationAnswer,
      detail: operation(
        'oauth',
        {
          summary: 'Complete an authorization request',
          description:
            'Issues an authorization code for the user of the Bearer (RFC 6749, 4.1), or says what they must be asked first.',
        },
        'invalid_authorization',
      ),
    })
    .get('/auth/grants', ({ caller }) => listGrants(context, caller), {
      auth: ['user'],
      response: grantList,
      detail: operation('oauth', 'List the apps that you gave access'),
    })
    .delete(
      '/auth/grants/:grant_id',
      async ({ caller, params, set }) => {
        await endGrant(context, params.grant_id, caller)
        set.status = 204
      },
      {
        auth: ['user'],
        params: grantParams,
        response: noContent,
        detail: operation('oauth', 'End the access of an app', 'grant_not_found', 'reauthentication_required'),
      },
    )
    .post('/auth/logout-requests', ({ body, caller }) => checkLogout(context, body, caller), {
      auth: ['anyone', 'user'],
      body: logoutRequest,
      response: logoutRequestAnswer,
      detail: operation(
        'oauth',
        {
          summary: 'Check a logout request of an app',
          description: 'Changes nothing: it says whether the user must be asked, and where they go then.',
        },
        'invalid_logout_request',
      ),
    })
}

/** Refuses a parameter that is repeated (RFC 6749, 3.1): the framework takes the last, and an app may have meant another. */
function onceEach<Query>(query: Query, { url }: Request): Query {
  const names = [...new URL(url).searchParams.keys()]
  const repeated = names.filter((name, index) => names.indexOf(name) !== index)
  if (repeated.length > 0) throw invalid(repeated.map((name) => errorOf(name, REPEATED)))
  return query
}
