import { type Static, t } from 'elysia'
import { oneFieldOf, strict } from '../../kit/schema/schema.ts'
import { password, userRead } from '../../kit/schema/user.ts'
import { loginName } from './fields.ts'
import { token } from './tokens.ts'

export { registration } from '../../kit/schema/user.ts'

/** The new user and their first session. */
export const registered = strict({
  ...userRead.properties,
  tokens: { ...token, description: 'The tokens of the session that the registration opened' },
})

export const loginBody = strict(
  {
    email: t.Optional(loginName('The email of the user', 'ana@example.org')),
    username: t.Optional(loginName('The username of the user', 'ana')),
    login: t.Optional(loginName('The email or the username of the user', 'ana@example.org')),
    password,
  },
  {
    description: 'Exactly one of email, username and login, and the password',
    ...oneFieldOf('email', 'username', 'login'),
    examples: [{ email: 'ana@example.org', password: 'correct horse battery' }],
  },
)
export type LoginBody = Static<typeof loginBody>
