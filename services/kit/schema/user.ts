import { type Static, t } from 'elysia'
import { mistyped } from '../field-errors.ts'
import { described } from './described.ts'
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
export const newPassword = text({
  most: 256,
  controls: true,
  description: 'The new password, at least `PASSWORD_MIN_LENGTH` characters',
  examples: ['correct horse battery'],
})
/** A password that is being checked: whatever was typed, as long as it can be one. */
export const password = text({
  least: 1,
  most: 256,
  controls: true,
  description: 'The current password',
  examples: ['correct horse battery'],
})
export const name = nullable(text({ most: 200, description: 'The name; null for none', examples: ['Ana'] }))
export const status = described(oneOf('active', 'disabled'), '`disabled`: the user cannot log in')

const USERNAME_MIN = 3
const USERNAME_MAX = 32
const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** Lowered before it is looked at. */
export const username = nullable(
  checked<string>(
    {
      type: 'string',
      pattern: '^[A-Za-z0-9_.-]{3,32}$',
      description: 'The username, stored in lower case; null for none',
      examples: ['ana'],
    },
    (value) => {
      if (typeof value !== 'string') return mistyped('a string')
      if (USERNAME.test(value.toLowerCase())) return undefined
      const message = 'must be 3 to 32 letters, digits, dots, dashes or underscores'
      if (value.length < USERNAME_MIN) return { code: 'too_short', message, limit: USERNAME_MIN }
      if (value.length > USERNAME_MAX) return { code: 'too_long', message, limit: USERNAME_MAX }
      return { code: 'pattern', message }
    },
  ),
)

export const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { description: 'A role', examples: ['USER'] },
)
const roles = described(listOf(role, 32), 'The roles; `ADMIN` makes the user an operator')

/** An example of a password hash. */
export const HASH = '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'
export const passwordHash = text({
  least: 1,
  most: 512,
  description: 'A password hash of a supported format, instead of a password',
  examples: [HASH],
})

export const userRead = strict({
  id: t.String({ format: 'uuid', description: 'The id of the user' }),
  email: t.String({ description: 'The email', examples: ['ana@example.org'] }),
  username: t.Nullable(t.String({ examples: ['ana'] }), { description: 'The username; null for none' }),
  name: t.Nullable(t.String({ examples: ['Ana'] }), { description: 'The name; null for none' }),
  roles: t.Array(t.String({ examples: ['USER'] }), { description: 'The roles; `ADMIN` makes the user an operator' }),
  status: described(oneOf('active', 'disabled'), '`disabled`: the user cannot log in'),
  email_verified: t.Boolean({ description: 'Whether the email is confirmed' }),
  has_password: t.Boolean({ description: 'Whether the user has a password' }),
  created_at: described(time(), 'When the user was created'),
  updated_at: described(time(), 'When the record last changed'),
})
export type UserRead = Static<typeof userRead>

export const operatorFields = {
  roles: t.Optional(roles),
  status: t.Optional(status),
  email_verified: t.Optional(described(flag(), 'Whether the email is confirmed')),
}

const creation = {
  email: described(trimmed(email()), 'The email'),
  password: t.Optional(newPassword),
  username: t.Optional(trimmed(username)),
  name: t.Optional(name),
  ...operatorFields,
  password_hash: t.Optional(passwordHash),
}
const examples = [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }]

export const userCreate = strict(creation, {
  description:
    'Only operators may send roles, status, email_verified and password_hash, and only they may omit the password: that user sets the first one by a password reset',
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
  password_hash: t.Nullable(t.String({ examples: [HASH] }), {
    description: 'The hash of the password; null: the user has no password',
  }),
  password_version: described(integer(), 'The version of the record: it grows with every change of the user'),
})
export type PasswordRecord = Static<typeof passwordRecord>

/**
 * What version 0.0.1 takes of a user. The fields that only an operator may set are known here too: who sends one is told
 * that it is forbidden, as everywhere.
 */
export const credentialsV0 = strict(
  {
    email: described(trimmed(email()), 'The email'),
    password: newPassword,
    ...operatorFields,
    password_hash: t.Optional(passwordHash),
  },
  { examples: [{ email: 'ana@example.org', password: 'correct horse battery' }] },
)

export const userV0 = strict({ id, email: userRead.properties.email, roles: userRead.properties.roles })
