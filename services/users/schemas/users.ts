import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery, searchQuery } from '../../kit/schema/page.ts'
import { email, listOf, oneOf, queryFlag, strict, trimmed } from '../../kit/schema/schema.ts'
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

export const userParams = t.Object({
  user_id: t.String({ description: 'The id of the user', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})
export const usernameParams = t.Object({ username: t.String({ description: 'The username', examples: ['ana'] }) })
export const emailParams = t.Object({ email: t.String({ description: 'The email', examples: ['ana@example.org'] }) })

export const userReplace = strict(
  {
    email: described(trimmed(email()), 'The email'),
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
    email: t.Optional(described(trimmed(email()), 'The email')),
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
  role: t.Optional(described(role, 'Only users with this role', 'USER')),
  status: t.Optional(described(status, 'Only users with this status')),
  has_password: t.Optional(described(queryFlag(), 'Only users with a password, or only those without')),
  email_verified: t.Optional(described(queryFlag(), 'Only users whose email is confirmed, or only the others')),
  sort: t.Optional(described(oneOf('created_at', '-created_at', 'email', '-email'), 'The order; `-`: descending')),
})
export type ListQuery = Static<typeof listQuery>

export const userPage = page(userRead)

/** Maximum number of emails that an erasure names: far more than anyone has had. */
const EMAILS_MAX = 100
export const eraseBody = t.Optional(
  strict({
    emails: t.Optional(
      described(
        listOf(email(), EMAILS_MAX),
        'Emails that the user had, besides those that are stored: what is found by them alone is erased too. None is stored after a deletion',
      ),
    ),
  }),
)
export const erased = strict({
  user_id: t.String({ format: 'uuid', description: 'The user whose data is being erased' }),
})
