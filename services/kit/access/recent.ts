import type { Caller } from '../caller.ts'
import { Problem } from '../problem.ts'

/**
 * Refuses a user who authenticated too long ago for what they ask. Keys belong to no user, and have no such limit.
 * @param maxAge milliseconds; undefined: no limit
 * @param now milliseconds since the epoch
 * @throws Problem `reauthentication_required`, with the challenge of RFC 9470
 */
export function requireRecent(
  { authTime, userId }: Pick<Caller, 'authTime' | 'userId'>,
  maxAge: number | undefined,
  now: number,
): void {
  if (userId === null || maxAge === undefined || now - (authTime ?? 0) * 1000 <= maxAge) return
  const seconds = Math.floor(maxAge / 1000)
  throw new Problem('reauthentication_required', {
    authenticate: `Bearer error="insufficient_user_authentication", max_age=${seconds}`,
  })
}
