import type { LimitStore } from '../kit/limits.ts'
import type { AuditEvent } from '../kit/outbox/audit.ts'
import type { Event, EventType } from '../kit/outbox/events.ts'
import type { RevokedBecause } from '../kit/schema/events.ts'
import type { PageRequest, Position, Slice } from '../kit/schema/page.ts'
import type { Revocation } from '../kit/tokens/revocations.ts'

/** What auth keeps of a user: a row of the password cache. Times are milliseconds since the epoch. */
export interface Account {
  userId: string
  email: string
  username: string | null
  name: string | null
  roles: string[]
  status: 'active' | 'disabled'
  emailVerified: boolean
  createdAt: number
  updatedAt: number
  /** Null: there is no password. Empty: it is not known here (`cached`). */
  passwordHash: string | null
  version: number
  /** Sessions opened from an older version have ended. */
  sessionsFrom: number
  /** Access tokens made from an older version have ended. */
  tokensFrom: number
  syncedAt: number
  /** Whether it serves logins. What was dropped is asked for anew. */
  cached: boolean
}

/** A user as the users service tells it. Without the marks, what a change ended is read off the difference. */
export type SyncedAccount = Omit<Account, 'sessionsFrom' | 'tokensFrom' | 'syncedAt' | 'cached'> & {
  marks?: { sessionsFrom: number; sessionKept: string | null; allSessionsFrom: number; tokensFrom: number }
}

export type SessionKind = 'v1' | 'v0'

export interface Session {
  id: string
  userId: string
  kind: SessionKind
  /** Which of its derived refresh tokens is the current one. */
  counter: number
  rotatedAt: number
  createdAt: number
  lastUsedAt: number
  /** When its refresh token expires. */
  expiresAt: number
  /** When it ends, however often it is refreshed. */
  endsAt: number
  /** When its last access token expires. */
  accessUntil: number
  /** The version of the account that it was opened from. */
  version: number
  ip: string | null
  userAgent: string | null
}

/** When sessions end before their time, and why, as the outside is told of it. */
export interface Ending {
  reason: RevokedBecause
  now: number
}

/** What the feed must tell after a change, and how many sessions ended with it. */
export interface Ended {
  sessions: number
  /** The place in the feed of the last of them; 0 where there is nothing to tell. */
  seq: number
  revocations: Revocation[]
}

export interface Rotation {
  sessionId: string
  /** The counter of the token that was presented. */
  counter: number
  now: number
  /** Until when the new refresh token lives, before the absolute end cuts it. */
  expiresAt: number
  accessUntil: number
  /** How long the token spent last is answered again. */
  grace: number
  /** The hash of the new token, where tokens are looked up by it (v0). */
  hash?: Uint8Array
  limit?: { most: number; window: number }
}

export type Rotated =
  | { outcome: 'rotated' | 'repeated'; session: Session; account: Account }
  | { outcome: 'reused'; ended: Ended }
  | { outcome: 'limited'; until: number }
  | { outcome: 'gone' }

export interface StoredKey {
  kid: string
  alg: string
  /** The public key, base64url. */
  x: string
  sealedPrivateKey: Uint8Array
  /** `pending`: published, but not signing yet. */
  status: 'pending' | 'active' | 'retiring'
  /** When it was made and published, by the wall clock. */
  createdAt: number
  goneAt: number | null
}

export type MailKind = 'password_reset' | 'email_changed'

/** A mail that is to go out. */
export interface MailRequest {
  id: string
  kind: MailKind
  /** As it was typed, for a reset; the address before the change, for a change. */
  email: string
  requestedAt: number
  ip: string | null
  requestId: string | null
  tries: number
  /** When it is tried next. */
  nextAt: number
  /** When its link was made; null: it has none so far. */
  linkAt: number | null
  /** A name for why the last attempt failed, never what the server said. */
  lastError: string | null
}

/** The right to set a password, by a link in a mail. */
export interface Reset {
  /** The mail that brings it. */
  mailId: string
  tokenHash: Uint8Array
  userId: string
  requestedAt: number
  expiresAt: number
}

/** Where the outside wants to be told of what happens. */
export interface Webhook {
  id: string
  url: string
  description: string | null
  /** None: all there are, and those to come. */
  types: EventType[]
  sealedSecret: Uint8Array
  /** `disabled`: nothing is written for it and nothing sent, until it is enabled again. */
  status: 'active' | 'disabled'
  createdAt: number
}

export type DeliveryStatus = 'pending' | 'delivered' | 'dead'

/** An event on its way to one target: the id of a webhook, or `amqp`. */
export interface Delivery {
  seq: number
  target: string
  status: DeliveryStatus
  event: Event
  tries: number
  /** When its time began: with the event, or with a replay. */
  since: number
  /** When it is tried next, while it is pending. */
  nextAt: number
  /** The HTTP status of the last try, where there was an answer. */
  lastStatus: number | null
  /** A name for why the last try failed, never what the other said. */
  lastError: string | null
  finishedAt: number | null
}

