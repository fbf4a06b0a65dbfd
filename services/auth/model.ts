import { type Static, t } from 'elysia'
import { mistyped } from '../kit/field-errors.ts'
import { EVENT_TYPES } from '../kit/outbox/events.ts'
import { EMAIL_MAX } from '../kit/schema/email.ts'
import { page, pageQuery, searchQuery } from '../kit/schema/page.ts'
import {
  checked,
  email,
  flag,
  integer,
  LATEST,
  listOf,
  matching,
  moment,
  nullable,
  number,
  object,
  oneFieldOf,
  oneOf,
  open,
  queryFlag,
  strict,
  text,
  time,
  trimmed,
  uuid,
  whole,
} from '../kit/schema/schema.ts'
import { newPassword, profileFields, userRead } from '../kit/schema/user.ts'
import { ofEachService } from '../kit/services.ts'

const password = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
const tokenText = text({ least: 1, most: 8192, controls: true })

export const token = strict({
  access_token: t.String(),
  token_type: t.Literal('Bearer'),
  expires_in: integer(),
  refresh_token: t.String(),
  refresh_expires_in: integer(),
  session_id: t.String({ format: 'uuid' }),
})
export type Token = Static<typeof token>

export const registered = strict({ ...userRead.properties, tokens: token })

const name = trimmed(text({ least: 1, most: EMAIL_MAX }))
/** One of the three names, and the password. */
export const loginBody = strict(
  {
    email: t.Optional(name),
    username: t.Optional(name),
    login: t.Optional(name),
    password,
  },
  {
    description: 'One of the three names, and the password',
    ...oneFieldOf('email', 'username', 'login'),
    examples: [{ email: 'ana@example.org', password: 'correct horse battery' }],
  },
)
export type LoginBody = Static<typeof loginBody>

/** `refreshToken` is v0's spelling: where two documents meet at one path, either will do. */
export const refreshBody = strict({ refresh_token: tokenText })
export const logoutBody = strict({ refresh_token: t.Optional(tokenText) })
/** RFC 7009, 2.1 and RFC 7662, 2.1. The hint is never needed: a token shows what it is. */
export const tokenBody = open({ token: tokenText, token_type_hint: t.Optional(t.Unknown()) })
export const optionalTokenBody = strict({ token: t.Optional(tokenText) })

export const validity = t.Union([
  strict({
    valid: t.Literal(true),
    user_id: t.String({ format: 'uuid' }),
    session_id: t.String({ format: 'uuid' }),
    roles: t.Array(t.String()),
    expires_at: time(),
  }),
  strict({
    valid: t.Literal(false),
    reason: t.Union([t.Literal('malformed'), t.Literal('expired'), t.Literal('revoked'), t.Literal('signature')]),
  }),
])
export type Validity = Static<typeof validity>

/** RFC 7662. */
export const introspection = t.Union([
  strict({
    active: t.Literal(true),
    sub: t.String(),
    username: t.Nullable(t.String()),
    email: t.String(),
    roles: t.Array(t.String()),
    client_id: t.String(),
    token_type: t.String(),
    exp: integer(),
    iat: integer(),
    iss: t.String(),
    aud: t.String(),
    jti: t.String(),
    sid: t.String(),
  }),
  strict({ active: t.Literal(false) }),
])
export type Introspection = Static<typeof introspection>

export const sessionRead = strict({
  id: t.String({ format: 'uuid' }),
  user_id: t.String({ format: 'uuid' }),
  current: t.Boolean(),
  created_at: time(),
  last_used_at: time(),
  expires_at: time(),
  ip: t.Nullable(t.String()),
  user_agent: t.Nullable(t.String()),
})
export type SessionRead = Static<typeof sessionRead>
export const sessionPage = page(sessionRead)
const whose = { user_id: t.Optional(uuid()), all: t.Optional(queryFlag()) }
export const sessionsQuery = strict({ ...pageQuery, ...whose })
export const revokeQuery = strict(whose)
export const revoked = strict({ revoked: integer() })

export const resetRequestBody = strict({ email: trimmed(email()) })
export const resetConfirmBody = strict(
  { token: tokenText, new_password: newPassword },
  { examples: [{ token: 'kJc0qk2oZ0yVh1mWm3n5c7', new_password: 'a longer horse battery' }] },
)
export const message = strict({ message: t.String() })

const jwk = strict({
  kty: t.Literal('OKP'),
  crv: t.Literal('Ed25519'),
  x: t.String(),
  kid: t.String(),
  alg: t.Literal('EdDSA'),
  use: t.Literal('sig'),
})
export const jwks = strict({ keys: t.Array(jwk) })

