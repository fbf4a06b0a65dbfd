import { Elysia, t } from 'elysia'
import type { Access } from '../kit/access/access.ts'
import type { Caller } from '../kit/caller.ts'
import { errorOf, REQUIRED } from '../kit/field-errors.ts'
import type { guard } from '../kit/http/guard.ts'
import { operation } from '../kit/http/openapi/operation.ts'
import { hasCredential } from '../kit/messages/response-headers.ts'
import { hasWildcardHost } from '../kit/outgoing.ts'
import { invalidField } from '../kit/problem.ts'
import { pageErrors } from '../kit/schema/page.ts'
import { strict } from '../kit/schema/schema.ts'
import { registration, userRead } from '../kit/schema/user.ts'
import type { Rule } from '../kit/schema/validation.ts'
import { cacheHealth, deleteUser, dropFromCache, listCache, syncCache, syncUser } from './accounts/password-cache.ts'
import { noteEmailChange } from './challenges/email-change.ts'
import { confirmReset, requestReset, resetErrors } from './challenges/password-reset.ts'
import type { AuthContext } from './context.ts'
import { auditErrors, listAudit, listKeys, recordEvent, rotateKey } from './keys/administration.ts'
import { jwksMaxAge } from './keys/rotation.ts'
import { limitErrors, loginLimitOf, refusedErrors, refusedLoginsOf } from './login/limits-admin.ts'
import { login, loginErrors, register, registrationErrors } from './login/login.ts'
import type { MailQueue } from './mail/queue.ts'
import {
  auditBody,
  auditPage,
  auditQuery,
  cacheHealth as cacheHealthAnswer,
  cachePage,
  cacheQuery,
  cacheSyncBody,
  cacheSynced,
  deliveriesQuery,
  deliveryPage,
  emailChangedBody,
  eventsBody,
  feedPage,
  feedQuery,
  introspection,
  jwks,
  loginBody,
  loginLimit,
  loginLimitQuery,
  logoutBody,
  message,
  metadata,
  newWebhook,
  optionalTokenBody,
  refreshBody,
  refusedLogins,
  refusedLoginsQuery,
  registered,
  replayBody,
  replayed,
  resetConfirmBody,
  resetRequestBody,
  revoked,
  revokeQuery,
  rotateQuery,
  sessionPage,
  sessionsQuery,
  signingKey,
  signingKeys,
  syncBody,
  syncManyBody,
  token,
  tokenBody,
  userDeletedBody,
  validity,
  webhook,
  webhookBody,
  webhookList,
  webhookStatusBody,
} from './model.ts'
import { introspect, me, revokeToken, validateToken } from './sessions/introspection.ts'
import {
  listErrors,
  listSessions,
  logout,
  logoutAll,
  refreshSession,
  revokeSession,
  revokeSessions,
  whoseErrors,
} from './sessions/sessions.ts'
import {
  createWebhook,
  deleteWebhook,
  listDeliveries,
  listWebhooks,
  replayDeliveries,
  setWebhookStatus,
  webhookErrors,
} from './webhooks/admin.ts'
import { ingestEvents } from './webhooks/ingest.ts'

type Guarded = ReturnType<typeof guard>

/** A refresh stands at two paths, each of another document. */
const refreshing = {
  auth: ['anyone'] as Access,
  body: refreshBody,
  response: token,
  detail: operation('auth', 'Rotate a refresh token', 'invalid_refresh_token', 'refresh_token_reused', 'rate_limited'),
}

async function refreshed(context: AuthContext, { refresh_token }: { refresh_token: string }, caller: Caller) {
  return (await refreshSession(context, refresh_token, caller)).tokens
}

