import { type Static, t } from 'elysia'
import { page, pageQuery, searchQuery } from '../../kit/schema/page.ts'
import { email, oneOf, queryFlag, strict, trimmed } from '../../kit/schema/schema.ts'
import {
  name,
  OPERATOR_FIELDS,
  operatorFields,
  profileFields,
  role,
  status,
  username,
  userRead,
} from '../../kit/schema/user.ts'

// The requests and answers of `/users`. The shape of a user itself stands in `services/kit/schema/user.ts`.

const OPERATORS = `Only operators may set ${OPERATOR_FIELDS.join(', ')}`

export const userParams = t.Object({ user_id: t.String() })
export const usernameParams = t.Object({ username: t.String() })
export const emailParams = t.Object({ email: t.String() })

export const userReplace = strict(
  {
    email: trimmed(email()),
    username: t.Optional(trimmed(username)),
    name: t.Optional(name),
    ...operatorFields,
    ...profileFields,
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
    ...profileFields,
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
export type ListQuery = Static<typeof listQuery>

export const userPage = page(userRead)
