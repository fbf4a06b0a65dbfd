import { Elysia } from 'elysia'
import type { Caller } from '../../kit/caller.ts'
import type { guard } from '../../kit/http/guard.ts'
import { linesOperation, operation } from '../../kit/http/openapi/operation.ts'
import { allowPauses, ndjsonResponse, readLines } from '../../kit/messages/ndjson.ts'
import { validator } from '../../kit/schema/validation.ts'
import { exportUsers } from '../bulk/export.ts'
import { importUsers } from '../bulk/import.ts'
import type { UsersContext } from '../context.ts'
import { passwordOrHashErrors } from '../policy.ts'
import { requireRecentUser } from '../recent.ts'
import { exportedUser, exportQuery, importedLine, importedUser, importQuery } from '../schemas/bulk.ts'

/** The routes that read their body themselves, line by line. */
export const STREAMS = ['/users/import']

/** Generates the first chunk before the response begins, so that a failure until then has a status of its own. */
async function begun(chunks: AsyncGenerator<string>): Promise<AsyncGenerator<string>> {
  const first = await chunks.next()
  return (async function* () {
    try {
      if (first.done) return
      yield first.value
      yield* chunks
    } finally {
      await chunks.return(undefined)
    }
  })()
}

/** Mounts exports and imports: JSON lines, one user each. */
export function bulkRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  const readUser = validator(importedUser, (sent) => passwordOrHashErrors(sent, context.config.passwordMinLength, sent))
  const assertRecent = (caller: Caller) => requireRecentUser(context, caller)
  return new Elysia({ normalize: false })
    .use(guarded)
    .get(
      '/users/export',
      async ({ query, caller, request, server }) => {
        if (query.with_hashes === 'true') await assertRecent(caller)
        allowPauses(request, server)
        // The framework answers HEAD with the handler of GET: it would read all users and send none.
        const isHead = request.method === 'HEAD'
        const users = isHead ? null : await exportUsers(context, { hashes: query.with_hashes === 'true' }, caller)
        return ndjsonResponse(users, context.log, caller.requestId)
      },
      {
        auth: ['operator'],
        query: exportQuery,
        response: exportedUser,
        detail: linesOperation(
          operation(
            'admin-users',
            { summary: 'Export all users', description: 'One line of JSON per user.' },
            'reauthentication_required',
          ),
        ),
      },
    )
    .post(
      '/users/import',
      async ({ query, caller, request, server }) => {
        // Before the body is read: it may be large.
        await assertRecent(caller)
        allowPauses(request, server)
        const users = await readLines(request, readUser)
        const results = importUsers(context, users, query.on_conflict ?? 'fail', caller)
        return ndjsonResponse(await begun(results), context.log, caller.requestId)
      },
      {
        auth: ['operator'],
        query: importQuery,
        response: importedLine,
        detail: linesOperation(
          operation(
            'admin-users',
            {
              summary: 'Import users',
              description: 'One line of JSON per user. The answer has a line for each, in the same order.',
            },
            'reauthentication_required',
          ),
          importedUser,
        ),
      },
    )
}
