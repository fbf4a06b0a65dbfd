import { Elysia } from 'elysia'
import type { guard } from '../kit/http/guard.ts'
import type { UsersContext } from './context.ts'
import { bulkRoutes } from './routes/bulk.ts'
import { internalRoutes } from './routes/internal.ts'
import { passwordRoutes } from './routes/passwords.ts'
import { userRoutes } from './routes/users.ts'

export { STREAMS } from './routes/bulk.ts'

/** The routes of the users service. */
export function usersRoutes(context: UsersContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(userRoutes(context, guarded))
    .use(passwordRoutes(context, guarded))
    .use(bulkRoutes(context, guarded))
    .use(internalRoutes(context, guarded))
}

/** The type that the typed clients are derived from. */
export type UsersApi = ReturnType<typeof usersRoutes>
