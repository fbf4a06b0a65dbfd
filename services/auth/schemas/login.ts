import { type Static, t } from 'elysia'
import { oneFieldOf, strict } from '../../kit/schema/schema.ts'
import { password, userRead } from '../../kit/schema/user.ts'
import { loginName, tokenText } from './fields.ts'
import { token } from './tokens.ts'

export { registration } from '../../kit/schema/user.ts'

/** The new user and their first session. */
export const registered = strict({
  ...userRead.properties,
  tokens: t.Nullable(token, {
    description: 'The tokens of the session that the registration opened; null: the email must be verified first',
  }),
  challenge_id: t.Nullable(t.String({ examples: ['m5cXnJ1YQm6p4bN0rD8wEA'] }), {
    description: 'Send it with the code of the verification mail; null: no mail was sent',
  }),
})

export const loginBody = strict(
  {
    email: t.Optional(loginName('The email of the user', 'ana@example.org')),
    username: t.Optional(loginName('The username of the user', 'ana')),
    login: t.Optional(loginName('The email or the username of the user', 'ana@example.org')),
    password,
    device_token: t.Optional(tokenText('The token of a confirmed device', 'Zk1nQ3pXb0x4cGRjUlZ4VnZ5b0Z3dVp0bXhYc0Jw')),
  },
  {
    description: 'Exactly one of email, username and login, and the password',
    ...oneFieldOf('email', 'username', 'login'),
    examples: [{ email: 'ana@example.org', password: 'correct horse battery' }],
  },
)
export type LoginBody = Static<typeof loginBody>
