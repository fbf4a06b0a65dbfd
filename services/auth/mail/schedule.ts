import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import type { MailKind, MailRequest } from '../store/index.ts'
import type { MailOutcome, MailReason } from './outcome.ts'

export const LONGEST_PAUSE = HOUR

/** How long a mail is of use when it can't be sent at once, in milliseconds. */
const LIFETIME: Record<MailKind, number> = { password_reset: 30 * MINUTE, email_changed: DAY }

/** Why an attempt failed. `not_composed`: before a mail server was asked, or where files take its place. */
export interface Failure {
  outcome: Exclude<MailOutcome, 'sent'>
  reason: MailReason | 'not_composed'
}

/**
 * How long after an attempt the next one is made, in milliseconds: doubled each time, up to a third of the mail's life, so
 * that there are several. A server that was not reached is asked again soon; one that deferred the mail, or may have
 * taken it, after half a minute (greylisting); what an operator has to change, after minutes.
 */
export function pauseAfter({ outcome, reason }: Failure, { kind, tries }: MailRequest): number {
  const isNearby = reason === 'unreachable' || reason === 'not_composed'
  const [first, longest] = isNearby
    ? [SECOND, MINUTE]
    : [outcome === 'misconfigured' ? 5 * MINUTE : 30 * SECOND, LONGEST_PAUSE]
  return Math.min(first * 2 ** Math.min(tries, 16), longest, LIFETIME[kind] / 3)
}

/** When a mail is of no use any more, in milliseconds since the epoch. */
export function expiryOf({ kind, requestedAt }: MailRequest): number {
  return requestedAt + LIFETIME[kind]
}
