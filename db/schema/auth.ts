import { sql } from 'drizzle-orm'
import { blob, integer, primaryKey, sqliteTable, text, unique } from 'drizzle-orm/sqlite-core'
import type {
  ChallengeData,
  ChallengePurpose,
  Client,
  GrantType,
  MailData,
  MailKind,
  TokenAuthMethod,
  TotpForm,
} from '../../services/auth/store/index.ts'
import type { Locale } from '../../services/kit/locale.ts'
import type { EventType } from '../../services/kit/schema/events.ts'
import type { OpaqueProfile } from '../../services/kit/schema/user.ts'
import type { AuthMethod } from '../../services/kit/tokens/access-token.ts'
import type { TokenAlg } from '../../services/kit/tokens/algorithms.ts'

/** The password cache: what auth knows of users. The id of a deleted user stays, so that no late notice revives them. */
export const accounts = sqliteTable('accounts', {
  userId: text('user_id').primaryKey(),
  /** Whether the account serves logins. False when it was dropped, deleted, or lost its email to another account. */
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
  /** The folded text that a search covers. */
  searchText: text('search_text').notNull().default(''),
  /** The fields of the user that no login reads. */
  profile: text('profile', { mode: 'json' }).$type<OpaqueProfile>().notNull().default({}),
  /** Second factors that were added before this version are void. */
  factorsFrom: integer('factors_from').notNull().default(0),
})

/** Sessions that have not ended. */
export const sessions = sqliteTable('sessions', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  kind: text('kind').$type<'v1' | 'v0'>().notNull(),
  /** The number of the current refresh token, from which the token is derived. */
  counter: integer('counter').notNull(),
  rotatedAt: integer('rotated_at').notNull(),
  createdAt: integer('created_at').notNull(),
  lastUsedAt: integer('last_used_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  endsAt: integer('ends_at').notNull(),
  /** When the last access token of the session expires. */
  accessUntil: integer('access_until').notNull(),
  /** The version of the account when the session was opened. */
  version: integer('version').notNull(),
  ip: text('ip'),
  userAgent: text('user_agent'),
  refreshesSince: integer('refreshes_since').notNull(),
  refreshes: integer('refreshes').notNull(),
  /** When the user last authenticated in the session, and by which methods (RFC 8176). 0: when the session was opened. */
  authTime: integer('auth_time').notNull().default(0),
  amr: text('amr', { mode: 'json' }).$type<AuthMethod[]>().notNull().default(['pwd']),
  /** Whether it is that of an offline grant, whose id it has. */
  ofGrant: integer('of_grant', { mode: 'boolean' }).notNull().default(sql`0`),
})

/** Maps refresh tokens of v0, which do not name their session, to sessions: by SHA-256, until the session ends. */
export const refreshHashes = sqliteTable('refresh_hashes', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  sessionId: text('session_id').notNull(),
  counter: integer('counter').notNull(),
})

/** The entries of the revocation feed, in order. Each is kept until the last token that it revokes has expired. */
export const revocations = sqliteTable('revocations', {
  seq: integer('seq').primaryKey({ autoIncrement: true }),
  kind: text('kind').$type<'session' | 'user' | 'keys' | 'events'>().notNull(),
  subject: text('subject').notNull(),
  version: integer('version').notNull(),
  until: integer('until').notNull(),
})

/** The keys that sign tokens, encrypted with CH202_SECRET. */
export const signingKeys = sqliteTable('signing_keys', {
  kid: text('kid').primaryKey(),
  alg: text('alg').$type<TokenAlg>().notNull(),
  x: text('x').notNull(),
  sealedPrivateKey: blob('sealed_private_key', { mode: 'buffer' }).notNull(),
  status: text('status').$type<'pending' | 'active' | 'retiring'>().notNull(),
  createdAt: integer('created_at').notNull(),
  /** When the last token signed with this key expires. Null while the key signs. */
  goneAt: integer('gone_at'),
  /** Whether the key may sign access tokens. */
  forAccessTokens: integer('for_access_tokens', { mode: 'boolean' }).notNull().default(sql`1`),
})

