import type { Clock } from '../kit/clock.ts'
import { eventNotice, eventOf } from '../kit/outbox/events.ts'
import type { NewNotice } from '../kit/outbox/outbox.ts'
import type { Random } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'
import { type EventData, USER_FIELDS } from '../kit/schema/events.ts'
import type { UserRead } from '../kit/schema/user.ts'
import { userRead } from './outbox.ts'
import type { User } from './store.ts'

/** What is needed to tell the outside of a change. */
export interface EventContext {
  clock: Clock
  random: Random
  /** Whether someone outside listens to events of this type. */
  wants(type: EventType): boolean
}

/** By the row of the audit that a new password leaves. A new hash of the same password leaves another. */
const PASSWORD_BY: Record<string, EventData['password.changed']['by']> = {
  'password.changed': 'self',
  'password.set': 'operator',
  'password.reset': 'reset',
  'user.recovered': 'operator',
}

/** The notices by which the outside hears of a new user. */
export function userCreatedNotices(telling: EventContext, user: User): NewNotice[] {
  if (!telling.wants('user.created')) return []
  return [eventNotice(eventOf(telling, 'user.created', user.id, { user: userRead(user) }))]
}

/** The notices by which the outside hears of a change: none where it shows in nothing that the outside sees. */
export function userChangedNotices(
  telling: EventContext,
  { from, to }: { from: User; to: User },
  rows: readonly [type: string, ...unknown[]][],
): NewNotice[] {
  const notices: NewNotice[] = []
  if (telling.wants('user.updated')) {
    const user = userRead(to)
    const fields = changedFields(userRead(from), user)
    if (fields.length > 0) notices.push(eventNotice(eventOf(telling, 'user.updated', to.id, { user, fields })))
  }
  const by = rows.map(([type]) => PASSWORD_BY[type]).find((one) => one !== undefined)
  if (by !== undefined && telling.wants('password.changed'))
    notices.push(eventNotice(eventOf(telling, 'password.changed', to.id, { by })))
  return notices
}

export function userDeletedNotices(telling: EventContext, userId: string): NewNotice[] {
  return telling.wants('user.deleted') ? [eventNotice(eventOf(telling, 'user.deleted', userId, {}))] : []
}

function changedFields(before: UserRead, after: UserRead): EventData['user.updated']['fields'] {
  return USER_FIELDS.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}
