import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { email, integer, oneFieldOf, strict, text, time, trimmed, uuid } from '../../kit/schema/schema.ts'
import { name, newPassword, operatorFields, profileFields, username, userRead } from '../../kit/schema/user.ts'
import { ACCESS_TOKEN, CHALLENGE_ID, challengeId, tokenText } from './fields.ts'
import { token } from './tokens.ts'

const LINK_TOKEN = 'kJc0qk2oZ0yVh1mWm3n5c7'

/** The answer to a request for a mail, whether or not the address has an account. */
export const MAIL_ANSWER = 'If the address is known, a mail is on its way'

const code = text({ least: 1, most: 64, description: 'The code in the mail', examples: ['042817'] })
const linkToken = tokenText('The token in the link of the mail', LINK_TOKEN)
const address = described(trimmed(email()), 'The email')

/** A code with its challenge, or the token of a link. */
export const mailProofBody = strict(
  { challenge_id: t.Optional(challengeId), code: t.Optional(code), token: t.Optional(linkToken) },
  {
    description: 'Either challenge_id and code, or token',
    ...oneFieldOf('code', 'token'),
    examples: [{ challenge_id: CHALLENGE_ID, code: '042817' }],
  },
)
export const linkBody = strict({ token: linkToken })
export const codeBody = strict({ challenge_id: challengeId, code })

/** The answer to a request for a mail. */
export const mailed = strict({
  message: t.String({ description: 'The same sentence for every address', examples: [MAIL_ANSWER] }),
  challenge_id: t.String({ description: 'Send it with the code of the mail', examples: [CHALLENGE_ID] }),
})

export const verificationRequestBody = t.Optional(strict({ email: t.Optional(address) }))
export const verified = strict({
  email: t.String({ description: 'The email', examples: ['ana@example.org'] }),
  email_verified: t.Literal(true, { description: 'The email is verified' }),
})
export const emailCodeRequestBody = strict({ email: address })
export const emailChangeRequestBody = strict({ new_email: described(trimmed(email()), 'The new email') })

const invitationFields = {
  username: t.Optional(trimmed(username)),
  name: t.Optional(name),
  roles: operatorFields.roles,
  ...profileFields,
}
export const invitationBody = strict(
  {
    email: t.Optional(address),
    user_id: t.Optional(described(uuid(), 'A user without a password, in place of the email')),
    ...invitationFields,
  },
  {
    description: 'The email of a new user or of one without a password, or the id of such a user',
    ...oneFieldOf('email', 'user_id'),
    examples: [{ email: 'ana@example.org', name: 'Ana' }],
  },
)
export type InvitationBody = Static<typeof invitationBody>
export const invited = strict({
  user: described(userRead, 'The invited user'),
  expires_at: described(time(), 'When the link in the mail expires'),
})
export const acceptanceBody = strict(
  {
    token: linkToken,
    new_password: newPassword,
    username: t.Optional(trimmed(username)),
    name: t.Optional(name),
  },
  { examples: [{ token: LINK_TOKEN, new_password: 'a longer horse battery' }] },
)
export type AcceptanceBody = Static<typeof acceptanceBody>

/** The tokens of a session, and of the device that was confirmed. */
export const deviceConfirmed = strict({
  ...token.properties,
  device_token: t.String({
    description: 'Send it as `device_token` with later logins: they need no code for 90 days',
    examples: ['Zk1nQ3pXb0x4cGRjUlZ4VnZ5b0Z3dVp0bXhYc0Jw'],
  }),
})

export const reauthenticated = strict({
  access_token: t.String({ description: 'A new access token of the same session', examples: [ACCESS_TOKEN] }),
  token_type: t.Literal('Bearer', { description: 'Send the access token as `Authorization: Bearer …`' }),
  expires_in: described(integer(), 'Seconds until the access token expires', 3600),
  auth_time: described(integer(), 'When the user authenticated, in seconds since 1970', 1_795_168_800),
})
