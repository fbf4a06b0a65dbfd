import { actsForOperators } from '../kit/access/clients.ts'
import { type Caller, USER_AGENT_MAX } from '../kit/caller.ts'
import type { Locale } from '../kit/locale.ts'
import { type AuditEvent, actorOf, auditNotice, USER_ERASED } from '../kit/outbox/audit.ts'
import { eventNotice, newEvent } from '../kit/outbox/events.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import { emailKey } from '../kit/schema/email.ts'
import { type EventData, USER_FIELDS } from '../kit/schema/events.ts'
import type { UserRead } from '../kit/schema/user.ts'
import type { AuditRow, Change } from './change.ts'
import type { EventContext, RecordContext } from './context.ts'
import type { AccountMail, EmailChange, UserErasure } from './peers.ts'
import { userRead } from './present.ts'
import type { User } from './store.ts'

// The notices that the store writes in the transaction of a change, for the outboxes to send.

/**
 * A notice of a change of a user. Auth gets the record as it is when the notice is sent.
 * @param at the time of the change, in milliseconds since the epoch: operators see how long a notice waits
 */
export function changeNotice(userId: string, at: number): NewNotice {
  return { target: 'auth', kind: 'changed', subject: userId, payload: { at } }
}

/**
 * The notices of a deletion, one for each service that stores something of users.
 * @param subscribers the services that are notified besides auth
 * @param at the time of the deletion, in milliseconds since the epoch
 */
export function deletionNotices(userId: string, subscribers: readonly string[], at: number): NewNotice[] {
  return ['auth', ...subscribers].map((target) => ({ target, kind: 'deleted', subject: userId, payload: { at } }))
}

/** A notice that adds a row to the audit. */
export function auditRowNotice(
  context: RecordContext,
  caller: Caller,
  userId: string | null,
  row: AuditRow,
): NewNotice {
  return auditNotice(auditEvent(context, caller, userId, row))
}

function auditEvent(
  { clock, random }: RecordContext,
  caller: Caller,
  userId: string | null,
  [type, detail]: AuditRow,
): AuditEvent {
  return { id: random.id(), at: clock.now(), type, userId, ...actorOf(caller), detail }
}

/** The event `user.created`, if anyone is subscribed to it. */
export function createdEvent(context: EventContext, user: User): NewNotice[] {
  if (!context.isSubscribed('user.created')) return []
  return [eventNotice(newEvent(context, 'user.created', user.id, { user: userRead(user) }))]
}

/** All notices of a new user. */
export function creationNotices(context: EventContext, user: User, caller: Caller, row: AuditRow): NewNotice[] {
  return [
    changeNotice(user.id, context.clock.now()),
    ...createdEvent(context, user),
    auditRowNotice(context, caller, user.id, row),
  ]
}

/** All notices of a change. */
export function changeNotices(
  context: EventContext,
  { from, to }: { from: User; to: User },
  caller: Caller,
  { audit, emailBy, notice }: Change,
): NewNotice[] {
  return [
    changeNotice(to.id, context.clock.now()),
    ...changeEvents(context, from, to, audit),
    // An undone change is not mailed to the address that it took away: it may belong to whoever made the change.
    ...(emailBy === 'undo' ? [] : emailNotice(context, { from, to }, caller, emailBy === 'proof')),
    ...(notice === undefined ? [] : accountMail(context, to, caller, { kind: 'notice', cause: notice })),
    ...audit.map((row) => auditRowNotice(context, caller, to.id, row)),
  ]
}

/**
 * All notices of a deletion.
 * @param subscribers the services that are notified besides auth
 */
export function removalNotices(
  context: EventContext,
  user: User,
  caller: Caller,
  subscribers: readonly string[],
): NewNotice[] {
  const event = context.isSubscribed('user.deleted')
    ? [eventNotice(newEvent(context, 'user.deleted', user.id, {}))]
    : []
  return [
    ...deletionNotices(user.id, subscribers, context.clock.now()),
    ...event,
    auditRowNotice(context, caller, user.id, ['user.deleted', {}]),
  ]
}

/** All notices of an erasure, which follow those of the deletion. Auth gets the names, which nobody stores any more. */
export function erasureNotices(context: RecordContext, erasure: UserErasure, caller: Caller): NewNotice[] {
  const { userId } = erasure
  return [
    auditRowNotice(context, caller, userId, [USER_ERASED, {}]),
    { target: 'auth', kind: 'erased', subject: userId, payload: { ...erasure } },
  ]
}

/** The setter of a new password, by the type of the audit row. A rehash is no change of the password. */
const PASSWORD_BY: Record<string, EventData['password.changed']['by']> = {
  'password.changed': 'self',
  'password.set': 'operator',
  'password.reset': 'reset',
  'password.set_by_invitation': 'invitation',
  'user.recovered': 'operator',
}

/** The events of a change: none if nothing changed that the API shows. */
function changeEvents(context: EventContext, from: User, to: User, rows: readonly AuditRow[]): NewNotice[] {
  const notices: NewNotice[] = []
  if (context.isSubscribed('user.updated')) {
    const user = userRead(to)
    const fields = changedFields(userRead(from), user)
    if (fields.length > 0) notices.push(eventNotice(newEvent(context, 'user.updated', to.id, { user, fields })))
  }
  const by = rows.map(([type]) => PASSWORD_BY[type]).find((setter) => setter !== undefined)
  if (by !== undefined && context.isSubscribed('password.changed'))
    notices.push(eventNotice(newEvent(context, 'password.changed', to.id, { by })))
  return notices
}

function changedFields(before: UserRead, after: UserRead): EventData['user.updated']['fields'] {
  return USER_FIELDS.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}

/**
 * The notice that mails the previous address (OWASP ASVS 6.3.7): if someone else changed the email, its owner learns of
 * it at an address that a stolen session can't read.
 */
function emailNotice(
  { clock, random }: RecordContext,
  { from, to }: { from: User; to: User },
  caller: Caller,
  byProof: boolean,
): NewNotice[] {
  if (emailKey(to.email) === emailKey(from.email)) return []
  const { id: userId, email: oldEmail, emailVerified: verified } = from
  const { ip, requestId } = caller
  const identity = { id: random.id(), at: clock.now(), requestId, userId, ip, locale: localeOf(from, caller) }
  const change: EmailChange = { ...identity, oldEmail, newEmail: to.email, verified, byProof }
  return [{ target: 'auth', kind: 'email_changed', subject: userId, payload: { ...change } }]
}

/**
 * The notice that makes auth mail a user; no notice for what auth itself asks for. Its subject is its own: should auth
 * refuse it, no change of the user waits for it.
 */
export function accountMail(
  { clock, random }: RecordContext,
  user: User,
  caller: Caller,
  about: Pick<AccountMail, 'kind' | 'cause'>,
): NewNotice[] {
  if (caller.internal) return []
  const { email, id: userId } = user
  const { ip, requestId } = caller
  const userAgent = caller.userAgent?.slice(0, USER_AGENT_MAX) ?? null
  const identity = { id: random.id(), at: clock.now(), requestId, userId, ip, userAgent }
  const mail: AccountMail = { ...identity, ...about, email, locale: localeOf(user, caller) }
  return [{ target: 'auth', kind: 'account_mail', subject: mail.id, payload: { ...mail } }]
}

/** The language of a mail to a user. That of an operator's request says nothing about the user. */
function localeOf(user: User, caller: Caller): Locale | null {
  return user.locale ?? (actsForOperators(caller) && caller.userId !== user.id ? null : caller.locale)
}
