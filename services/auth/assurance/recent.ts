import { type LacksSecondFactor, requireAssurance } from '../../kit/access/recent.ts'
import type { Caller } from '../../kit/caller.ts'
import type { Clock } from '../../kit/clock.ts'
import type { Config } from '../../kit/process/config.ts'
import type { FactorStore, SessionStore } from '../store/index.ts'

export interface RecentContext {
  store: Pick<FactorStore, 'secondFactorMethods'> & Pick<SessionStore, 'sessionById'>
  clock: Clock
  config: Pick<Config, 'reauthMaxAge'>
}

/**
 * Refuses a user who authenticated too long ago for what they ask, or without the second factor that they have.
 * @throws Problem `reauthentication_required`
 */
export function requireRecentUser(context: RecentContext, caller: Caller): Promise<void> {
  const { clock, config } = context
  return requireAssurance(caller, {
    maxAge: config.reauthMaxAge,
    now: clock.now(),
    lacksSecondFactor: lacksSecondFactor(context),
  })
}

/**
 * Returns the function that asks whether a session lacks the second factor of its user. It reads the session: a factor that
 * was just added counts before the next refresh.
 */
export function lacksSecondFactor({ store }: Pick<RecentContext, 'store'>): LacksSecondFactor {
  return async ({ sessionId }) => {
    const session = await store.sessionById(sessionId)
    if (!session) return true
    if (session.amr.includes('mfa')) return false
    return (await store.secondFactorMethods(session.userId)).length > 0
  }
}
