import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import { listActivity } from '../audit/activity.ts'
import { auditErrors, listAudit, recordEvent } from '../audit/admin.ts'
import { listChain } from '../audit/chain.ts'
import { ofUser } from '../login/caller.ts'
import {
  activityPage,
  activityQuery,
  auditBody,
  auditChain,
  auditChainQuery,
  auditPage,
  auditQuery,
} from '../schemas/audit.ts'
import { noContent } from '../schemas/fields.ts'
import type { AuthServices } from './auth-services.ts'

/** `/auth/audit` for services, `/auth/activity` for users, and `/admin/audit` for operators. */
export function auditRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/audit',
      async ({ body, set }) => {
        await recordEvent(context, body)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: auditBody,
        response: noContent,
        detail: operation('internal', {
          summary: 'Record an audit entry',
          description: 'Writes an entry of another service. A second entry of the same id is ignored.',
        }),
      },
    )
    .get('/auth/activity', ({ query, caller }) => listActivity(context, query, ofUser(caller)), {
      auth: ['user'],
      query: activityQuery,
      rules: pageErrors,
      response: activityPage,
      detail: operation('sessions', {
        summary: "List the user's activity",
        description: "What happened to the current user's account, newest first: logins, failed logins, changes.",
      }),
    })
    .get('/admin/audit', ({ query, caller }) => listAudit(context, query, caller), {
      auth: ['operator', 'support', 'scope:audit:read'],
      query: auditQuery,
      rules: auditErrors,
      response: auditPage,
      detail: operation(
        'admin',
        {
          summary: 'List audit entries',
          description:
            'Newest first; with `after_id` the entries written after that one, oldest first. A support person names a user.',
        },
        'user_not_found',
      ),
    })
    .get('/admin/audit/chain', ({ query }) => listChain(context, query), {
      auth: ['operator', 'scope:audit:read'],
      query: auditChainQuery,
      response: auditChain,
      detail: operation('admin', {
        summary: 'List the chain of the audit',
        description:
          'The entries in the order of the chain, each with the hash of the one before, and the head: an export that can be verified.',
      }),
    })
}
