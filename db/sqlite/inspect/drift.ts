import type { InspectedDatabase } from './database.ts'

/** A user whose account in auth differs from the record in users. */
export interface Drift {
  id: string
  /**
   * - `behind`, `ahead`: auth has an older, or a newer, version;
   * - `gone`: users has no such user;
   * - `buried`: auth has deleted a user whom users still has.
   */
  kind: 'behind' | 'ahead' | 'gone' | 'buried'
  /** The version in users; null: no such user. */
  users: number | null
  /** The version in auth; null: the account was deleted. */
  auth: number | null
}

interface VersionedRow {
  id: string
  version: number
  deleted?: number
}

/**
 * Compares users with the password cache by id and version, both in the order of ids. A user who is not cached is no
 * drift, since a login fetches them; nor is one about whom a notice still waits.
 */
export function* drifts(users: InspectedDatabase, auth: InspectedDatabase): Generator<Drift> {
  const records = users.raw.query<VersionedRow, []>('SELECT id, version FROM users ORDER BY id').iterate()
  const accounts = auth.raw
    .query<VersionedRow, []>(
      'SELECT user_id AS id, version, deleted FROM accounts WHERE cached = 1 OR deleted = 1 ORDER BY id',
    )
    .iterate()
  const notice = users.raw.query(
    "SELECT 1 FROM outbox WHERE target = 'auth' AND subject = ? AND kind <> 'audit' LIMIT 1",
  )
  let user = next(records)
  let account = next(accounts)
  while (account) {
    while (user && user.id < account.id) user = next(records)
    const record = user?.id === account.id ? user : undefined
    const kind = driftOf(record, account)
    if (kind !== undefined && notice.get(account.id) === null)
      yield { id: account.id, kind, users: record?.version ?? null, auth: account.deleted ? null : account.version }
    account = next(accounts)
  }
}

function driftOf(user: VersionedRow | undefined, account: VersionedRow): Drift['kind'] | undefined {
  if (account.deleted) return user && 'buried'
  if (!user) return 'gone'
  if (user.version === account.version) return undefined
  return user.version > account.version ? 'behind' : 'ahead'
}

function next<T>(rows: Iterator<T>): T | undefined {
  const { done, value } = rows.next()
  return done ? undefined : value
}
