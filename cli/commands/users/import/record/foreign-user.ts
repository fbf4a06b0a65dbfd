import { PROFILE } from '../../../../../services/kit/schema/user.ts'
import { fieldsOf, UNREADABLE } from './field-values.ts'
import type { ImportedFactors } from './imported-factor.ts'
import type { FaultyRecord, ImportLine, SkippedField, TheirRole, UserRecord } from './record.ts'
import { NO_EMAIL } from './record.ts'
import { trimmed } from './repair.ts'

/** A user of another product, with our field names; a field that the product does not have is missing. */
export interface ForeignUser {
  id?: unknown
  email?: unknown
  username?: unknown
  name?: string | undefined
  /** Role names in the other product. */
  roles?: readonly TheirRole[] | undefined
  /** Whether a flag, not a role, makes the user an administrator there. */
  admin?: boolean | undefined
  disabled?: boolean | undefined
  emailVerified?: boolean | undefined
  createdAt?: string | undefined
  /** Data of the application that users may write there. */
  metadata?: unknown
  /** Data of the application that users may not write there. */
  app_metadata?: unknown
  /** Whether there is further data that Ch202 has no field for. */
  attributes?: boolean
  factors?: ImportedFactors
  /** Null if the user logs in through another provider. */
  password: ImportedPassword
}

/** The password of a user: a hash that the API accepts, why there is no such hash, or null without a password. */
export type ImportedPassword = { hash: string } | { fault: string } | null

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const USERNAME = /^[a-z0-9_.-]{3,32}$/i

/**
 * Converts a user of another product to an import line. Fields that are not valid here are skipped and reported; a user
 * without an email, or with a hash that cannot be verified here, is refused.
 */
export function importRecordOf(place: number, source: ForeignUser): UserRecord | FaultyRecord {
  const skipped: SkippedField[] = []
  const { password, createdAt } = source
  const user: ImportLine = {}
  if (typeof source.id === 'string' && UUID.test(trimmed(source.id))) user.id = source.id
  if (typeof source.email !== 'string' || trimmed(source.email) === '') return { place, fault: NO_EMAIL }
  user.email = source.email
  const username = usernameOf(source.username, source.email)
  if (username === null) skipped.push('username')
  else if (username !== undefined) user.username = username
  if (source.name) user.name = source.name
  if (source.disabled) user.status = 'disabled'
  if (source.emailVerified !== undefined) user.email_verified = source.emailVerified
  if (createdAt !== undefined)
    if (createdAt === UNREADABLE) skipped.push('created_at')
    else user.created_at = createdAt
  for (const field of ['metadata', 'app_metadata'] as const) {
    const value = source[field]
    if (Object.keys(fieldsOf(value)).length === 0) continue
    if (!PROFILE[field].body.check(value)) user[field] = value
    else if (!skipped.includes('metadata')) skipped.push('metadata')
  }
  if (source.attributes) skipped.push('attributes')
  if (source.factors?.hasOthers) skipped.push('factor_kind')
  if (password && 'fault' in password) return { place, fault: password.fault, user }
  if (password) user.password_hash = password.hash
  else skipped.push('password')
  const theirs = { roles: source.roles ?? [], admin: source.admin ?? false }
  const { apps = [] } = source.factors ?? {}
  return { place, user, ...(skipped.length > 0 && { skipped }), ...(apps.length > 0 && { apps }), theirs }
}

/** @returns undefined without a username, or if it equals the email; null if it is not valid here */
function usernameOf(source: unknown, email: string): string | null | undefined {
  if (typeof source !== 'string') return undefined
  const username = trimmed(source)
  if (username === '' || username.toLowerCase() === trimmed(email).toLowerCase()) return undefined
  return USERNAME.test(username) ? source : null
}