/** Which delivery was tried, as it was then: a replay meanwhile gives it another `since`. */
export type Attempted = Pick<Delivery, 'seq' | 'since'>

/** What a try came to. */
export interface Tried {
  status: number | null
  error: string | null
}

export interface DeliveryFilter {
  seq?: number
  target?: string
  status?: DeliveryStatus
  /** Whose time began then or later. */
  since?: number
}

export interface LoginFailures {
  /** When each failed, oldest first; none older than a day. */
  times: number[]
  /** Those before this don't make for a pause any more. */
  clearedAt: number
}

export interface AuditFilter {
  userId?: string
  type?: string
  since?: number
  requestId?: string
}

export interface CacheSync {
  outcome: 'synced' | 'unchanged'
  ended: Ended
  /** Whether it has another password since, set or changed by someone: not a new hash of the same one. */
  newPassword: boolean
}

/**
 * What the auth service keeps. Each method is one transaction; where one takes an event, the row of the audit is
 * written in it.
 */
export interface AuthStore extends LimitStore {
  // The password cache.
  accountById(userId: string): Promise<Account | null>
  /** In any case. Also one that was dropped: its id is known still. */
  accountByEmail(email: string): Promise<Account | null>
  accountByUsername(username: string): Promise<Account | null>
  /** Takes a user in, unless what is held is newer or the user is deleted; ends what the change ended. */
  syncAccount(account: SyncedAccount, now: number, event: (type: string) => AuditEvent): Promise<CacheSync>
  /** Ends everything of a user, for good. */
  deleteAccount(userId: string, now: number, event: (type: string) => AuditEvent): Promise<Ended>
  dropAccount(userId: string, event: AuditEvent): Promise<boolean>
  /** @param search a part of the email or the username, however its letters are written */
  listAccounts(search: string | undefined, request: PageRequest): Promise<Slice<Account>>
  /** The ids that the cache holds, in order, those after `after`. */
  cachedIds(after: string, limit: number): Promise<string[]>
  countAccounts(): Promise<number>

  // Sessions.
  /** `account_changed`: since its password was checked, the account was disabled, deleted or given another password. */
  openSession(session: Session, event: AuditEvent, hash?: Uint8Array): Promise<'opened' | 'account_changed'>
  rotateSession(rotation: Rotation, event: (type: string) => AuditEvent): Promise<Rotated>
  sessionById(id: string): Promise<Session | null>
  sessionByHash(hash: Uint8Array): Promise<{ sessionId: string; counter: number } | null>
  /** `userId`: only if it is this user's. */
  endSession(id: string, userId: string | null, ending: Ending, event: AuditEvent): Promise<Ended | null>
  endSessionsOf(userId: string, ending: Ending, event: AuditEvent): Promise<Ended>
  endAllSessions(ending: Ending, event: AuditEvent): Promise<Ended>
  listSessions(userId: string | null, now: number, request: PageRequest): Promise<Slice<Session>>
  /** At the start: spent tokens keep what was left of their grace when the service went down. */
  resume(now: number, grace: number): Promise<void>
  /** Says that the service is alive: the grace of a refresh token doesn't run while it is down. */
  markAlive(now: number): Promise<void>
  forgetExpired(now: number): Promise<void>

  // The feed.
  /** A name of this database: what followers know by its numbers is void under another. */
  readonly epoch: string
  revocationsAfter(seq: number, limit: number): Promise<{ revocations: Revocation[]; seq: number }>
  lastRevocation(): Promise<number>

  // Keys.
  signingKeys(): Promise<StoredKey[]>
  /** @returns its place in the feed */
  addSigningKey(key: StoredKey, event: AuditEvent | null): Promise<number>
  /** The pending key signs from now on; the one before stays until `goneAt`. */
  activateSigningKey(kid: string, goneAt: number, event: AuditEvent | null): Promise<void>
  removeSigningKey(kid: string, until: number, event: AuditEvent | null): Promise<number | null>
  /** The same private key, sealed by another secret. */
  resealSigningKey(kid: string, sealedPrivateKey: Uint8Array): Promise<void>

  // Mails.
  addMailRequest(request: MailRequest): Promise<void>
  /** Those whose time has come, the longest waiting first. A time after `latest` was set by a clock that ran ahead. */
  mailRequestsDue(now: number, latest: number, limit: number): Promise<MailRequest[]>
  /** When the next is due after `now`; null: there is none. */
  nextMailRequest(now: number): Promise<number | null>
  postponeMailRequest(id: string, nextAt: number, lastError: string): Promise<void>
  /** Makes due at once what waits for another attempt. */
  hastenMailRequests(now: number): Promise<void>
  removeMailRequest(id: string): Promise<void>
  countMailRequests(): Promise<number>

