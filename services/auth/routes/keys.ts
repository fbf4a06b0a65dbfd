import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { listKeys, removeKey, rotateKey } from '../keys/admin.ts'
import { emptyBody, noContent } from '../schemas/fields.ts'
import { keyParams, rotateQuery, signingKey, signingKeys } from '../schemas/keys.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/keys`: the signing keys. */
export function keyRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/admin/keys', () => listKeys(context), {
      auth: ['operator'],
      response: signingKeys,
      detail: operation('admin', 'List signing keys'),
    })
    .post(
      '/admin/keys/rotate',
      async ({ caller, query, set }) => {
        const { key, signsAt } = await rotateKey(context, query, caller)
        if (signsAt) set.headers['x-ch202-signs-at'] = signsAt
        set.status = 201
        return key
      },
      {
        auth: ['operator'],
        query: rotateQuery,
        body: emptyBody,
        response: { 201: signingKey },
        detail: operation(
          'admin',
          {
            summary: 'Rotate the signing key',
            description:
              'Publishes a new key. It signs after `SIGNING_KEY_LEAD` (the header `x-ch202-signs-at` names the time), or with `now=true` at once.',
          },
          'reauthentication_required',
        ),
      },
    )
    .delete(
      '/admin/keys/:kid',
      async ({ params, caller, set }) => {
        await removeKey(context, params.kid, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: keyParams,
        response: noContent,
        detail: operation(
          'admin',
          { summary: 'Remove a signing key', description: 'Every service refuses the tokens of the key at once.' },
          'not_found',
          'reauthentication_required',
        ),
      },
    )
}
