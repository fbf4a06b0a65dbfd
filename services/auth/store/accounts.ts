import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { PageRequest, Slice } from '../../kit/schema/page.ts'
import type { OpaqueProfile } from '../../kit/schema/user.ts'
import type { Ended } from './revocations.ts'

/** A row of the password cache: auth's copy of a user. Times are milliseconds since the epoch. */
export interface Account {
  userId: string
  email: string
  username: string | null
  roles: string[]
  status: 'active' | 'disabled'
  emailVerified: boolean
  /** The fields that no login reads. */
  profile: OpaqueProfile
  /** Null: the user has no password. Empty: auth does not have the hash (see `cached`). */
  passwordHash: string | null
  version: number
  /** Sessions opened from an older version have ended. */
  sessionsFrom: number
  /** Access tokens issued from an older version are revoked. */
  tokensFrom: number
  /** Second factors that were added before this version are void. */
  factorsFrom: number
  syncedAt: number
  /** Whether the row serves logins. False after the account was dropped from the cache: the next login asks users. */
  cached: boolean
}

/**
 * A user as the users service sends them. `marks` state what the changes up to this version ended; without them the store
 * derives that from the difference between the old and the new record.
 */
export type SyncedAccount = Omit<Account, 'sessionsFrom' | 'tokensFrom' | 'factorsFrom' | 'syncedAt' | 'cached'> & {
  marks?: {
    sessionsFrom: number
    sessionKept: string | null
    allSessionsFrom: number
    tokensFrom: number
    /** Absent: none. */
    factorsFrom?: number
  }
}

/** The result of storing a synced account. */
export interface CacheSync {
  outcome: 'synced' | 'unchanged'
  ended: Ended
  /** Whether someone set or changed the password. False when the same password was only rehashed. */
  newPassword: boolean
}

/** The password cache. */
export interface AccountStore {
  accountById(userId: string): Promise<Account | null>
  /** Ignores the case of letters. Finds dropped accounts too: their ids are still valid. */
  accountByEmail(email: string): Promise<Account | null>
  accountByUsername(username: string): Promise<Account | null>
  /** Stores a user unless the stored version is newer or the user is deleted, and ends what the change ends. */
  syncAccount(account: SyncedAccount, now: number, event: (type: string) => AuditEvent): Promise<CacheSync>
  /** Ends all sessions and tokens of a user permanently. */
  deleteAccount(userId: string, now: number, event: (type: string) => AuditEvent): Promise<Ended>
  /** Drops an account from the cache; its sessions stay. Returns false when the cache does not hold the account. */
  dropAccount(userId: string, event: AuditEvent): Promise<boolean>
  /** @param search part of the email or the username; case and accents are ignored */
  listAccounts(search: string | undefined, request: PageRequest): Promise<Slice<Account>>
  /** Returns the ids of cached accounts after `after`, in order. */
  cachedIds(after: string, limit: number): Promise<string[]>
  countAccounts(): Promise<number>
}