/** Codes and links in mails, whose values are derived from the row (`challenges/secrets.ts`), and logins that wait. */
export const challenges = sqliteTable('challenges', {
  id: text('id').primaryKey(),
  purpose: text('purpose').$type<ChallengePurpose>().notNull(),
  /** The address that the code or the link proves. */
  address: text('address').notNull(),
  /** Null: nobody has the address, or the mail has not been written yet. */
  userId: text('user_id'),
  /** Needed by some purposes. Never a secret. */
  data: text('data', { mode: 'json' }).$type<ChallengeData>().notNull().default({}),
  mailId: text('mail_id').notNull().unique(),
  /** SHA-256 of the token in the link. Null: the mail has not been written yet. */
  tokenHash: blob('token_hash', { mode: 'buffer' }).unique(),
  requestedAt: integer('requested_at').notNull(),
  /** Null: the mail has a link alone. */
  codeExpiresAt: integer('code_expires_at'),
  expiresAt: integer('expires_at').notNull(),
  tries: integer('tries').notNull().default(0),
  /** When a request took the challenge: meanwhile no other request can. */
  takenAt: integer('taken_at'),
})

/** Devices that their users have confirmed by a code. */
export const devices = sqliteTable('devices', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  tokenHash: blob('token_hash', { mode: 'buffer' }).notNull().unique(),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
})

/** Apps that show codes. Their secrets are sealed. */
export const totps = sqliteTable('totps', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  name: text('name').notNull(),
  sealedSecret: blob('sealed_secret', { mode: 'buffer' }).notNull(),
  algorithm: text('algorithm').$type<TotpForm['algorithm']>().notNull(),
  digits: integer('digits').notNull(),
  period: integer('period').notNull(),
  createdAt: integer('created_at').notNull(),
  /** Null: pending. */
  confirmedAt: integer('confirmed_at'),
  expiresAt: integer('expires_at').notNull(),
  lastUsedAt: integer('last_used_at'),
  /** The step of the last code that was used. */
  lastStep: integer('last_step').notNull(),
})

export const passkeys = sqliteTable('passkeys', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  name: text('name').notNull(),
  credentialId: blob('credential_id', { mode: 'buffer' }).notNull().unique(),
  publicKey: blob('public_key', { mode: 'buffer' }).notNull(),
  algorithm: integer('algorithm').notNull(),
  counter: integer('counter').notNull(),
  transports: text('transports', { mode: 'json' }).$type<string[]>().notNull(),
  aaguid: text('aaguid').notNull(),
  backupEligible: integer('backup_eligible', { mode: 'boolean' }).notNull(),
  backedUp: integer('backed_up', { mode: 'boolean' }).notNull(),
  createdAt: integer('created_at').notNull(),
  lastUsedAt: integer('last_used_at'),
})

/** Recovery codes that were not used yet: SHA-256. */
export const recoveryCodes = sqliteTable('recovery_codes', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  userId: text('user_id').notNull(),
  createdAt: integer('created_at').notNull(),
})

/** Challenges that passkeys have answered, until they would have expired: SHA-256. */
export const usedChallenges = sqliteTable('used_challenges', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  expiresAt: integer('expires_at').notNull(),
})

/** Mails that wait to be sent. */
export const mailRequests = sqliteTable('mail_requests', {
  id: text('id').primaryKey(),
  kind: text('kind').$type<MailKind>().notNull(),
  email: text('email').notNull(),
  userId: text('user_id'),
  /** The language that the request preferred. */
  locale: text('locale').$type<Locale>(),
  data: text('data', { mode: 'json' }).$type<MailData>().notNull().default({}),
  requestedAt: integer('requested_at').notNull(),
  ip: text('ip'),
  requestId: text('request_id'),
  tries: integer('tries').notNull().default(0),
  nextAt: integer('next_at').notNull().default(0),
  /** When the link of the mail was made: no second link is ever made. */
  linkAt: integer('link_at'),
  /** A name for the reason of the last failure. */
  lastError: text('last_error'),
})

