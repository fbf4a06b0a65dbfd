import { Elysia } from 'elysia'
import type { guard } from '../../kit/http/guard.ts'
import { operation } from '../../kit/http/openapi/operation.ts'
import { pageErrors } from '../../kit/schema/page.ts'
import { listMails, retryMail, sendTestMail } from '../mail/admin.ts'
import { emptyBody } from '../schemas/fields.ts'
import { mail, mailPage, mailParams, mailsQuery, testMailBody } from '../schemas/mails.ts'
import type { AuthServices } from './auth-services.ts'

/** `/admin/mails`: mails that wait, were sent or have failed. */
export function mailRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(guarded)
    .get('/admin/mails', ({ query, caller }) => listMails(context, query, caller), {
      auth: ['operator', 'support', 'scope:mails:read'],
      query: mailsQuery,
      rules: pageErrors,
      response: mailPage,
      detail: operation(
        'admin',
        {
          summary: 'List mails',
          description:
            'Mails that wait, were sent or have failed, newest first. Those that nobody should get, for instance because nobody has the address, are not listed. Finished ones are kept for 30 days. A support person names a user.',
        },
        'user_not_found',
      ),
    })
    .post(
      '/admin/mails/:mail_id/retry',
      async ({ params, caller, set }) => {
        set.status = 202
        return await retryMail(context, params.mail_id, caller)
      },
      {
        auth: ['operator'],
        params: mailParams,
        body: emptyBody,
        response: { 202: mail },
        detail: operation(
          'admin',
          {
            summary: 'Send a mail again',
            description:
              'A mail that waits is attempted at once. One that failed is queued again, with the same code and link, unless they were used or have expired. One that was sent is not found.',
          },
          'not_found',
          'invalid_challenge',
        ),
      },
    )
    .post(
      '/admin/mails/test',
      async ({ body, caller, set }) => {
        set.status = 202
        return await sendTestMail(context, body, caller)
      },
      {
        auth: ['operator'],
        body: testMailBody,
        response: { 202: mail },
        detail: operation('admin', {
          summary: 'Send a test mail',
          description: 'Queues a mail with sample values: its code and link work nowhere, and its subject says so.',
        }),
      },
    )
}
