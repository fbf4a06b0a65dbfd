import type { Clock } from '../kit/clock.ts'
import type { Log } from '../kit/log.ts'
import type { Hasher } from '../kit/passwords/hasher.ts'
import type { Config } from '../kit/process/config.ts'
import type { Random } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'
import type { Outboxes } from './outbox.ts'
import type { UsersStore } from './store.ts'

/** What a read takes. */
export interface ReadContext {
  store: UsersStore
}

/** What identifies and dates audit rows and events. */
export interface RecordContext {
  clock: Clock
  random: Random
}

/** What an event for webhooks and the message broker takes. */
export interface EventContext extends RecordContext {
  /** Whether a webhook or the broker is subscribed to events of this type. */
  isSubscribed(type: EventType): boolean
}

/** What a change of a user takes: the store, and the other services' outboxes. */
export interface ChangeContext extends ReadContext, EventContext {
  outboxes: Outboxes
}

/** What a new password or a new user takes beside that. */
export interface PasswordContext extends ChangeContext {
  hasher: Hasher
  config: Pick<Config, 'passwordMinLength' | 'rateLimit' | 'registrationOpen'>
}

/** What the routes take. */
export interface UsersContext extends PasswordContext {
  log: Log
}