/** Mails that were sent, or given up. */
export const finishedMails = sqliteTable('finished_mails', {
  id: text('id').primaryKey(),
  kind: text('kind').$type<MailKind>().notNull(),
  email: text('email').notNull(),
  userId: text('user_id'),
  locale: text('locale').$type<Locale>(),
  data: text('data', { mode: 'json' }).$type<MailData>().notNull().default({}),
  requestedAt: integer('requested_at').notNull(),
  ip: text('ip'),
  requestId: text('request_id'),
  tries: integer('tries').notNull(),
  status: text('status').$type<'sent' | 'failed'>().notNull(),
  lastError: text('last_error'),
  finishedAt: integer('finished_at').notNull(),
})

/** Endpoints of other systems that receive events. */
export const webhooks = sqliteTable('webhooks', {
  id: text('id').primaryKey(),
  url: text('url').notNull(),
  description: text('description'),
  /** The event types that the webhook receives. An empty list: all, including future ones. */
  types: text('types', { mode: 'json' }).$type<EventType[]>().notNull(),
  sealedSecret: blob('sealed_secret', { mode: 'buffer' }).notNull(),
  status: text('status').$type<'active' | 'disabled'>().notNull(),
  createdAt: integer('created_at').notNull(),
})

/** Events. Each is kept as long as it has a delivery. */
export const events = sqliteTable('events', {
  id: text('id').primaryKey(),
  type: text('type').$type<EventType>().notNull(),
  userId: text('user_id').notNull(),
  at: integer('at').notNull(),
  data: text('data', { mode: 'json' }).$type<Record<string, unknown>>().notNull(),
})

/** Deliveries of events, one per receiver. */
export const deliveries = sqliteTable(
  'deliveries',
  {
    seq: integer('seq').primaryKey({ autoIncrement: true }),
    eventId: text('event_id').notNull(),
    /** The id of a webhook, or `amqp`. */
    target: text('target').notNull(),
    status: text('status').$type<'pending' | 'delivered' | 'dead'>().notNull().default('pending'),
    tries: integer('tries').notNull().default(0),
    /** When the delivery began: at the event, or at the last replay. */
    since: integer('since').notNull(),
    nextAt: integer('next_at').notNull(),
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
    finishedAt: integer('finished_at'),
  },
  (table) => [unique().on(table.eventId, table.target)],
)

/** The times of failed logins, by account or address. */
export const loginFailures = sqliteTable('login_failures', {
  subject: text('subject').primaryKey(),
  times: text('times', { mode: 'json' }).$type<number[]>().notNull(),
  clearedAt: integer('cleared_at').notNull(),
})

/** The audit: a chain of rows that are only added. */
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
  /** The hash of the previous row (`audit-chain.ts`). */
  prevHash: blob('prev_hash', { mode: 'buffer' }),
  /** The salts of the digests of the origin and the detail, or the digests of parts that were erased. */
  originSeal: blob('origin_seal', { mode: 'buffer' }),
  detailSeal: blob('detail_seal', { mode: 'buffer' }),
  /** The hash of a row without seals of which a part was erased. */
  rowHash: blob('row_hash', { mode: 'buffer' }),
})

/** Users whose data is erased. The emails and keys are empty once that is complete. */
export const erasures = sqliteTable('erasures', {
  userId: text('user_id').primaryKey(),
  begunAt: integer('begun_at').notNull(),
  /** Emails as they are compared. */
  emails: text('emails', { mode: 'json' }).$type<string[]>().notNull(),
  /** The keys under which limits count the user's names. */
  keys: text('keys', { mode: 'json' }).$type<string[]>().notNull(),
  /** The last row of the audit that was looked at. */
  auditSeq: integer('audit_seq').notNull().default(0),
  /** The last row of the audit whose remains another row records. */
  recordedSeq: integer('recorded_seq').notNull().default(0),
  /** How many rows of the audit were erased. */
  erasedRows: integer('erased_rows').notNull().default(0),
  doneAt: integer('done_at'),
})

/** Single values, by name. */
export const facts = sqliteTable('facts', {
  name: text('name').primaryKey(),
  value: text('value').notNull(),
})

/** How often a subject did what a rule limits. */
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