  // Password resets.
  /**
   * Makes the link of a mail, and voids the user's earlier ones; for a mail that has one already, gives that one. Null:
   * it has been used, has expired or was voided, or the user has asked for another since.
   */
  issueReset(reset: Reset, now: number, event: AuditEvent): Promise<{ tokenHash: Uint8Array; expiresAt: number } | null>
  /**
   * Takes the reset, if it is there and good, and gives whose it is: of many who try, one gets it. What voids it
   * meanwhile voids it for good.
   */
  takeReset(tokenHash: Uint8Array, now: number): Promise<string | null>
  /** It could not be used: it can be taken again, unless it was voided. */
  returnReset(tokenHash: Uint8Array): Promise<void>
  finishReset(tokenHash: Uint8Array, event: AuditEvent | null): Promise<void>
  forgetResets(now: number): Promise<void>

  // Events for the outside.
  /** The types that someone listens to, from memory. */
  wanted(): ReadonlySet<EventType>
  /** Writes down those that someone wants, with a delivery for each who does; what is there already stays as it is. */
  addEvents(events: Event[], now: number): Promise<void>
  /** `heard` is called after each commit that wrote deliveries, or made some due. */
  onDeliveries(heard: () => void): void
  /** Those whose time has come, the longest waiting first. A time after `latest` was set by a clock that ran ahead. */
  deliveriesDue(target: string, now: number, latest: number, limit: number): Promise<Delivery[]>
  /** Those that are pending, due or not, in the order in which they were written. */
  oldestDeliveries(target: string, limit: number): Promise<Delivery[]>
  /** When the next is due after `now`; null: there is none. */
  nextDelivery(target: string, now: number): Promise<number | null>
  /**
   * Undoes nothing: where it was replayed or removed meanwhile, that stays, and a failure leaves it due; what arrived
   * has arrived.
   */
  finishDelivery(attempted: Attempted, status: 'delivered' | 'dead', tried: Tried, now: number): Promise<void>
  postponeDelivery(attempted: Attempted, nextAt: number, tried: Tried): Promise<void>
  /** Gives up what has been pending since before `before`, whether anyone sends to `target` or not. */
  giveUpDeliveries(target: string, before: number, now: number): Promise<void>
  /** Finishes what was left when the service ended while a webhook was deleted, or disabled. */
  settleDeliveries(now: number): Promise<void>
  /** The newest first. */
  listDeliveries(filter: DeliveryFilter, request: PageRequest): Promise<Slice<Delivery>>
  /**
   * Sends again what was delivered or is dead, and at once what waits for another attempt, where it is named by its `seq`
   * or its status. Gives how many.
   */
  replayDeliveries(filter: DeliveryFilter, now: number, event: (count: number) => AuditEvent): Promise<number>
  countDeliveries(): Promise<{ pending: number; dead: number }>
  /** @param times what was delivered, or given up, before these is forgotten, with its events */
  forgetDeliveries(times: { delivered: number; dead: number }): Promise<void>

  // Webhooks. A change of them has a place in the feed.
  webhooks(): Promise<Webhook[]>
  /** Null: there are `most` already. */
  addWebhook(webhook: Webhook, most: number, event: AuditEvent): Promise<number | null>
  /** Disabled, what is pending for it is given up. Null: there is none such, or it is so already. */
  setWebhookStatus(id: string, status: Webhook['status'], now: number, event: AuditEvent): Promise<number | null>
  /** With its deliveries. Null: there is none such. */
  removeWebhook(id: string, now: number, event: AuditEvent): Promise<number | null>
  /** The same secret, sealed by another one. */
  resealWebhook(id: string, sealedSecret: Uint8Array): Promise<void>

  // Limits on logins.
  loginFailures(subject: string): Promise<LoginFailures>
  /** @param events by what is then known of each subject, in their order */
  recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]): Promise<void>
  clearFailures(subject: string, now: number, forget: boolean): Promise<void>

  /** Those of more than a day ago count for nothing. */
  forgetFailures(now: number): Promise<void>

  // The audit.
  addEvent(event: AuditEvent): Promise<void>
  listEvents(
    filter: AuditFilter,
    request: PageRequest,
    order?: 'newest first' | 'oldest first',
  ): Promise<Slice<AuditEvent>>
  /** Where a walk begins that goes on after this event. Rows stand in the order in which they were written. */
  placeOfEvent(id: string): Promise<Position | null>

  fact(name: string): Promise<string | null>
  setFact(name: string, value: string): Promise<void>
  /** Writes and reads. @throws when either fails */
  probe(): Promise<void>
  close(): Promise<void>
}
