import type { Caller } from '../../kit/caller.ts'
import { SECOND } from '../../kit/clock.ts'
import type { Hasher, PasswordMatch } from '../../kit/passwords/hasher.ts'
import { isEmail } from '../../kit/schema/email.ts'
import type { PasswordRecord } from '../../kit/schema/user.ts'
import { withTimeout } from '../../kit/timeout.ts'
import { type SyncContext, syncUser } from '../accounts/sync.ts'
import type { UsersPeer } from '../peers.ts'
import type { Account } from '../store/index.ts'
import type { LoginIdentifier } from './identifier.ts'

export type CredentialsContext = SyncContext & {
  hasher: Hasher
  users: Pick<UsersPeer, 'passwordRecord' | 'verifyCredentials'>
}

/** The username of the decoy call to users. No user can have it; users answers as for any other unknown name. */
const DECOY_USERNAME = '!'
/** The longest time (ms) to wait for the decoy call, which only equalizes timing. */
const DECOY_PATIENCE = SECOND

/** The account whose password was right. */
export interface CheckedPassword {
  account: Account
  /** Whether the hash of the password is outdated. */
  rehash: boolean
}

interface Credentials {
  /** The account in the cache; it may have been dropped. */
  account: Account | null
  identifier: LoginIdentifier
  password: string
}

/**
 * Checks a password against the cache, or against users when the cache does not hold the account.
 *
 * Unknown users and wrong passwords take the same time: in either case one hash is computed here while one call goes to
 * users, a decoy when the cache holds the account. A right password waits only for the hash.
 * @returns null when the user is unknown or the password is wrong
 * @throws Problem `users_unavailable`, `overloaded`
 */
export async function checkPassword(
  context: CredentialsContext,
  { account, identifier, password }: Credentials,
  caller: Caller,
): Promise<CheckedPassword | null> {
  if (account?.cached) {
    context.cacheStatistics.hits++
    return await checkWithCache(context, account, password, caller)
  }
  context.cacheStatistics.misses++
  return await checkWithUsers(context, identifier, password, caller)
}

/** Checks a password against the hash in the cache. */
async function checkWithCache(
  { hasher, users }: CredentialsContext,
  account: Account,
  password: string,
  caller: Caller,
): Promise<CheckedPassword | null> {
  const { passwordHash } = account
  // The decoy call is as long as a real one, and does not contain the password.
  const decoyPassword = 'x'.repeat(password.length)
  const [verification, decoyCall] = await startFirst(
    () => (passwordHash === null ? hashDecoy(hasher, password) : hasher.verify(password, passwordHash)),
    () => users.verifyCredentials(DECOY_USERNAME, decoyPassword, caller.requestId).catch(() => null),
  )
  const match = await verification
  if (match) return { account, rehash: match.rehash }
  await withTimeout(decoyCall, DECOY_PATIENCE)
  return null
}

/** Lets users check a password, and stores the record of a match in the cache. */
async function checkWithUsers(
  context: CredentialsContext,
  { by, name }: LoginIdentifier,
  password: string,
  caller: Caller,
): Promise<CheckedPassword | null> {
  const { hasher, store, users } = context
  // The users service decides by the form of a name whether it is an email. A name in the wrong field of the login must
  // match nobody: otherwise the failures of one account would be counted under two keys.
  const isInRightField = isEmail(name) === (by === 'email')
  const [decoy, call] = await startFirst(
    () => hasher.verifyDecoy(password),
    async () => (isInRightField ? await users.verifyCredentials(name, password, caller.requestId) : null),
  )
  const [user] = await Promise.all([call, decoy])
  const record = user && (await users.passwordRecord(user.id, caller.requestId))
  const match = record && (await matchRecord(hasher, record, password))
  if (!match) return null
  await syncUser(context, record, caller)
  const current = await store.accountById(record.user_id)
  return current?.passwordHash === record.password_hash ? { account: current, rehash: match.rehash } : null
}

/**
 * Compares the password with a record. The user may have changed the password after users checked it, so it must match
 * the record that was fetched afterwards.
 */
async function matchRecord(
  hasher: Hasher,
  { password_hash }: PasswordRecord,
  password: string,
): Promise<PasswordMatch | null> {
  return password_hash === null ? null : await hasher.verify(password, password_hash)
}

/** Does the work of a failing check for an account without a password. Matches nothing. */
async function hashDecoy(hasher: Hasher, password: string): Promise<null> {
  await hasher.verifyDecoy(password)
  return null
}

/**
 * Starts `first`, then `second`, and returns both promises. The hash must start before the call to users is built:
 * building it takes a time that differs between known and unknown users, and would show in the response time.
 */
async function startFirst<A, B>(
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<[first: Promise<A>, second: Promise<B>]> {
  const started = first()
  await Promise.resolve()
  return [started, second()]
}
