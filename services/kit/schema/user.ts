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

// What more than one service says of a user: the shapes of the API's second section, and the record that auth keeps.

/** A password that is being set. Its least length is a setting, so it is checked with the rest of the policy. */
export const newPassword = text({ most: 256, controls: true, examples: ['correct horse battery'] })
/** A password that is being checked: whatever was typed, as long as it can be one. */
export const password = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
export const name = nullable(text({ most: 200, examples: ['Ana'] }))
export const status = oneOf('active', 'disabled')

const USERNAME_MIN = 3
const USERNAME_MAX = 32
const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** Lowered before it is looked at. */
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
  /** Whether there is a password to log in with. */
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
    'Roles, status, email_verified, and a hash or nothing in place of the password, are for operators: a user without a password sets the first one by a reset',
  ...oneFieldAtMost('password', 'password_hash'),
  examples,
})
export type UserCreate = Static<typeof userCreate>

/** As `userCreate`, for someone who logs in at once. */
export const registration = strict(creation, { ...oneFieldOf('password', 'password_hash'), examples })

const { id, ...withoutId } = userRead.properties
/** What auth keeps of a user: its password cache. */
export const passwordRecord = strict({
  user_id: id,
  ...withoutId,
  /** Null: the user has no password. */
  password_hash: t.Nullable(t.String()),
  password_version: integer(),
})
export type PasswordRecord = Static<typeof passwordRecord>

/**
 * What version 0.0.1 takes of a user. The fields that only an operator may set are known here too: who sends one is told
 * that it is forbidden, as everywhere.
 */
export const credentialsV0 = strict(
  { email: trimmed(email()), password: newPassword, ...operatorFields, password_hash: t.Optional(passwordHash) },
  { examples: [{ email: 'ana@example.org', password: 'correct horse battery' }] },
)

export const userV0 = strict({ id: t.String({ format: 'uuid' }), email: t.String(), roles: t.Array(t.String()) })
