import { type Static, t } from 'elysia'
import { page, pageQuery } from '../kit/page.ts'
import {
  checked,
  count,
  email,
  flag,
  integer,
  listOf,
  matching,
  nullable,
  oneOf,
  strict,
  text,
  time,
} from '../kit/schema.ts'

/** A password that is being set. Its least length is a setting, so it is checked with the rest of the policy. */
const newPassword = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
/** A password that is being checked: whatever was typed, as long as it can be one. */
const password = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
const name = nullable(text({ most: 200, examples: ['Ana'] }))
const status = oneOf('active', 'disabled')

const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** Lowered before it is looked at. */
const username = nullable(
  checked<string>({ type: 'string', pattern: '^[A-Za-z0-9_.-]{3,32}$', examples: ['ana'] }, (value) => {
    if (typeof value !== 'string') return 'must be a string'
    return USERNAME.test(value.toLowerCase())
      ? undefined
      : 'must be 3 to 32 letters, digits, dots, dashes or underscores'
  }),
)

const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { examples: ['USER'] },
)
const roles = listOf(role, 32)

const hash = text({ least: 1, most: 512 })

export const userRead = strict({
  id: t.String({ format: 'uuid' }),
  email: t.String(),
  username: t.Nullable(t.String()),
  name: t.Nullable(t.String()),
  roles: t.Array(t.String()),
  status: t.Union([t.Literal('active'), t.Literal('disabled')]),
  email_verified: t.Boolean(),
  created_at: time(),
  updated_at: time(),
})
export type UserRead = Static<typeof userRead>

const operatorFields = {
  roles: t.Optional(roles),
  status: t.Optional(status),
  email_verified: t.Optional(flag()),
}

export const userCreate = strict({
  email: email(),
  password: t.Optional(newPassword),
  username: t.Optional(username),
  name: t.Optional(name),
  ...operatorFields,
  password_hash: t.Optional(hash),
})
export type UserCreate = Static<typeof userCreate>

export const userReplace = strict({
  email: email(),
  username: t.Optional(username),
  name: t.Optional(name),
  ...operatorFields,
})
export type UserReplace = Static<typeof userReplace>

export const userPatch = strict({
  email: t.Optional(email()),
  username: t.Optional(username),
  name: t.Optional(name),
  ...operatorFields,
})
export type UserPatch = Static<typeof userPatch>

export const listQuery = strict({
  ...pageQuery,
  search: t.Optional(text({ least: 1, most: 200 })),
  role: t.Optional(role),
  status: t.Optional(status),
  sort: t.Optional(oneOf('created_at', '-created_at', 'email', '-email')),
})

export const userPage = page(userRead)

export const changePassword = strict({ current_password: password, new_password: newPassword })
export const setPassword = strict({ new_password: newPassword })
export const credentials = strict({ login: text({ least: 1, most: 254 }), password })

export const verified = t.Union([
  strict({ valid: t.Literal(true), user: userRead }),
  strict({ valid: t.Literal(false) }),
])

const { id, ...withoutId } = userRead.properties
/** What auth keeps of a user: its password cache. */
export const passwordRecord = strict({
  user_id: id,
  ...withoutId,
  password_hash: t.String(),
  password_version: integer(),
})
export type PasswordRecord = Static<typeof passwordRecord>

export const passwordRecords = strict({ items: t.Array(passwordRecord), next_cursor: t.Nullable(t.String()) })

/** `{ new_password }` ends a reset; `{ password_hash, if_version }` replaces a hash by one of today's making. */
export const internalPassword = strict({
  new_password: t.Optional(newPassword),
  password_hash: t.Optional(hash),
  if_version: t.Optional(
    checked<number>({ type: 'integer', minimum: 1 }, (value) =>
      Number.isSafeInteger(value) ? undefined : 'must be a whole number',
    ),
  ),
})
export type InternalPassword = Static<typeof internalPassword>

export const changesQuery = strict({
  after: t.Optional(text({ least: 1, most: 32 })),
  limit: t.Optional(count(1, 500)),
})

export const userParams = t.Object({ user_id: t.String() })
