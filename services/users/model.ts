import { type Static, t } from 'elysia'
import { EMAIL_MAX } from '../kit/schema/email.ts'
import { page, pageQuery, searchQuery } from '../kit/schema/page.ts'
import {
  count,
  email,
  flag,
  integer,
  moment,
  oneFieldAtMost,
  oneFieldOf,
  oneOf,
  queryFlag,
  strict,
  text,
  trimmed,
  uuid,
  whole,
} from '../kit/schema/schema.ts'
import {
  name,
  newPassword,
  operatorFields,
  password,
  passwordHash,
  passwordRecord,
  role,
  status,
  userCreate,
  username,
  userRead,
} from '../kit/schema/user.ts'

const OPERATORS = 'Roles, status and email_verified are for operators'

export const userReplace = strict(
  {
    email: trimmed(email()),
    username: t.Optional(trimmed(username)),
    name: t.Optional(name),
    ...operatorFields,
  },
  { description: OPERATORS, examples: [{ email: 'ana@example.org', username: 'ana', name: 'Ana' }] },
)
export type UserReplace = Static<typeof userReplace>

export const userPatch = strict(
  {
    email: t.Optional(trimmed(email())),
    username: t.Optional(trimmed(username)),
    name: t.Optional(name),
    ...operatorFields,
  },
  { description: OPERATORS, examples: [{ name: 'Ana' }] },
)
export type UserPatch = Static<typeof userPatch>

export const listQuery = strict({
  ...pageQuery,
  ...searchQuery('the email, the username or the name'),
  role: t.Optional(role),
  status: t.Optional(status),
  has_password: t.Optional(queryFlag()),
  email_verified: t.Optional(queryFlag()),
  sort: t.Optional(oneOf('created_at', '-created_at', 'email', '-email')),
})

export const userPage = page(userRead)

export const changePassword = strict(
  { current_password: password, new_password: newPassword },
  { examples: [{ current_password: 'correct horse battery', new_password: 'a longer horse battery' }] },
)
export const setPassword = strict({ new_password: newPassword })
export const credentials = strict({ login: trimmed(text({ least: 1, most: EMAIL_MAX })), password })

export const verified = t.Union([
  strict({ valid: t.Literal(true), user: userRead }),
  strict({ valid: t.Literal(false) }),
])

export const passwordRecords = strict({ items: t.Array(passwordRecord), next_cursor: t.Nullable(t.String()) })

/** `{ new_password }` ends a reset; `{ password_hash, if_version }` replaces a hash by one of today's making. */
export const internalPassword = strict(
  {
    new_password: t.Optional(newPassword),
    password_hash: t.Optional(passwordHash),
    if_version: t.Optional(whole(1)),
  },
  { ...oneFieldOf('new_password', 'password_hash'), examples: [{ new_password: 'a longer horse battery' }] },
)
export type InternalPassword = Static<typeof internalPassword>

export const changesQuery = strict({
  after: t.Optional(text({ least: 1, most: 32 })),
  limit: t.Optional(count(1, 500)),
})

export const exportQuery = strict({ with_hashes: t.Optional(queryFlag()) })

/** What an export writes of a user, a line each. */
export const exportedUser = strict({ ...userRead.properties, password_hash: t.Optional(t.String()) })

export const importQuery = strict({ on_conflict: t.Optional(oneOf('skip', 'update', 'fail')) })

/** What an import reads of a user, a line each: what an export wrote, or what an operator sends to make one. */
export const importedUser = strict(
  {
    ...userCreate.properties,
    /** Of an export without hashes: it changes nothing. */
    has_password: t.Optional(flag()),
    id: t.Optional(uuid()),
    created_at: t.Optional(moment()),
    updated_at: t.Optional(moment()),
  },
  {
    description: 'One a line. Who is made without a password or its hash sets the first one by a reset',
    ...oneFieldAtMost('password', 'password_hash'),
    examples: [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }],
  },
)
export type ImportedUser = Static<typeof importedUser>

/** What became of a line of an import. */
export const importedLine = strict(
  {
    line: integer(),
    status: oneOf('created', 'updated', 'unchanged', 'skipped', 'failed'),
    id: t.Optional(t.String({ format: 'uuid' })),
    code: t.Optional(t.String()),
    message: t.Optional(t.Union([t.String(), t.Array(t.String())])),
  },
  { examples: [{ line: 1, status: 'failed', code: 'email_taken', message: 'Email is taken' }] },
)

export const userParams = t.Object({ user_id: t.String() })
