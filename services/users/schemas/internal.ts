import { type Static, t } from 'elysia'
import { EMAIL_MAX } from '../../kit/schema/email.ts'
import { count, oneFieldOf, strict, text, trimmed, whole } from '../../kit/schema/schema.ts'
import { newPassword, password, passwordHash, passwordRecord, userRead } from '../../kit/schema/user.ts'

// What the services ask of users.

export const credentials = strict({ login: trimmed(text({ least: 1, most: EMAIL_MAX })), password })

export const verifiedCredentials = t.Union([
  strict({ valid: t.Literal(true), user: userRead }),
  strict({ valid: t.Literal(false) }),
])

/** A page of a walk over the password records. */
export const recordsQuery = strict({
  after: t.Optional(text({ least: 1, most: 32 })),
  limit: t.Optional(count(1, 500)),
})
export const recordsPage = strict({ items: t.Array(passwordRecord), next_cursor: t.Nullable(t.String()) })

/** `{ new_password }` completes a reset; `{ password_hash, if_version }` stores a rehash of the same password. */
export const internalPassword = strict(
  {
    new_password: t.Optional(newPassword),
    password_hash: t.Optional(passwordHash),
    if_version: t.Optional(whole(1)),
  },
  { ...oneFieldOf('new_password', 'password_hash'), examples: [{ new_password: 'a longer horse battery' }] },
)
export type InternalPassword = Static<typeof internalPassword>

export const noBody = t.Optional(strict({}))
/** Whether auth has acknowledged all notices. */
export const caughtUp = strict({ done: t.Boolean() })
