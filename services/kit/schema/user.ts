import { type Static, t } from 'elysia'
import { mistyped } from '../field-errors.ts'
import {
  checked,
  email,
  flag,
  integer,
  listOf,
  matching,
  nullable,
  oneFieldAtMost,
  oneFieldOf,
  oneOf,
  strict,
  text,
  time,
  trimmed,
} from './schema.ts'

// The shapes of a user that several services share: those of the API, and the record that auth caches.

/** A new password. Its minimum length is a setting, so the password policy checks it. */
export const newPassword = text({ most: 256, controls: true, examples: ['correct horse battery'] })
/** A password to verify: any text that can be a password. */
export const password = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
export const name = nullable(text({ most: 200, examples: ['Ana'] }))
export const status = oneOf('active', 'disabled')

const USERNAME_MIN = 3
const USERNAME_MAX = 32
const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** Checked in lower case. */
export const username = nullable(
  checked<string>({ type: 'string', pattern: '^[A-Za-z0-9_.-]{3,32}$', examples: ['ana'] }, (value) => {
    if (typeof value !== 'string') return mistyped('a string')
    if (USERNAME.test(value.toLowerCase())) return undefined
    const message = 'must be 3 to 32 letters, digits, dots, dashes or underscores'
    if (value.length < USERNAME_MIN) return { code: 'too_short', message, limit: USERNAME_MIN }
    if (value.length > USERNAME_MAX) return { code: 'too_long', message, limit: USERNAME_MAX }
    return { code: 'pattern', message }
  }),
)

export const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { examples: ['USER'] },
)
const roles = listOf(role, 32)

export const passwordHash = text({ least: 1, most: 512 })

export const userRead = strict({
  id: t.String({ format: 'uuid' }),
  email: t.String(),
  username: t.Nullable(t.String()),
  name: t.Nullable(t.String()),
  roles: t.Array(t.String()),
  status: t.Union([t.Literal('active'), t.Literal('disabled')]),
  email_verified: t.Boolean(),
  /** Whether the user has a password to log in with. */
  has_password: t.Boolean(),
  created_at: time(),
  updated_at: time(),
})
export type UserRead = Static<typeof userRead>

export const operatorFields = {
  roles: t.Optional(roles),
  status: t.Optional(status),
  email_verified: t.Optional(flag()),
}

const creation = {
  email: trimmed(email()),
  password: t.Optional(newPassword),
  username: t.Optional(trimmed(username)),
  name: t.Optional(name),
  ...operatorFields,
  password_hash: t.Optional(passwordHash),
}
const examples = [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }]

export const userCreate = strict(creation, {
  description:
    'Only operators may set roles, status, email_verified or password_hash, or omit the password. A user without a password sets the first one by a password reset',
  ...oneFieldAtMost('password', 'password_hash'),
  examples,
})
export type UserCreate = Static<typeof userCreate>

/** `userCreate` for a user who logs in at once. */
export const registration = strict(creation, { ...oneFieldOf('password', 'password_hash'), examples })

const { id, ...withoutId } = userRead.properties
/** A record of auth's password cache. */
export const passwordRecord = strict({
  user_id: id,
  ...withoutId,
  /** Null when the user has no password. */
  password_hash: t.Nullable(t.String()),
  password_version: integer(),
})
export type PasswordRecord = Static<typeof passwordRecord>

/**
 * The credentials of version 0.0.1 of the API. The operators' fields are part of the schema, so that other callers get
 * `forbidden_field` as everywhere else, and not an unknown field.
 */
export const credentialsV0 = strict(
  { email: trimmed(email()), password: newPassword, ...operatorFields, password_hash: t.Optional(passwordHash) },
  { examples: [{ email: 'ana@example.org', password: 'correct horse battery' }] },
)

export const userV0 = strict({ id: t.String({ format: 'uuid' }), email: t.String(), roles: t.Array(t.String()) })
