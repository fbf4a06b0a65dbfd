import { Elysia, t } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { passwordRecord } from '../../kit/schema/user.ts'
import type { InputRule } from '../../kit/schema/validation.ts'
import type { UsersContext } from '../context.ts'
import { inviteUser } from '../invitations.ts'
import {
  announcePassword,
  getPasswordRecord,
  listPasswordRecords,
  putPassword,
  verifyCredentials,
} from '../passwords.ts'
import { internalPasswordErrors, proofErrors } from '../policy.ts'
import { proveAddress } from '../proofs.ts'
import {
  caughtUp,
  credentials,
  internalPassword,
  invitation,
  invitedUser,
  noBody,
  proofBody,
  proofResult,
  recordsPage,
  recordsQuery,
  verifiedCredentials,
} from '../schemas/internal.ts'
import { userParams } from '../schemas/users.ts'

/** Records on a page of a walk, if the query names no limit. */
const PAGE_SIZE = 200
/**
 * Milliseconds that auth, when it starts, waits for the notices that it missed. On PostgreSQL those of a node that crashed
 * are taken over after 2 s.
 */
const CATCH_UP_MS = 4000

/** Mounts the operations for the other services. */
export function internalRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const passwordRule: InputRule = (sent) => internalPasswordErrors(context.config, sent)
  const proofRule: InputRule = (sent) => proofErrors(context.config, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post('/users/verify-credentials', ({ body }) => verifyCredentials(context, body.login, body.password), {
      auth: ['internal'],
      body: credentials,
      response: verifiedCredentials,
      detail: operation('internal', 'Check the password of a user', 'overloaded'),
    })
    .get(
      '/users/password-hashes',
      ({ query }) => listPasswordRecords(context, query.after, Number(query.limit ?? PAGE_SIZE)),
      {
        auth: ['internal'],
        query: recordsQuery,
        response: recordsPage,
        detail: operation('internal', {
          summary: 'List password records',
          description: 'All records, in order of change.',
        }),
      },
    )
    .get('/users/:user_id/password-hash', ({ params, caller }) => getPasswordRecord(context, params.user_id, caller), {
      auth: ['internal'],
      params: userParams,
      response: passwordRecord,
      detail: operation('internal', 'Get the password record of a user', 'user_not_found'),
    })
    .post(
      '/users/:user_id/password',
      async ({ params, body, caller, set }) => {
        await putPassword(context, params.user_id, body, caller)
        set.status = 204
      },
      {
        auth: ['internal'],
        params: userParams,
        body: internalPassword,
        rules: passwordRule,
        response: { 204: t.Void() },
        detail: operation(
          'internal',
          {
            summary: 'Store a password',
            description:
              '`new_password` completes a password reset. `password_hash` with `if_version` stores a rehash of the same password.',
          },
          'user_not_found',
          'weak_password',
          'overloaded',
        ),
      },
    )
    .post('/users/:user_id/proof', ({ params, body, caller }) => proveAddress(context, params.user_id, body, caller), {
      auth: ['internal'],
      params: userParams,
      body: proofBody,
      rules: proofRule,
      response: proofResult,
      detail: operation(
        'internal',
        {
          summary: 'Store that a user has answered a mail',
          description:
            'The first proof of an address by a code, a reset or an invitation ends the earlier password and all sessions.',
        },
        'user_not_found',
        'email_taken',
        'username_taken',
        'weak_password',
        'overloaded',
      ),
    })
    .post('/users/invited', ({ body, caller }) => inviteUser(context, body, caller), {
      auth: ['internal'],
      body: invitedUser,
      response: invitation,
      detail: operation(
        'internal',
        {
          summary: 'Create a user to be invited',
          description: 'A user who has the email and no password yet is answered instead, unchanged.',
        },
        'email_taken',
        'username_taken',
      ),
    })
    .post(
      '/users/:user_id/password-changed',
      async ({ params, caller, set }) => {
        await announcePassword(context, params.user_id, caller)
        set.status = 202
      },
      {
        auth: ['internal'],
        params: userParams,
        body: noBody,
        response: { 202: t.Void() },
        detail: operation('internal', 'Send the password record to auth again', 'user_not_found'),
      },
    )
    .post('/users/announcements/send', async () => ({ done: await context.outboxes.drainAuth(CATCH_UP_MS) }), {
      auth: ['internal'],
      body: noBody,
      response: caughtUp,
      detail: operation('internal', {
        summary: 'Send pending notices to auth',
        description: 'Auth calls it when it starts, to receive the notices that it missed.',
      }),
    })
}
