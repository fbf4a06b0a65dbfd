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
  throw new Problem('reauthentication_required', { authenticate: `${INSUFFICIENT}, max_age=${seconds}` })
}

const INSUFFICIENT = 'Bearer error="insufficient_user_authentication"'

/** The problem of a user who has a second factor, or must have one, and has not shown it in this session. */
export function secondFactorMissing(): Problem {
  return new Problem('reauthentication_required', {
    message: 'Log in again to do this, with a second factor',
    authenticate: INSUFFICIENT,
  })
}

/** Whether a session lacks the second factor that its user has. */
export type LacksSecondFactor = (session: { sessionId: string; requestId: string }) => Promise<boolean>

/**
 * Refuses a user who authenticated too long ago for what they ask, or without the second factor that they have.
 * @param maxAge milliseconds; undefined: no limit, and no second factor is asked for
 * @param now milliseconds since the epoch
 * @param lacksSecondFactor is asked only about a token that shows no second factor
 * @throws Problem `reauthentication_required`
 */
export async function requireAssurance(
  caller: Pick<Caller, 'amr' | 'authTime' | 'requestId' | 'sessionId' | 'userId'>,
  { lacksSecondFactor, maxAge, now }: { maxAge: number | undefined; now: number; lacksSecondFactor: LacksSecondFactor },
): Promise<void> {
  const { amr, requestId, sessionId } = caller
  requireRecent(caller, maxAge, now)
  if (maxAge === undefined || sessionId === null || amr.includes('mfa')) return
  if (await lacksSecondFactor({ sessionId, requestId })) throw secondFactorMissing()
}
