import type { Fields } from '../text/raw-record.ts'

// Reads the values in other products' records, whatever their form.

/** The claims that `rolesInClaims` reads. */
export const ROLE_CLAIMS = ['roles', 'role', 'admin']

/** Reads the roles in a user's claims: `roles: ["editor"]`, `role: "editor"`, `admin: true`. */
export function rolesInClaims(claims: unknown): string[] {
  const { roles, role, admin } = fieldsOf(claims)
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

/** The result of `timeOf` for a time that cannot be read. */
export const UNREADABLE = ''

/**
 * Converts a time to RFC 3339 in UTC: milliseconds since 1970, RFC 3339 or PostgreSQL's form
 * (`2024-05-01 09:30:00.123+00`). A time without a zone is in UTC.
 * @returns undefined without a value; `UNREADABLE` for one that is not a time
 */
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

/** The fields of an object; {} for any other value. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

/** The fields of an object that may be written as JSON in a string, as in database exports; {} if it is not valid. */
export function fieldsInJson(value: unknown): Fields {
  if (typeof value !== 'string') return fieldsOf(value)
  try {
    return fieldsOf(JSON.parse(value))
  } catch {
    return {}
  }
}

/** Reads a boolean, or its text as JSON (`true`) or PostgreSQL (`t`) write it; undefined for any other value. */
export function booleanOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 't') return true
  return value === 'false' || value === 'f' ? false : undefined
}
