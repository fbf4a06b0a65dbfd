import { blob, integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core'
import type { EventType } from '../../services/kit/schema/events.ts'
import type { OpaqueProfile } from '../../services/kit/schema/user.ts'

/** The password cache: what auth knows of a user. A deleted one stays as its id, so that no late notice revives it. */
export const accounts = sqliteTable('accounts', {
  userId: text('user_id').primaryKey(),
  /** Whether it serves logins: not when it was dropped, deleted, or lost its email to another. */
  cached: integer('cached', { mode: 'boolean' }).notNull(),
  deleted: integer('deleted', { mode: 'boolean' }).notNull(),
  email: text('email').notNull(),
  emailKey: text('email_key').notNull(),
  username: text('username'),
  roles: text('roles', { mode: 'json' }).$type<string[]>().notNull(),
  status: text('status').$type<'active' | 'disabled'>().notNull(),
  emailVerified: integer('email_verified', { mode: 'boolean' }).notNull(),
  passwordHash: text('password_hash').notNull(),
  version: integer('version').notNull(),
  sessionsFrom: integer('sessions_from').notNull(),
  tokensFrom: integer('tokens_from').notNull(),
  syncedAt: integer('synced_at').notNull(),
  /** What a search looks into. */
  searchText: text('search_text').notNull().default(''),
  /** The fields of the user that no login reads. */
  profile: text('profile', { mode: 'json' }).$type<OpaqueProfile>().notNull().default({}),
})

export const sessions = sqliteTable('sessions', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  kind: text('kind').$type<'v1' | 'v0'>().notNull(),
  /** Which of the derived refresh tokens is the current one. */
  counter: integer('counter').notNull(),
  rotatedAt: integer('rotated_at').notNull(),
  createdAt: integer('created_at').notNull(),
  lastUsedAt: integer('last_used_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  endsAt: integer('ends_at').notNull(),
  /** When its last access token expires. */
  accessUntil: integer('access_until').notNull(),
  /** The version of the account that it was opened from. */
  version: integer('version').notNull(),
  ip: text('ip'),
  userAgent: text('user_agent'),
  refreshesSince: integer('refreshes_since').notNull(),
  refreshes: integer('refreshes').notNull(),
})

/** The refresh tokens of v0, which say nothing of their session: by their SHA-256, for the session's life. */
export const refreshHashes = sqliteTable('refresh_hashes', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  sessionId: text('session_id').notNull(),
  counter: integer('counter').notNull(),
})

/** What the feed tells: in the order in which it was revoked, until the last token it speaks of has expired. */
export const revocations = sqliteTable('revocations', {
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  kind: text('kind').$type<'session' | 'user' | 'keys' | 'events'>().notNull(),
  subject: text('subject').notNull(),
  version: integer('version').notNull(),
  until: integer('until').notNull(),
})

export const signingKeys = sqliteTable('signing_keys', {
  kid: text('kid').primaryKey(),
  alg: text('alg').notNull(),
  x: text('x').notNull(),
  sealedPrivateKey: blob('sealed_private_key', { mode: 'buffer' }).notNull(),
  status: text('status').$type<'pending' | 'active' | 'retiring'>().notNull(),
  createdAt: integer('created_at').notNull(),
  /** When its last token has expired. Null while it signs. */
  goneAt: integer('gone_at'),
})

export const passwordResets = sqliteTable('password_resets', {
  tokenHash: blob('token_hash', { mode: 'buffer' }).primaryKey(),
  userId: text('user_id').notNull(),
  expiresAt: integer('expires_at').notNull(),
  /** When someone came with it: until that is decided, no one else can. */
  takenAt: integer('taken_at'),
  /** The mail that brings it. Null: it was made before mails had one link each. */
  mailId: text('mail_id'),
  requestedAt: integer('requested_at').notNull().default(0),
})

/** Mails that were asked for and have not gone out yet. */
export const mailRequests = sqliteTable('mail_requests', {
  id: text('id').primaryKey(),
  email: text('email').notNull(),
  requestedAt: integer('requested_at').notNull(),
  ip: text('ip'),
  requestId: text('request_id'),
  kind: text('kind', { enum: ['password_reset', 'email_changed'] })
    .notNull()
    .default('password_reset'),
  tries: integer('tries').notNull().default(0),
  nextAt: integer('next_at').notNull().default(0),
  /** When its link was made: from then on it is never made again. */
  linkAt: integer('link_at'),
  /** A name for why the last attempt failed. */
  lastError: text('last_error'),
})

/** Where the outside wants to be told of what happens. */
export const webhooks = sqliteTable('webhooks', {
  id: text('id').primaryKey(),
  url: text('url').notNull(),
  description: text('description'),
  /** None: all there are, and those to come. */
  types: text('types', { mode: 'json' }).$type<EventType[]>().notNull(),
  sealedSecret: blob('sealed_secret', { mode: 'buffer' }).notNull(),
  status: text('status').$type<'active' | 'disabled'>().notNull(),
  createdAt: integer('created_at').notNull(),
})

/** What happened and someone outside wants to know, for as long as there is a delivery of it. */
export const events = sqliteTable('events', {
  id: text('id').primaryKey(),
  type: text('type').$type<EventType>().notNull(),
  userId: text('user_id').notNull(),
  at: integer('at').notNull(),
  data: text('data', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
})

export const deliveries = sqliteTable(
  'deliveries',
  {
    seq: integer('seq').primaryKey({ autoIncrement: true }),
    eventId: text('event_id').notNull(),
    /** The id of a webhook, or `amqp`. */
    target: text('target').notNull(),
    status: text('status').$type<'pending' | 'delivered' | 'dead'>().notNull().default('pending'),
    tries: integer('tries').notNull().default(0),
    /** When its time began: with the event, or with a replay. */
    since: integer('since').notNull(),
    nextAt: integer('next_at').notNull(),
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
    finishedAt: integer('finished_at'),
  },
  (table) => [unique().on(table.eventId, table.target)],
)

export const loginFailures = sqliteTable('login_failures', {
  subject: text('subject').primaryKey(),
  times: text('times', { mode: 'json' }).$type<number[]>().notNull(),
  clearedAt: integer('cleared_at').notNull(),
})

export const audit = sqliteTable('audit', {
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  id: text('id').notNull().unique(),
  at: integer('at').notNull(),
  type: text('type').notNull(),
  userId: text('user_id'),
  actor: text('actor').notNull(),
  ip: text('ip'),
  requestId: text('request_id'),
  detail: text('detail', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
  /** The hash of the row before it (audit-chain.ts). */
  prevHash: blob('prev_hash', { mode: 'buffer' }),
})

export const facts = sqliteTable('facts', {
  name: text('name').primaryKey(),
  value: text('value').notNull(),
})

export const limits = sqliteTable(
  'limits',
  {
    rule: text('rule').notNull(),
    subject: text('subject').notNull(),
    windowStart: integer('window_start').notNull(),
    count: integer('count').notNull(),
  },
  (table) => [primaryKey({ columns: [table.rule, table.subject] })],
)