/** RFC 8414. */
export const metadata = strict({
  issuer: t.String(),
  jwks_uri: t.String(),
  introspection_endpoint: t.String(),
  revocation_endpoint: t.String(),
  introspection_endpoint_auth_methods_supported: t.Array(t.String()),
  revocation_endpoint_auth_methods_supported: t.Array(t.String()),
  response_types_supported: t.Array(t.String()),
  grant_types_supported: t.Array(t.String()),
  ch202: strict(ofEachService((name) => t.String({ examples: [`https://${name}.example.org`] }))),
})

// Between the services.

/**
 * The record, as users answers it, and the marks that only our own users service sends: what the changes up to this
 * version ended, so that nothing is missed by a notice that was.
 */
export const syncBody = strict({
  user_id: uuid(),
  email: email(),
  username: nullable(text({ least: 3, most: 32 })),
  name: nullable(text({ most: 200 })),
  roles: checked<string[]>({ type: 'array', items: { type: 'string' } }, (value) =>
    Array.isArray(value) && value.every((role) => typeof role === 'string')
      ? undefined
      : mistyped('an array of strings'),
  ),
  status: oneOf('active', 'disabled'),
  email_verified: flag(),
  /** What `password_hash` shows as well. */
  has_password: t.Optional(flag()),
  ...profileFields,
  created_at: moment(),
  updated_at: moment(),
  password_hash: nullable(text({ least: 1, most: 512 })),
  password_version: whole(0),
  sessions_from: t.Optional(whole(0)),
  session_kept: t.Optional(nullable(uuid())),
  all_sessions_from: t.Optional(whole(0)),
  tokens_from: t.Optional(whole(0)),
})
export type SyncBody = Static<typeof syncBody>
export const syncManyBody = strict({ users: t.Array(syncBody) })

export const userDeletedBody = strict({ user_id: uuid() })

export const emailChangedBody = strict({
  id: uuid(),
  user_id: uuid(),
  old_email: email(),
  at: moment(),
  request_id: nullable(text({ least: 1, most: 128 })),
})
export type EmailChangedBody = Static<typeof emailChangedBody>

/** What the outside is told of; its `data` is what the service that tells it says. */
export const eventBody = strict({
  id: uuid(),
  type: oneOf(...EVENT_TYPES),
  user_id: uuid(),
  at: whole(0, LATEST),
  data: object(),
})
export type EventBody = Static<typeof eventBody>
export const eventsBody = strict({ events: t.Array(eventBody) })

const eventFields = {
  id: t.String({ format: 'uuid' }),
  type: t.String(),
  user_id: t.Nullable(t.String()),
  actor: t.String(),
  ip: t.Nullable(t.String()),
  request_id: t.Nullable(t.String()),
  detail: t.Record(t.String(), t.Unknown()),
}
const auditEvent = strict({ ...eventFields, at: time() })
export const auditPage = page(auditEvent)
export const auditBody = strict({
  id: uuid(),
  // A later time has no form in RFC 3339, and could be listed nowhere.
  at: whole(0, LATEST),
  type: matching(/^[a-z_]+\.[a-z_]+$/, 'must be noun.verb'),
  user_id: nullable(uuid()),
  actor: text({ least: 1, most: 100 }),
  ip: nullable(text({ most: 64 })),
  request_id: nullable(text({ most: 128 })),
  detail: object(),
})
export type AuditBody = Static<typeof auditBody>
export const auditQuery = strict({
  ...pageQuery,
  user_id: t.Optional(uuid()),
  type: t.Optional(text({ least: 1, most: 64 })),
  since: t.Optional(moment()),
  request_id: t.Optional(text({ least: 1, most: 128 })),
  after_id: t.Optional(uuid()),
})

export const feedQuery = strict({
  follower: text({ least: 1, most: 100 }),
  after: matching(/^\d{1,15}$/, 'must be a whole number'),
  epoch: text({ most: 64 }),
})
export const feedPage = strict({
  epoch: t.String(),
  seq: integer(),
  issuer: t.String(),
  audience: t.String(),
  keys: t.Array(jwk),
  revoked: t.Array(
    strict({
      kind: oneOf('session', 'user', 'keys', 'events'),
      subject: t.String(),
      version: integer(),
      until: integer(),
    }),
  ),
  wanted: t.Array(oneOf(...EVENT_TYPES)),
  complete: t.Boolean(),
})

// For operators.

