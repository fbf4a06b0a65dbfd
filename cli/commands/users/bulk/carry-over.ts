import { PROFILE } from '../../../../services/kit/schema/user.ts'
import type { FaultyRecord, ImportLine, Left, TheirRole, UserRecord } from './record.ts'
import { NO_EMAIL } from './record.ts'
import { trimmed } from './repair.ts'

/** A user of another product, in our words; `undefined` where the product says nothing. */
export interface ForeignUser {
  id?: unknown
  email?: unknown
  username?: unknown
  name?: string | undefined
  /** As they are called there. */
  roles?: readonly TheirRole[] | undefined
  /** Whether a flag, and not a role, makes them an administrator there. */
  admin?: boolean | undefined
  disabled?: boolean | undefined
  emailVerified?: boolean | undefined
  createdAt?: string | undefined
  /** Data of the application that users may write there. */
  metadata?: unknown
  /** Data of the application that users may not write there. */
  app_metadata?: unknown
  /** Whether there are further data, which have no place here. */
  attributes?: boolean
  /** `null`: there is none, the user logged in elsewhere. */
  password: PasswordFound
}

export type PasswordFound = { hash: string } | { fault: string } | null

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const USERNAME = /^[a-z0-9_.-]{3,32}$/i

/**
 * Makes a line of an import of a user of another product. What has no place here is left behind, and said so; without
 * an email, or with a hash that can't be checked here, there is no user.
 */
export function carryOver(place: number, found: ForeignUser): UserRecord | FaultyRecord {
  const left: Left[] = []
  const { password, createdAt } = found
  const user: ImportLine = {}
  if (typeof found.id === 'string' && UUID.test(trimmed(found.id))) user.id = found.id
  if (typeof found.email !== 'string' || trimmed(found.email) === '') return { place, fault: NO_EMAIL }
  user.email = found.email
  const username = usernameOf(found.username, found.email)
  if (username === null) left.push('username')
  else if (username !== undefined) user.username = username
  if (found.name) user.name = found.name
  if (found.disabled) user.status = 'disabled'
  if (found.emailVerified !== undefined) user.email_verified = found.emailVerified
  if (createdAt !== undefined)
    if (createdAt === UNREADABLE) left.push('created_at')
    else user.created_at = createdAt
  for (const field of ['metadata', 'app_metadata'] as const) {
    const value = found[field]
    if (Object.keys(object(value)).length === 0) continue
    if (!PROFILE[field].body.check(value)) user[field] = value
    else if (!left.includes('metadata')) left.push('metadata')
  }
  if (found.attributes) left.push('attributes')
  if (password && 'fault' in password) return { place, fault: password.fault, user }
  if (password) user.password_hash = password.hash
  else left.push('password')
  const theirs = { roles: found.roles ?? [], admin: found.admin ?? false }
  return left.length > 0 ? { place, user, left, theirs } : { place, user, theirs }
}

/** `undefined`: there is none, or it says no more than the email; `null`: it can't be one here. */
function usernameOf(found: unknown, email: string): string | null | undefined {
  if (typeof found !== 'string') return undefined
  const username = trimmed(found)
  if (username === '' || username.toLowerCase() === trimmed(email).toLowerCase()) return undefined
  return USERNAME.test(username) ? found : null
}

/** The claims that `rolesInClaims` reads. */
export const ROLE_CLAIMS = ['roles', 'role', 'admin']

/** What the claims of a user say of roles: `roles: ["editor"]`, `role: "editor"`, `admin: true`. */
export function rolesInClaims(claims: unknown): string[] {
  const { roles, role, admin } = object(claims)
  return [...roleNames(roles), ...roleNames(role), ...(admin === true ? ['admin'] : [])]
}

/**
 * The names in a list of roles, in one name, or in an object that has a flag for each. What is no name stands there as
 * its JSON, which fits no role of ours: it is reported, not passed over.
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

/** In brackets what is no text: `null` must not become a role of that name. */
function roleName(value: unknown): string {
  return typeof value === 'string' ? value : `(${JSON.stringify(value)})`
}

/** Stands for a time that is there and can't be read. */
const UNREADABLE = ''

/** Milliseconds, RFC 3339, or what PostgreSQL writes (`2024-05-01 09:30:00.123+00`), as RFC 3339 in UTC. */
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

/** The parts of a name that are there. */
export function fullName(...parts: unknown[]): string | undefined {
  const there = parts.filter((part): part is string => typeof part === 'string' && part.trim() !== '')
  return there.length > 0 ? there.map((part) => part.replace(/^ +| +$/g, '')).join(' ') : undefined
}

export function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** JSON in a text, as databases give it; what is none is nothing. */
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
