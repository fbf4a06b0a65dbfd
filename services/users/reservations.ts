import { DAY } from '../kit/clock.ts'
import { emailKey } from '../kit/schema/email.ts'
import type { Reservation, User } from './store.ts'

/** Milliseconds that an earlier email stays reserved: as long as the link that undoes the change. */
const LIFETIME = 7 * DAY

/** The reservation of the email that a change takes from a user; null if nobody had proved that it is theirs. */
export function reservationBy(
  before: Pick<User, 'email' | 'emailVerified'>,
  after: Pick<User, 'id' | 'email' | 'updatedAt'>,
): Reservation | null {
  const key = emailKey(before.email)
  if (!before.emailVerified || key === emailKey(after.email)) return null
  return { emailKey: key, userId: after.id, until: after.updatedAt + LIFETIME }
}
