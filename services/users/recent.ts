import { requireAssurance } from '../kit/access/recent.ts'
import type { Caller } from '../kit/caller.ts'
import type { AssuredContext } from './context.ts'

/**
 * Refuses a user who authenticated too long ago for what they ask, or without the second factor that they have.
 * @throws Problem `reauthentication_required`; `auth_unavailable` when auth must be asked and cannot be reached
 */
export function requireRecentUser(
  {
    clock,
    config,
    lacksSecondFactor,
  }: Pick<AssuredContext, 'clock' | 'lacksSecondFactor'> & {
    config: Pick<AssuredContext['config'], 'reauthMaxAge'>
  },
  caller: Caller,
): Promise<void> {
  return requireAssurance(caller, { maxAge: config.reauthMaxAge, now: clock.now(), lacksSecondFactor })
}
