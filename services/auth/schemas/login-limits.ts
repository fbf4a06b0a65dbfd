import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, strict, text, time, uuid } from '../../kit/schema/schema.ts'
import { IP_ADDRESS, loginName, REQUEST_ID } from './fields.ts'

const CLIENT_ADDRESS = '203.0.113.7'

const accountOrAddress = {
  user_id: t.Optional(described(uuid(), 'The account')),
  login: t.Optional(loginName('The email or the username of the account', 'ana@example.org')),
  address: t.Optional(text({ least: 2, most: 64, description: 'The client address', examples: [CLIENT_ADDRESS] })),
}

export const loginLimitQuery = strict(accountOrAddress)
export const loginLimit = strict({
  user_id: t.Nullable(t.String({ format: 'uuid' }), { description: 'The account, if the login name has one' }),
  address: t.Nullable(t.String({ examples: [CLIENT_ADDRESS] }), {
    description: 'The client address, as failures are counted by it: of IPv6 the /64 network',
  }),
  failures: described(integer(), 'How many logins failed within the last 24 hours'),
  last_failed_at: t.Nullable(time(), { description: 'When the last login failed, if one did' }),
  paused_until: t.Nullable(time(), { description: 'When the lockout ends; null: not locked' }),
})

export const refusedLoginsQuery = strict({
  ...accountOrAddress,
  request_id: t.Optional(text({ least: 1, most: 128, description: 'The request', examples: [REQUEST_ID] })),
})

const refusedLogin = strict({
  at: described(time(), 'When the login was refused'),
  code: t.String({ description: 'The code that it was refused with', examples: ['rate_limited'] }),
  paused: t.Nullable(t.Union([t.Literal('account'), t.Literal('address')]), {
    description: 'The lockout that refused the login: of the account or of the address; null: another reason',
  }),
  paused_until: t.Nullable(time(), { description: 'When that lockout ends' }),
  user_id: t.Nullable(t.String({ format: 'uuid' }), { description: 'The account, if the login name has one' }),
  ip: t.Nullable(t.String({ examples: [IP_ADDRESS] }), { description: 'The client address' }),
  request_id: t.String({ description: 'The request', examples: [REQUEST_ID] }),
})
export const refusedLogins = strict({
  items: t.Array(refusedLogin, { description: 'The refused logins, newest first' }),
})
