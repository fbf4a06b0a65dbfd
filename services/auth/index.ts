import { Elysia } from 'elysia'
import type { guard } from '../kit/http/guard.ts'
import { auditRoutes } from './routes/audit.ts'
import type { AuthServices } from './routes/auth-services.ts'
import { authorizationRoutes } from './routes/authorizations.ts'
import { challengeRoutes } from './routes/challenges.ts'
import { clientRoutes } from './routes/clients.ts'
import { discoveryRoutes } from './routes/discovery.ts'
import { factorRoutes } from './routes/factors.ts'
import { keyRoutes } from './routes/keys.ts'
import { loginRoutes } from './routes/login.ts'
import { loginLimitRoutes } from './routes/login-limits.ts'
import { mailRoutes } from './routes/mails.ts'
import { meRoutes } from './routes/me.ts'
import { oauthRoutes } from './routes/oauth.ts'
import { passkeyRoutes } from './routes/passkeys.ts'
import { passwordCacheRoutes } from './routes/password-cache.ts'
import { passwordResetRoutes } from './routes/password-reset.ts'
import { revocationRoutes } from './routes/revocations.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { syncRoutes } from './routes/sync.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { webhookRoutes } from './routes/webhooks.ts'

/** OAuth endpoints, which accept forms as well as JSON (RFC 7662, 2.1; RFC 7009, 2.1). */
export const FORM_PATHS = ['/auth/introspect', '/auth/revoke', '/oauth/token']

/** Paths of POST requests that change nothing and have no rate limit, so the client's address need not be read at once. */
export const READ_PATHS = ['/auth/validate-token', '/validate-token']

/** Mounts the routes of the auth service. */
export function authRoutes(context: AuthServices, guarded: ReturnType<typeof guard>) {
  return new Elysia({ normalize: false })
    .use(loginRoutes(context, guarded))
    .use(tokenRoutes(context, guarded))
    .use(meRoutes(context, guarded))
    .use(sessionRoutes(context, guarded))
    .use(passwordResetRoutes(context, guarded))
    .use(challengeRoutes(context, guarded))
    .use(factorRoutes(context, guarded))
    .use(passkeyRoutes(context, guarded))
    .use(discoveryRoutes(context, guarded))
    .use(syncRoutes(context, guarded))
    .use(auditRoutes(context, guarded))
    .use(revocationRoutes(context, guarded))
    .use(passwordCacheRoutes(context, guarded))
    .use(keyRoutes(context, guarded))
    .use(loginLimitRoutes(context, guarded))
    .use(mailRoutes(context, guarded))
    .use(webhookRoutes(context, guarded))
    .use(clientRoutes(context, guarded))
    .use(oauthRoutes(context, guarded))
    .use(authorizationRoutes(context, guarded))
}

/** The type of the API, for typed clients (Eden). */
export type AuthApi = ReturnType<typeof authRoutes>
