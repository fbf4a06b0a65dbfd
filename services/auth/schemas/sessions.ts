import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import { integer, queryFlag, strict, time, uuid } from '../../kit/schema/schema.ts'
import { IP_ADDRESS, id, REFRESH_TOKEN, tokenText, USER_AGENT } from './fields.ts'
import { amr, authTime } from './tokens.ts'

export const logoutBody = t.Optional(
  strict({
    refresh_token: t.Optional(
      tokenText('The refresh token of the session, if the access token has expired', REFRESH_TOKEN),
    ),
  }),
)

export const sessionRead = strict({
  id: id('The id of the session'),
  user_id: id('The user whose session it is'),
  current: t.Boolean({ description: 'Whether the request was made with a token of this session' }),
  client_id: t.String({ description: 'The client that the session belongs to', examples: ['ch202'] }),
  created_at: described(time(), 'When the session was opened'),
  auth_time: authTime,
  amr,
  last_used_at: described(time(), 'When the session was last refreshed, or opened'),
  expires_at: described(time(), 'When the session ends unless it is refreshed before'),
  ip: t.Nullable(t.String({ examples: [IP_ADDRESS] }), {
    description: 'The IP address that the session was opened from',
  }),
  user_agent: t.Nullable(t.String({ examples: [USER_AGENT] }), {
    description: 'The User-Agent header of the login',
  }),
})
export type SessionRead = Static<typeof sessionRead>
export const sessionPage = page(sessionRead)

const userOrAll = {
  user_id: t.Optional(described(uuid(), 'For operators and support persons: the user whose sessions are meant')),
  all: t.Optional(described(queryFlag(), 'For operators: `true` for the sessions of every user')),
}
export const sessionsQuery = strict({ ...pageQuery, ...userOrAll })
export const revokeQuery = strict(userOrAll)
export const revoked = strict({ revoked: described(integer(), 'How many sessions ended', 3) })

export const sessionParams = t.Object({
  session_id: t.String({ description: 'The id of the session', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})
