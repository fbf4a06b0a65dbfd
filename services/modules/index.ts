import { Elysia } from 'elysia'
import type { guard } from '../kit/http/guard.ts'
import type { ActivationContext } from './activation.ts'
import type { LibraryContext } from './library.ts'
import { activationRoutes } from './routes/activation.ts'
import { internalRoutes } from './routes/internal.ts'
import { libraryRoutes } from './routes/library.ts'

export type ModulesContext = ActivationContext & LibraryContext

/** The routes of the modules service. */
export function modulesRoutes(context: ModulesContext, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(libraryRoutes(context, guarded))
    .use(activationRoutes(context, guarded))
    .use(internalRoutes(context, guarded))
}

/** The API as the typed clients see it. */
export type ModulesApi = ReturnType<typeof modulesRoutes>