/** The routes of the auth service for its users and for clients. */
function publicRoutes(context: AuthContext, mails: MailQueue, guarded: Guarded) {
  const registering: Rule = (sent) => registrationErrors(context, sent)
  const validating: Rule = ({ token }, { request }) =>
    token === undefined && bearerOf(request) === undefined ? [errorOf('token', REQUIRED)] : []
  const resetting: Rule = (sent) => resetErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/register',
      async ({ body, caller, set }) => {
        const { user, tokens } = await register(context, body, caller)
        set.status = 201
        return { ...user, tokens }
      },
      {
        auth: ['anyone'],
        body: registration,
        rules: registering,
        response: { 201: registered },
        detail: operation(
          'auth',
          'Register and log in',
          'registration_closed',
          'forbidden_field',
          'weak_password',
          'email_taken',
          'username_taken',
          'rate_limited',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .post('/auth/login', async ({ body, caller }) => (await login(context, body, caller)).tokens, {
      auth: ['anyone'],
      body: loginBody,
      rules: loginErrors,
      response: token,
      detail: operation(
        'auth',
        'Log in',
        'invalid_credentials',
        'account_disabled',
        'rate_limited',
        'users_unavailable',
        'overloaded',
      ),
    })
    .post('/auth/refresh', ({ body, caller }) => refreshed(context, body, caller), refreshing)
    .post('/auth/token/refresh', ({ body, caller }) => refreshed(context, body, caller), refreshing)
    .post(
      '/auth/logout',
      async ({ body, caller, set }) => {
        await logout(context, caller, body?.refresh_token)
        set.status = 204
      },
      {
        auth: ['anyone', 'user', 'holder'],
        body: t.Optional(logoutBody),
        response: { 204: t.Void() },
        detail: operation('auth', 'Log out: the session ends', 'invalid_refresh_token'),
      },
    )
    .post('/auth/logout-all', async ({ caller }) => ({ revoked: await logoutAll(context, caller) }), {
      auth: ['user'],
      body: t.Optional(strict({})),
      response: revoked,
      detail: operation('auth', 'End all own sessions'),
    })
    .get(
      '/auth/me',
      async ({ caller, set }) => {
        const { user, stale } = await me(context, caller)
        if (stale) set.headers['x-ch202-stale'] = '1'
        return user
      },
      {
        auth: ['user'],
        response: userRead,
        detail: operation('auth', 'Who the access token is of', 'users_unavailable'),
      },
    )
    .post(
      '/auth/validate-token',
      ({ body, request }) => {
        const presented = body?.token ?? bearerOf(request)
        if (presented === undefined) throw invalidField('token', REQUIRED)
        return validateToken(context, presented)
      },
      {
        auth: ['anyone'],
        body: t.Optional(optionalTokenBody),
        rules: validating,
        response: validity,
        // Without a body it is the Bearer that is looked at, and a bad one is no 401.
        detail: { ...operation('auth', 'Whether an access token is good'), security: [{}, { bearer: [] }] },
      },
    )
    .post('/auth/introspect', ({ body }) => introspect(context, body.token), {
      auth: ['internal', 'operator'],
      body: tokenBody,
      response: introspection,
      detail: operation('auth', 'What a token says (RFC 7662)'),
    })
    .post(
      '/auth/revoke',
      async ({ body, caller }) => {
        await revokeToken(context, body.token, caller)
        return {}
      },
      {
        auth: ['anyone'],
        body: tokenBody,
        response: strict({}),
        detail: operation('auth', 'End the session of a token (RFC 7009)'),
      },
    )
    .get('/auth/sessions', ({ query, caller }) => listSessions(context, query, caller), {
      auth: ['user', 'operator'],
      query: sessionsQuery,
      rules: listErrors,
      response: sessionPage,
      detail: operation('sessions', 'List live sessions'),
    })
    .delete(
      '/auth/sessions',
      async ({ query, caller }) => ({ revoked: await revokeSessions(context, query, caller) }),
      {
        auth: ['operator'],
        query: revokeQuery,
        rules: whoseErrors,
        response: revoked,
        detail: operation('sessions', 'End the sessions of a user, or all'),
      },
    )
    .delete(
      '/auth/sessions/:session_id',
      async ({ params, caller, set }) => {
        await revokeSession(context, params.session_id, caller)
        set.status = 204
      },
      {
        auth: ['user', 'operator'],
        params: t.Object({ session_id: t.String() }),
        response: { 204: t.Void() },
        detail: operation('sessions', 'End a session', 'session_not_found'),
      },
    )
    .post(
      '/auth/password-reset-request',
      async ({ body, caller, set }) => {
        await requestReset(context, mails, body.email, caller)
        set.status = 202
        return { message: RESET_ANSWER }
      },
      {
        auth: ['anyone'],
        body: resetRequestBody,
        response: { 202: message },
        detail: operation('auth', 'Ask for a mail with a reset link', 'rate_limited'),
      },
    )
    .post(
      '/auth/password-reset-confirm',
      async ({ body, caller, set }) => {
        await confirmReset(context, body.token, body.new_password, caller)
        set.status = 204
      },
      {
        auth: ['anyone'],
        body: resetConfirmBody,
        rules: resetting,
        response: { 204: t.Void() },
        detail: operation(
          'auth',
          'Set a new password with the token of a mail',
          'invalid_reset_token',
          'weak_password',
          'users_unavailable',
          'overloaded',
        ),
      },
    )
    .get(
      '/.well-known/jwks.json',
      ({ request, set }) => {
        if (!hasCredential(request)) set.headers['cache-control'] = `public, max-age=${jwksMaxAge(context.config)}`
        return { keys: context.keyRing.jwks() }
      },
      {
        auth: ['anyone'],
        response: jwks,
        detail: operation('discovery', 'The public keys (RFC 7517)'),
      },
    )
    .get(
      '/.well-known/oauth-authorization-server',
      ({ request, set }) => {
        if (!hasCredential(request)) set.headers['cache-control'] = 'public, max-age=60'
        return metadataOf(context)
      },
      {
        auth: ['anyone'],
        response: metadata,
        detail: operation('discovery', 'The endpoints (RFC 8414), and the addresses of the services'),
      },
    )
}

/** The routes of the auth service for operators and for the other services. */
function internalRoutes(context: AuthContext, mails: MailQueue, guarded: Guarded) {
  const peer = { actor: 'internal', ip: null }
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/auth/sync/password',
      async ({ body, caller, set }) => {
        await syncUser(context, body, { ...peer, requestId: caller.requestId })
        set.status = 204
      },
      {
        auth: ['internal'],
        body: syncBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Take in a user'),
      },
    )
    .post(
      '/auth/sync/passwords',
      async ({ body, caller, set }) => {
        const by = { ...peer, requestId: caller.requestId }
        await Promise.all(body.users.map((user) => syncUser(context, user, by)))
        set.status = 204
      },
      {
        auth: ['internal'],
        body: syncManyBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Take in many users, as after an import'),
      },
    )
    .post(
      '/auth/sync/user-deleted',
      async ({ body, caller, set }) => {
        await deleteUser(context, body.user_id, { ...peer, requestId: caller.requestId })
        set.status = 204
      },
      {
        auth: ['internal'],
        body: userDeletedBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Forget a deleted user'),
      },
    )
    .post(
      '/auth/sync/email-changed',
      async ({ body, set }) => {
        await noteEmailChange(mails, body)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: emailChangedBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Tell the old address that it is the old one'),
      },
    )
    .post(
      '/auth/sync/events',
      async ({ body, set }) => {
        await ingestEvents(context, body.events)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: eventsBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Take in events for the outside'),
      },
    )
    .post(
      '/auth/audit',
      async ({ body, set }) => {
        await recordEvent(context, body)
        set.status = 204
      },
      {
        auth: ['internal'],
        body: auditBody,
        response: { 204: t.Void() },
        detail: operation('internal', 'Write down an event of another service'),
      },
    )
    .get('/auth/revocations', ({ query }) => context.feed.poll(query.follower, Number(query.after), query.epoch), {
      auth: ['internal'],
      query: feedQuery,
      response: feedPage,
      detail: operation('internal', 'The revocation feed: held until there is something to tell', 'auth_unavailable'),
    })
    .get('/admin/password-cache', ({ query }) => listCache(context, query), {
      auth: ['operator'],
      query: cacheQuery,
      rules: pageErrors,
      response: cachePage,
      detail: operation('admin', 'List the password cache'),
    })
    .delete(
      '/admin/password-cache/:user_id',
      async ({ params, caller, set }) => {
        await dropFromCache(context, params.user_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: t.Object({ user_id: t.String() }),
        response: { 204: t.Void() },
        detail: operation('admin', 'Drop a user from the password cache', 'user_not_found'),
      },
    )
    .post('/admin/password-cache/sync', ({ body, caller }) => syncCache(context, body?.user_id, caller), {
      auth: ['operator'],
      body: t.Optional(cacheSyncBody),
      response: cacheSynced,
      detail: operation('admin', 'Bring the password cache in line with users', 'user_not_found', 'users_unavailable'),
    })
    .get('/admin/keys', () => listKeys(context), {
      auth: ['operator'],
      response: signingKeys,
      detail: operation('admin', 'List the signing keys'),
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
        body: t.Optional(strict({})),
        response: { 201: signingKey },
        detail: operation(
          'admin',
          'Publish a new signing key, which signs after SIGNING_KEY_LEAD, or with `now` at once',
        ),
      },
    )
    .delete(
      '/admin/keys/:kid',
      async ({ params, caller, set }) => {
        await context.rotation.remove(params.kid, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params: t.Object({ kid: t.String() }),
        response: { 204: t.Void() },
        detail: operation('admin', 'Remove a key: its tokens are refused at once', 'not_found'),
      },
    )
    .get('/admin/audit', ({ query }) => listAudit(context, query), {
      auth: ['operator'],
      query: auditQuery,
      rules: auditErrors,
      response: auditPage,
      detail: operation('admin', 'Read the audit'),
    })
    .get('/admin/login-limits', ({ query }) => loginLimitOf(context, query), {
      auth: ['operator'],
      query: loginLimitQuery,
      rules: limitErrors,
      response: loginLimit,
      detail: operation('admin', 'Whether the logins of an account, or from an address, are paused'),
    })
    .get('/admin/refused-logins', ({ query }) => refusedLoginsOf(context, query), {
      auth: ['operator'],
      query: refusedLoginsQuery,
      rules: refusedErrors,
      response: refusedLogins,
      detail: operation('admin', 'Logins that were refused of late before the password was looked at'),
    })
    .get('/health/cache', () => cacheHealth(context), {
      auth: ['anyone'],
      response: cacheHealthAnswer,
      detail: operation('health', 'How the password cache does'),
    })
}

/** The routes by which operators say where the outside is told what happens. */
function webhookRoutes(context: AuthContext, guarded: Guarded) {
  const params = t.Object({ webhook_id: t.String() })
  const adding: Rule = (sent) => webhookErrors(context, sent)
  return new Elysia({ normalize: false })
    .use(guarded)
    .post(
      '/admin/webhooks',
      async ({ body, caller, set }) => {
        const created = await createWebhook(context, body, caller)
        set.status = 201
        return created
      },
      {
        auth: ['operator'],
        body: webhookBody,
        rules: adding,
        response: { 201: newWebhook },
        detail: operation('webhooks', 'Add a webhook; its secret is told this once'),
      },
    )
    .get('/admin/webhooks', () => listWebhooks(context), {
      auth: ['operator'],
      response: webhookList,
      detail: operation('webhooks', 'List the webhooks'),
    })
    .patch(
      '/admin/webhooks/:webhook_id',
      ({ body, params, caller }) => setWebhookStatus(context, params.webhook_id, body.status, caller),
      {
        auth: ['operator'],
        params,
        body: webhookStatusBody,
        response: webhook,
        detail: operation('webhooks', 'Disable a webhook, or enable it again', 'not_found'),
      },
    )
    .delete(
      '/admin/webhooks/:webhook_id',
      async ({ params, caller, set }) => {
        await deleteWebhook(context, params.webhook_id, caller)
        set.status = 204
      },
      {
        auth: ['operator'],
        params,
        response: { 204: t.Void() },
        detail: operation('webhooks', 'Delete a webhook, with what was on its way to it', 'not_found'),
      },
    )
    .get('/admin/webhooks/deliveries', ({ query }) => listDeliveries(context, query), {
      auth: ['operator'],
      query: deliveriesQuery,
      rules: pageErrors,
      response: deliveryPage,
      detail: operation('webhooks', 'List what is and was on its way'),
    })
    .post('/admin/webhooks/replay', ({ body, caller }) => replayDeliveries(context, body, caller), {
      auth: ['operator'],
      body: replayBody,
      response: replayed,
      detail: operation('webhooks', 'Send again what is dead or was delivered, or at once what waits'),
    })
}

const RESET_ANSWER = 'If the address is known, a mail with a link is on its way'

/** Not of the context's `headers`, of which the framework makes a record with each request. */
function bearerOf({ headers }: Request): string | undefined {
  return /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]
}

function metadataOf({ config, issuer }: AuthContext) {
  const { addresses } = config
  // Behind a proxy the issuer is what the world knows auth by (RFC 8414, 3); without one it is this address anyway.
  const isOutside = config.issuer !== undefined || hasWildcardHost(addresses.auth)
  const base = isOutside && /^https?:/.test(issuer) ? issuer.replace(/\/+$/, '') : addresses.auth
  return {
    issuer,
    jwks_uri: `${base}/.well-known/jwks.json`,
    introspection_endpoint: `${base}/auth/introspect`,
    revocation_endpoint: `${base}/auth/revoke`,
    introspection_endpoint_auth_methods_supported: [],
    revocation_endpoint_auth_methods_supported: ['none'],
    response_types_supported: [],
    grant_types_supported: [],
    ch202: addresses,
  }
}

/** Calls of OAuth, which take a form as well as JSON (RFC 7662, 2.1; RFC 7009, 2.1). */
export const FORMS = ['/auth/introspect', '/auth/revoke']

/** What is asked most of all, and changes nothing. */
export const READS = ['/auth/validate-token', '/validate-token']

/** The routes of the auth service. */
export function authRoutes(context: AuthContext, mails: MailQueue, guarded: Guarded) {
  return new Elysia({ normalize: false })
    .use(publicRoutes(context, mails, guarded))
    .use(internalRoutes(context, mails, guarded))
    .use(webhookRoutes(context, guarded))
}

/** For the typed clients. */
export type AuthApi = ReturnType<typeof authRoutes>
