import { DAY, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import type { MailKind, MailRequest } from '../store/index.ts'
import type { MailOutcome, MailReason } from './outcome.ts'

// When a failed mail is retried, and when it expires: rules without input or output. Times are milliseconds.

/** The longest delay between two attempts. A later time was set by a clock that ran ahead. */
export const LONGEST_DELAY = HOUR

/** How long a mail is useful after it was requested. */
const LIFETIME: Record<MailKind, number> = {
  password_reset: 30 * MINUTE,
  email_verification: DAY,
  email_code: 10 * MINUTE,
  email_change: HOUR,
  email_changed: DAY,
  invitation: DAY,
  device: 10 * MINUTE,
  notice: DAY,
}

/** A failed attempt. `not_composed`: it failed before a mail server was asked, or while the file was written. */
export interface Failure {
  outcome: Exclude<MailOutcome, 'sent'>
  reason: MailReason | 'not_composed'
}

/**
 * Returns the delay before the next attempt. It doubles each time, up to a third of the mail's lifetime, so that there
 * are several attempts. It starts with a second when the server was not reached, with half a minute when the server
 * deferred the mail or may have accepted it (greylisting), with five minutes when an operator must fix something.
 */
export function retryDelay({ outcome, reason }: Failure, { kind, tries }: Pick<MailRequest, 'kind' | 'tries'>): number {
  const wasNotReached = reason === 'unreachable' || reason === 'not_composed'
  const [first, longest] = wasNotReached
    ? [SECOND, MINUTE]
    : [outcome === 'misconfigured' ? 5 * MINUTE : 30 * SECOND, LONGEST_DELAY]
  return Math.min(first * 2 ** Math.min(tries, 16), longest, LIFETIME[kind] / 3)
}

/** Returns when a mail expires, in milliseconds since the epoch. */
export function expiryOf({ data, kind, requestedAt }: Pick<MailRequest, 'kind' | 'requestedAt' | 'data'>): number {
  return (data.retriedAt ?? requestedAt) + LIFETIME[kind]
}
