import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { oneFieldOf, strict, time } from '../../kit/schema/schema.ts'
import { ACCESS_TOKEN, id, tokenText } from './fields.ts'

export { credentialsV0, userV0 } from '../../kit/schema/user.ts'

/** A refresh token of version 0.0.1. */
const UUID_V4 = '6f1c2b7e-4a53-4c8f-9d0e-2b7a1f5e8c34'

export const tokensV0 = strict({
  accessToken: t.String({ description: 'The access token, a signed JWT (RFC 9068)', examples: [ACCESS_TOKEN] }),
  refreshToken: strict(
    {
      token: t.String({ description: 'The refresh token. It works once', examples: [UUID_V4] }),
      exp: described(time(), 'When the refresh token expires'),
      userId: id('The user who logged in'),
    },
    { description: 'The refresh token and its owner' },
  ),
})

export type TokensV0 = Static<typeof tokensV0>

const refreshToken = tokenText('The refresh token of the session', UUID_V4)
/** The body of a refresh in the spelling of either version: both call this path. */
export const refreshBodyV0 = strict(
  { refreshToken: t.Optional(refreshToken), refresh_token: t.Optional(refreshToken) },
  {
    description: 'Exactly one of refreshToken and refresh_token',
    ...oneFieldOf('refreshToken', 'refresh_token'),
    examples: [{ refreshToken: UUID_V4 }],
  },
)
