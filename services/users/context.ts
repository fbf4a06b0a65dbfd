import type { LacksSecondFactor } from '../kit/access/recent.ts'
import type { Clock } from '../kit/clock.ts'
import type { Log } from '../kit/log.ts'
import type { Hasher } from '../kit/passwords/hasher.ts'
import type { Config } from '../kit/process/config.ts'
import type { Random } from '../kit/random.ts'
import type { EventType } from '../kit/schema/events.ts'
import type { Outboxes } from './outbox.ts'
import type { UsersStore } from './store.ts'

/** Context of reads. */
export interface ReadContext {
  store: UsersStore
}

/** Context of audit rows and events: their ids and times. */
export interface RecordContext {
  clock: Clock
  random: Random
}

/** Context of events for webhooks and the message broker. */
export interface EventContext extends RecordContext {
  /** Whether a webhook or the broker is subscribed to events of this type. */
  isSubscribed(type: EventType): boolean
}

/** Context of changes. */
export interface ChangeContext extends ReadContext, EventContext {
  /** Send the notices of a change to the other services. */
  outboxes: Outboxes
}

/** Context of changes that need a recent authentication. */
export interface AssuredContext extends ChangeContext {
  /** Asks auth, which has the second factors. */
  lacksSecondFactor: LacksSecondFactor
  config: Pick<Config, 'emailVerification' | 'reauthMaxAge'>
}

/** Context of new passwords and new users. */
export interface PasswordContext extends AssuredContext {
  hasher: Hasher
  config: Pick<Config, 'emailVerification' | 'passwordMinLength' | 'rateLimit' | 'reauthMaxAge' | 'registrationOpen'>
}

/** Context of the routes. */
export interface UsersContext extends PasswordContext {
  log: Log
}
