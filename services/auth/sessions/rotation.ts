import type { Account, Rotation, Session } from '../store/index.ts'

/** A session with the count of its refreshes. */
export interface RefreshableSession extends Session {
  /** When the window began in which `refreshes` are counted. */
  refreshesSince: number
  refreshes: number
}

export type RotationDecision =
  /** The session to store. `repeated`: the lost answer to the last rotation is given again. */
  | { outcome: 'rotated' | 'repeated'; session: RefreshableSession; account: Account }
  /** A token was used twice: the session must end. */
  | { outcome: 'reused' }
  /** Too many refreshes. `until`: when the next is allowed */
  | { outcome: 'limited'; until: number }
  /** The session does not exist, or has ended. */
  | { outcome: 'gone' }

/** Whether a session may be used: it has not expired, and no change of its account has ended it. */
export function isUsable(session: Session, account: Account | undefined, now: number): account is Account {
  return (
    account?.status === 'active' &&
    session.version >= account.sessionsFrom &&
    now < session.expiresAt &&
    now < session.endsAt
  )
}

/**
 * Decides what a refresh token does to its session (RFC 9700, 4.14.2). The current token rotates. The one before it, when
 * presented within the grace period, gets the same answer again; any older one is a reuse.
 * @param session undefined: it does not exist
 * @param account the account of the session; undefined: it does not exist, or was deleted
 */
export function decideRotation(
  session: RefreshableSession | undefined,
  account: Account | undefined,
  rotation: Rotation,
): RotationDecision {
  const { counter, now } = rotation
  if (!session || counter > session.counter || !isUsable(session, account, now)) return { outcome: 'gone' }

  const rotationsSince = session.counter - counter
  const isRepeat = rotationsSince === 1 && timeSinceRotation(session, now) <= rotation.grace
  if (rotationsSince > 0 && !isRepeat) return { outcome: 'reused' }

  const refreshes = countRefresh(session, rotation)
  if ('until' in refreshes) return { outcome: 'limited', until: refreshes.until }
  const accessUntil = Math.max(session.accessUntil, rotation.accessUntil)
  if (isRepeat) return { outcome: 'repeated', session: { ...session, ...refreshes, accessUntil }, account }
  return {
    outcome: 'rotated',
    session: {
      ...session,
      ...refreshes,
      accessUntil,
      counter: counter + 1,
      rotatedAt: now,
      lastUsedAt: now,
      expiresAt: Math.min(rotation.expiresAt, session.endsAt),
    },
    account,
  }
}

/** Milliseconds since the last rotation. A clock that was set back ends the grace period: no token becomes young again. */
function timeSinceRotation({ rotatedAt }: Session, now: number): number {
  return now < rotatedAt ? Number.POSITIVE_INFINITY : now - rotatedAt
}

type RefreshCount = Pick<RefreshableSession, 'refreshes' | 'refreshesSince'>

/** Counts a refresh in the current window, or begins a new one. @returns `until`: the end of a window that is full */
function countRefresh(session: RefreshableSession, { limit, now }: Rotation): RefreshCount | { until: number } {
  const { refreshes, refreshesSince } = session
  if (limit === undefined || now < refreshesSince || now >= refreshesSince + limit.window)
    return { refreshes: 1, refreshesSince: now }
  if (refreshes >= limit.most) return { until: refreshesSince + limit.window }
  return { refreshes: refreshes + 1, refreshesSince }
}
