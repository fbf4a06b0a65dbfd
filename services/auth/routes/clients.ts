import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import {
  createClient,
  deleteClient,
  getClient,
  listClients,
  rotateClientSecret,
  updateClient,
} from '../oauth/clients.ts'
import {
  client,
  clientBody,
  clientList,
  clientParams,
  clientUpdate,
  clientWithSecret,
  newClient,
  secretBody,
} from '../schemas/clients.ts'
import { noContent } from '../schemas/fields.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/clients`: the applications that use OAuth. */
export function clientRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/admin/clients',
      async ({ body, caller, set }) => {
        const created = await createClient(context, body, caller)
        set.status = 201
        return created
      },
      {
        auth: ['operator'],
        body: clientBody,
        response: { 201: newClient },
        detail: operation(
          'admin-clients',
          {
            summary: 'Create a client',
            description: 'Returns the secret of the client, if it authenticates with one. It cannot be read again.',
          },
          'client_exists',
          'reauthentication_required',
        ),
      },
    )
    .get('/admin/clients', () => listClients(context), {
      auth: ['operator'],
      response: clientList,
      detail: operation('admin-clients', 'List clients'),
    })
    .get('/admin/clients/:client_id', ({ params }) => getClient(context, params.client_id), {
      auth: ['operator'],
      params: clientParams,
      response: client,
      detail: operation('admin-clients', 'Get a client', 'client_not_found'),
    })
    .patch(
      '/admin/clients/:client_id',
      ({ body, caller, params }) => updateClient(context, params.client_id, body, caller),
      {
        auth: ['operator'],
        params: clientParams,
        body: clientUpdate,
        response: client,
        detail: operation(
          'admin-clients',
          {
            summary: 'Change a client',
            description: 'If the client loses rights, or is disabled, its tokens are refused at once.',
          },
          'client_not_found',
          'client_exists',
          'reauthentication_required',
        ),
      },
    )
    .delete(
      '/admin/clients/:client_id',
      async ({ caller, params, set }) => {
        await deleteClient(context, params.client_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: clientParams,
        response: noContent,
        detail: operation(
          'admin-clients',
          { summary: 'Delete a client', description: 'Its tokens are refused at once.' },
          'client_not_found',
          'reauthentication_required',
        ),
      },
    )
    .post(
      '/admin/clients/:client_id/secret',
      async ({ body, caller, params, set }) => {
        const rotated = await rotateClientSecret(context, params.client_id, body?.only === true, caller)
        set.status = 201
        return rotated
      },
      {
        auth: ['operator'],
        params: clientParams,
        body: secretBody,
        response: { 201: clientWithSecret },
        detail: operation(
          'admin-clients',
          {
            summary: 'Rotate the secret of a client',
            description:
              'Returns another secret. The one before goes on working, so that the client can be changed meanwhile; with `only`, no other works.',
          },
          'client_not_found',
          'reauthentication_required',
        ),
      },
    )
}