const cacheEntry = strict({
  user_id: t.String({ format: 'uuid' }),
  email: t.String(),
  username: t.Nullable(t.String()),
  status: t.Union([t.Literal('active'), t.Literal('disabled')]),
  password_version: integer(),
  synced_at: time(),
})
export const cachePage = page(cacheEntry)
export const cacheQuery = strict({ ...pageQuery, ...searchQuery('the email or the username') })
export const cacheSyncBody = strict({ user_id: t.Optional(uuid()) })
export const cacheSynced = strict({
  synced: integer(),
  removed: integer(),
  unchanged: integer(),
  duration_ms: integer(),
})
export const cacheHealth = strict({
  entries: integer(),
  hits: integer(),
  misses: integer(),
  hit_ratio: number(),
  last_sync_at: t.Nullable(time()),
  pending: integer(),
})

const whoseLogins = {
  user_id: t.Optional(uuid()),
  login: t.Optional(name),
  address: t.Optional(text({ least: 2, most: 64, examples: ['203.0.113.7'] })),
}
export const loginLimitQuery = strict(whoseLogins)
export const loginLimit = strict({
  user_id: t.Nullable(t.String({ format: 'uuid' })),
  address: t.Nullable(t.String({ examples: ['203.0.113.7'] })),
  failures: integer(),
  last_failed_at: t.Nullable(time()),
  paused_until: t.Nullable(time()),
})
export const refusedLoginsQuery = strict({
  ...whoseLogins,
  request_id: t.Optional(text({ least: 1, most: 128 })),
})
export const refusedLogins = strict({
  items: t.Array(
    strict({
      at: time(),
      code: t.String({ examples: ['rate_limited'] }),
      paused: t.Nullable(t.Union([t.Literal('account'), t.Literal('address')])),
      paused_until: t.Nullable(time()),
      user_id: t.Nullable(t.String({ format: 'uuid' })),
      ip: t.Nullable(t.String()),
      request_id: t.String(),
    }),
  ),
})

export const signingKey = strict({
  kid: t.String(),
  alg: t.String(),
  created_at: time(),
  status: t.Union([t.Literal('pending'), t.Literal('active'), t.Literal('retiring')]),
})
export const signingKeys = strict({ items: t.Array(signingKey) })
export const rotateQuery = strict({ now: t.Optional(queryFlag()), alg: t.Optional(oneOf('EdDSA')) })
export type RotateQuery = Static<typeof rotateQuery>

// Webhooks.

const WEBHOOK_URL = 'https://shop.example.org/hooks/ch202'
export const webhookBody = strict({
  url: text({ least: 1, most: 2000, examples: [WEBHOOK_URL] }),
  types: t.Optional(listOf(oneOf(...EVENT_TYPES), EVENT_TYPES.length)),
  description: t.Optional(text({ most: 200, examples: ['The shop'] })),
})
export const webhookStatusBody = strict({ status: oneOf('active', 'disabled') })
const webhookFields = {
  id: t.String({ format: 'uuid' }),
  url: t.String({ examples: [WEBHOOK_URL] }),
  description: t.Nullable(t.String({ examples: ['The shop'] })),
  /** None: all there are, and those to come. */
  types: t.Array(oneOf(...EVENT_TYPES)),
  status: oneOf('active', 'disabled'),
  created_at: time(),
}
export const webhook = strict(webhookFields)
export const newWebhook = strict({
  ...webhookFields,
  secret: t.String({ examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] }),
})
export const webhookList = strict({ items: t.Array(webhook) })

const target = () =>
  matching(/^(amqp|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/, 'must be the id of a webhook, or amqp', {
    examples: ['amqp'],
  })
export const deliveriesQuery = strict({
  ...pageQuery,
  webhook: t.Optional(target()),
  status: t.Optional(oneOf('pending', 'delivered', 'dead')),
})
export const deliveryPage = page(
  strict({
    id: t.String({ examples: ['42'] }),
    target: t.String({ examples: ['amqp'] }),
    status: oneOf('pending', 'delivered', 'dead'),
    event_id: t.String({ format: 'uuid' }),
    type: oneOf(...EVENT_TYPES),
    user_id: t.String({ format: 'uuid' }),
    at: time(),
    tries: integer(),
    last_status: t.Nullable(integer()),
    last_error: t.Nullable(t.String({ examples: ['broker_away'] })),
    next_at: t.Nullable(time()),
    finished_at: t.Nullable(time()),
  }),
)
export const replayBody = strict({
  delivery: t.Optional(matching(/^[1-9]\d{0,14}$/, 'must be the id of a delivery', { examples: ['42'] })),
  webhook: t.Optional(target()),
  status: t.Optional(oneOf('pending', 'delivered', 'dead')),
  since: t.Optional(moment()),
})
export const replayed = strict({ replayed: integer() })
