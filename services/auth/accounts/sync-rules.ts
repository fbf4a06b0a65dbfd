import { emailKey } from '../../kit/schema/email.ts'
import type { RevocationReason } from '../../kit/schema/events.ts'
import type { Account, Session, SyncedAccount } from '../store/index.ts'

/** An account as it is stored. A deleted user stays as a tombstone. */
export interface StoredAccount extends Account {
  deleted: boolean
}

/** The session that a change keeps, if its version is at least `since`. */
export interface KeptSession {
  id: string
  since: number
}

export interface SyncDecision {
  /** `synced`: the record was newer than the account. */
  outcome: 'synced' | 'unchanged'
  /** The account to store; null: nothing changes. */
  account: Account | null
  /** Whether to revoke the access tokens of an older version than `account.tokensFrom`. */
  revokesTokens: boolean
  /** How to end the sessions of an older version than `account.sessionsFrom`; null: no session ends. */
  endsSessions: { reason: RevocationReason; except: KeptSession | null } | null
  /** Whether to void the codes and links that were mailed to the user. */
  voidsChallenges: boolean
  /** Whether the second factors that the user has are void. */
  voidsFactors: boolean
  /** Whether the user has another password: a new hash of the same password does not count. */
  newPassword: boolean
}

const UNCHANGED: SyncDecision = {
  outcome: 'unchanged',
  account: null,
  revokesTokens: false,
  endsSessions: null,
  voidsChallenges: false,
  voidsFactors: false,
  newPassword: false,
}

/**
 * Decides what a user's record changes in the password cache, and what that ends. Records may arrive late, twice and out
 * of order: an older one may still end sessions, but never changes the account.
 * @param before the stored account; undefined: the cache has never held the user
 */
export function decideSync(before: StoredAccount | undefined, synced: SyncedAccount, now: number): SyncDecision {
  // Deletion is final: ids are never reused.
  if (before?.deleted) return UNCHANGED
  const { marks, ...user } = synced
  const isNewer = !before || user.version > before.version || (user.version === before.version && !before.cached)
  const previous = {
    sessionsFrom: before?.sessionsFrom ?? 0,
    tokensFrom: before?.tokensFrom ?? 0,
    factorsFrom: before?.factorsFrom ?? 0,
  }
  const ends = marks ?? inferMarks(before, user)
  const sessionsFrom = Math.max(ends.sessionsFrom, previous.sessionsFrom)
  const tokensFrom = Math.max(ends.tokensFrom, previous.tokensFrom)
  const factorsFrom = Math.max(ends.factorsFrom ?? 0, previous.factorsFrom)
  const endsSessions = sessionsFrom > previous.sessionsFrom
  const revokesTokens = tokensFrom > previous.tokensFrom
  const voidsFactors = before !== undefined && factorsFrom > previous.factorsFrom
  if (!isNewer && !endsSessions && !revokesTokens && !voidsFactors) return UNCHANGED

  const next = isNewer ? { ...user, cached: true, syncedAt: now } : withoutDeleted(before)
  const account: Account = { ...next, sessionsFrom, tokensFrom, factorsFrom }
  const hashChanged = before !== undefined && account.passwordHash !== before.passwordHash
  return {
    outcome: isNewer ? 'synced' : 'unchanged',
    account,
    revokesTokens: before !== undefined && revokesTokens,
    endsSessions:
      before !== undefined && endsSessions
        ? { reason: reasonOf(account, hashChanged), except: keptSession(account, marks) }
        : null,
    voidsChallenges: endsSessions || (before !== undefined && emailKey(before.email) !== emailKey(account.email)),
    voidsFactors,
    // Disabling ends sessions too, and leaves the hash.
    newPassword: endsSessions && hashChanged,
  }
}

/** Splits the sessions opened before `version` into those that end and the one that is kept, if any. */
export function sessionsEndedBy<T extends Pick<Session, 'id' | 'version'>>(
  sessions: readonly T[],
  { except, version }: { version: number; except: KeptSession | null },
): { ended: T[]; survivor: T | undefined } {
  const older = sessions.filter((session) => session.version < version)
  const survivor = older.find((session) => session.id === except?.id && session.version >= except.since)
  return { ended: older.filter((session) => session !== survivor), survivor }
}

type Marks = Pick<NonNullable<SyncedAccount['marks']>, 'sessionsFrom' | 'tokensFrom' | 'factorsFrom'>

/** Infers the marks from the difference between the records, when users did not send them. */
function inferMarks(before: StoredAccount | undefined, user: Omit<SyncedAccount, 'marks'>): Marks {
  // A user who is new here has no older session. The mark keeps a late record of an older version from ending any.
  if (!before) return { sessionsFrom: user.version, tokensFrom: 0 }
  if (user.version <= before.version) return { sessionsFrom: 0, tokensFrom: 0 }
  const disabled = user.status === 'disabled' && before.status !== 'disabled'
  const otherPassword = before.passwordHash !== '' && user.passwordHash !== before.passwordHash
  const otherRoles = JSON.stringify(user.roles) !== JSON.stringify(before.roles)
  return {
    sessionsFrom: disabled || otherPassword ? user.version : 0,
    tokensFrom: otherRoles ? user.version : 0,
  }
}

/**
 * Returns the reason to publish for ended sessions. A late record may stand for several changes: if the user was disabled
 * and enabled again, the status is active and the hash the same.
 */
function reasonOf({ status }: Account, hashChanged: boolean): RevocationReason {
  return status === 'active' && hashChanged ? 'password_changed' : 'account_disabled'
}

/** Returns the session that a change keeps; null when it keeps no session, or the user may not log in. */
function keptSession({ status }: Account, marks: SyncedAccount['marks']): KeptSession | null {
  const id = status === 'active' ? marks?.sessionKept : null
  return id ? { id, since: marks?.allSessionsFrom ?? 0 } : null
}

function withoutDeleted({ deleted, ...account }: StoredAccount): Account {
  return account
}