/** Applications that use OAuth. */
export const clients = sqliteTable('clients', {
  id: text('id').primaryKey(),
  name: text('name').notNull().unique(),
  kind: text('kind').$type<Client['kind']>().notNull(),
  firstParty: integer('first_party', { mode: 'boolean' }).notNull(),
  redirectUris: text('redirect_uris', { mode: 'json' }).$type<string[]>().notNull(),
  postLogoutRedirectUris: text('post_logout_redirect_uris', { mode: 'json' }).$type<string[]>().notNull(),
  backchannelLogoutUri: text('backchannel_logout_uri'),
  grantTypes: text('grant_types', { mode: 'json' }).$type<GrantType[]>().notNull(),
  scopes: text('scopes', { mode: 'json' }).$type<string[]>().notNull(),
  resources: text('resources', { mode: 'json' }).$type<string[]>().notNull(),
  idTokenAlg: text('id_token_alg').$type<TokenAlg>().notNull(),
  tokenAuthMethod: text('token_auth_method').$type<TokenAuthMethod>().notNull(),
  jwksUri: text('jwks_uri'),
  requirePkce: integer('require_pkce', { mode: 'boolean' }).notNull(),
  status: text('status').$type<Client['status']>().notNull(),
  createdAt: integer('created_at').notNull(),
  version: integer('version').notNull(),
  /** Grants of earlier versions have ended. */
  grantsFrom: integer('grants_from').notNull().default(0),
})

/** The secrets of clients, by SHA-256. */
export const clientSecrets = sqliteTable('client_secrets', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  clientId: text('client_id').notNull(),
  createdAt: integer('created_at').notNull(),
})

/** The access that users gave clients. */
export const grants = sqliteTable('grants', {
  id: text('id').primaryKey(),
  userId: text('user_id').notNull(),
  clientId: text('client_id').notNull(),
  /** The session in which the user signed in. */
  sessionId: text('session_id').notNull(),
  scopes: text('scopes', { mode: 'json' }).$type<string[]>().notNull(),
  resource: text('resource'),
  /** Whether it outlives its session. Then `sessions` has a row with its id. */
  offline: integer('offline', { mode: 'boolean' }).notNull(),
  version: integer('version').notNull(),
  clientVersion: integer('client_version').notNull(),
  createdAt: integer('created_at').notNull(),
  lastUsedAt: integer('last_used_at').notNull(),
  accessUntil: integer('access_until').notNull(),
  endsAt: integer('ends_at').notNull(),
})

/** Authorization codes, by SHA-256. They stay for a time, so that a second use is recognized. */
export const authorizationCodes = sqliteTable('authorization_codes', {
  hash: blob('hash', { mode: 'buffer' }).primaryKey(),
  clientId: text('client_id').notNull(),
  userId: text('user_id').notNull(),
  sessionId: text('session_id').notNull(),
  redirectUri: text('redirect_uri').notNull(),
  scopes: text('scopes', { mode: 'json' }).$type<string[]>().notNull(),
  resource: text('resource'),
  nonce: text('nonce'),
  codeChallenge: text('code_challenge'),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  version: integer('version').notNull(),
  authTime: integer('auth_time').notNull(),
  amr: text('amr', { mode: 'json' }).$type<AuthMethod[]>().notNull(),
  usedAt: integer('used_at'),
  grantId: text('grant_id'),
})

/** The scopes that users have allowed clients. */
export const consents = sqliteTable(
  'consents',
  {
    userId: text('user_id').notNull(),
    clientId: text('client_id').notNull(),
    scopes: text('scopes', { mode: 'json' }).$type<string[]>().notNull(),
    givenAt: integer('given_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.clientId] })],
)

/** Clients that are still to be told of the end of a session. */
export const clientLogouts = sqliteTable(
  'client_logouts',
  {
    id: text('id').primaryKey(),
    clientId: text('client_id').notNull(),
    userId: text('user_id').notNull(),
    sessionId: text('session_id').notNull(),
    reason: text('reason').notNull(),
    at: integer('at').notNull(),
    tries: integer('tries').notNull(),
    nextAt: integer('next_at').notNull(),
    lastError: text('last_error'),
  },
  (table) => [unique().on(table.clientId, table.sessionId)],
)
