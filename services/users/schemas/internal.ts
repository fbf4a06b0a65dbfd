import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { EMAIL_MAX } from '../../kit/schema/email.ts'
import { bodyInteger, oneFieldOf, queryInteger, strict, text, trimmed } from '../../kit/schema/schema.ts'
import { newPassword, password, passwordHash, passwordRecord, userRead } from '../../kit/schema/user.ts'

// The requests of the other services, and the answers.

export const credentials = strict({
  login: trimmed(
    text({ least: 1, most: EMAIL_MAX, description: 'The email or the username', examples: ['ana@example.org'] }),
  ),
  password,
})

export const verifiedCredentials = t.Union([
  strict({ valid: t.Literal(true, { description: 'The password is right' }), user: described(userRead, 'The user') }),
  strict({ valid: t.Literal(false, { description: 'There is no such user, or the password is wrong' }) }),
])

/** A page of a walk over the password records. */
export const recordsQuery = strict({
  after: t.Optional(text({ least: 1, most: 32, description: 'The `next_cursor` of the page before', examples: ['0'] })),
  limit: t.Optional(described(queryInteger(1, 500), 'The size of the page; without it 200', 200)),
})
export const recordsPage = strict({
  items: t.Array(passwordRecord, { description: 'The records, in order of change' }),
  next_cursor: t.Nullable(t.String(), {
    description: 'The cursor of the next page; null: this is the last one',
    examples: [null],
  }),
})

/** `{ new_password }` completes a reset; `{ password_hash, if_version }` stores a rehash of the same password. */
export const internalPassword = strict(
  {
    new_password: t.Optional(newPassword),
    password_hash: t.Optional(passwordHash),
    if_version: t.Optional(described(bodyInteger(1), 'Store the hash only if the record has this version')),
  },
  { ...oneFieldOf('new_password', 'password_hash'), examples: [{ new_password: 'a longer horse battery' }] },
)
export type InternalPassword = Static<typeof internalPassword>

export const noBody = t.Optional(strict({}))
/** Whether auth has acknowledged all notices. */
export const caughtUp = strict({ done: t.Boolean({ description: 'Whether auth has acknowledged every notice' }) })
