import { PROFILE } from '../../../../../services/kit/schema/user.ts'
import type { FaultyRecord, ImportLine, SkippedField, TheirRole, UserRecord } from './record.ts'
import { NO_EMAIL } from './record.ts'
import { trimmed } from './repair.ts'

/** A user of another product, with our field names; `undefined` if the product has no such field. */
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
  /** `null`: no password, the user logs in through another provider. */
  password: ImportedPassword
}

export type ImportedPassword = { hash: string } | { fault: string } | null

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const USERNAME = /^[a-z0-9_.-]{3,32}$/i

/**
 * Converts a user of another product to an import line. Fields that are not valid here are skipped and reported; a user
 * without an email, or with a hash that cannot be verified here, is refused.
 */
export function normalize(place: number, source: ForeignUser): UserRecord | FaultyRecord {
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
    if (Object.keys(object(value)).length === 0) continue
    if (!PROFILE[field].body.check(value)) user[field] = value
    else if (!skipped.includes('metadata')) skipped.push('metadata')
  }
  if (source.attributes) skipped.push('attributes')
  if (password && 'fault' in password) return { place, fault: password.fault, user }
  if (password) user.password_hash = password.hash
  else skipped.push('password')
  const theirs = { roles: source.roles ?? [], admin: source.admin ?? false }
  return skipped.length > 0 ? { place, user, skipped, theirs } : { place, user, theirs }
}

/** @returns undefined without a username, or if it equals the email; null if it is not valid here */
function usernameOf(source: unknown, email: string): string | null | undefined {
  if (typeof source !== 'string') return undefined
  const username = trimmed(source)
  if (username === '' || username.toLowerCase() === trimmed(email).toLowerCase()) return undefined
  return USERNAME.test(username) ? source : null
}

/** The claims that `rolesInClaims` reads. */
export const ROLE_CLAIMS = ['roles', 'role', 'admin']

/** Reads the roles in a user's claims: `roles: ["editor"]`, `role: "editor"`, `admin: true`. */
export function rolesInClaims(claims: unknown): string[] {
  const { roles, role, admin } = object(claims)
  return [...roleNames(roles), ...roleNames(role), ...(admin === true ? ['admin'] : [])]
}

/**
 * Role names in a list, in a single name, or in an object with a flag for each. Any other value becomes its JSON, which
 * is not a valid role: it is reported rather than ignored.
 */
export function roleNames(value: unknown): string[] {
  if (value === undefined || value === null || value === '') return []
  if (Array.isArray(value)) return value.filter((name) => name !== '').map(roleName)
  if (typeof value !== 'object') return [roleName(value)]
  return Object.entries(value).flatMap(([name, has]) => {
    if (has === false || has === null) return []
    return has === true ? [name] : [roleName({ [name]: has })]
  })
}

/** Puts values other than strings in parentheses: `null` must not become a role named NULL. */
function roleName(value: unknown): string {
  return typeof value === 'string' ? value : `(${JSON.stringify(value)})`
}

/** Marks a time that cannot be parsed. */
const UNREADABLE = ''

/** Converts milliseconds, RFC 3339 or PostgreSQL's form (`2024-05-01 09:30:00.123+00`) to RFC 3339 in UTC. */
export function timeOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'number' || (typeof value === 'string' && /^\d{10,}$/.test(value))) return iso(Number(value))
  if (typeof value !== 'string') return UNREADABLE
  const text = value.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')
  return iso(Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(text) || !text.includes('T') ? text : `${text}Z`))
}

function iso(milliseconds: number): string {
  const time = new Date(milliseconds)
  return Number.isNaN(time.getTime()) ? UNREADABLE : time.toISOString()
}

/** Joins the parts of a name that are not empty. */
export function fullName(...parts: unknown[]): string | undefined {
  const present = parts.filter((part): part is string => typeof part === 'string' && part.trim() !== '')
  return present.length > 0 ? present.map((part) => part.replace(/^ +| +$/g, '')).join(' ') : undefined
}

export function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** Parses JSON in a string, as database exports contain it; {} if it is not valid. */
export function objectIn(value: unknown): Record<string, unknown> {
  if (typeof value !== 'string') return object(value)
  try {
    return object(JSON.parse(value))
  } catch {
    return {}
  }
}

export function flagOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 't') return true
  return value === 'false' || value === 'f' ? false : undefined
}
