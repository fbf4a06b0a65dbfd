import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, oneOf, open, strict, time } from '../../kit/schema/schema.ts'
import { clientParameters } from './client-parameters.ts'
import { ACCESS_TOKEN, id, REFRESH_TOKEN, tokenText } from './fields.ts'

/** The tokens of a session: what a login and a refresh return. */
export const token = strict({
  access_token: t.String({ description: 'The access token, a signed JWT (RFC 9068)', examples: [ACCESS_TOKEN] }),
  token_type: t.Literal('Bearer', { description: 'Send the access token as `Authorization: Bearer …`' }),
  expires_in: described(integer(), 'Seconds until the access token expires', 3600),
  refresh_token: t.String({
    description: 'The refresh token. It works once: each refresh returns the next one',
    examples: [REFRESH_TOKEN],
  }),
  refresh_expires_in: described(integer(), 'Seconds until the refresh token expires', 604_800),
  session_id: id('The session that the tokens belong to'),
})
export type Token = Static<typeof token>

/** When and how the user of a session authenticated (OpenID Connect Core, 2; RFC 8176). */
export const authTime = described(integer(), 'When the user last authenticated, in seconds since 1970', 1_795_168_800)
export const amr = t.Array(t.String({ examples: ['pwd'] }), {
  description:
    'How: `pwd` by password, `email` by a code by mail, `rba` with a new device confirmed, `otp` by a code of an app or a recovery code, `hwk` or `swk` with `user` by a passkey, `mfa` by two factors or a passkey',
})

export const refreshBody = strict({ refresh_token: tokenText('The refresh token of the session', REFRESH_TOKEN) })

/** RFC 7009, 2.1 and RFC 7662, 2.1. The hint is ignored: a token shows its own kind. */
export const tokenBody = open({
  token: tokenText('An access token or a refresh token', ACCESS_TOKEN),
  token_type_hint: t.Optional(
    t.Unknown({
      description: 'The kind of the token, as OAuth clients send it; it is ignored',
      examples: ['access_token'],
    }),
  ),
})
/** RFC 7662, 2.1: a client may authenticate in the form. */
export const introspectBody = open(
  { ...tokenBody.properties, ...clientParameters },
  // A client in the header, or another caller.
  { examples: [{ token: ACCESS_TOKEN }] },
)
export const validateBody = t.Optional(
  strict({
    token: t.Optional(tokenText('The access token; without it, the one in the Authorization header', ACCESS_TOKEN)),
  }),
)

/** RFC 6749, 3.3. */
export const scope = t.String({ description: 'The scopes of the token, separated by spaces', examples: ['users:read'] })

const userScope = t.String({
  description: 'The scopes that the user gave, separated by spaces',
  examples: ['openid modules'],
})

const audience = t.String({
  description: 'The service that the token is for; the client if it is for Ch202',
  examples: ['https://orders.example.org'],
})

export const validity = t.Union([
  strict({
    valid: t.Literal(true, { description: 'The token is valid' }),
    user_id: id('The user whom the token was issued to'),
    session_id: id('The session of the token'),
    roles: t.Array(t.String({ examples: ['USER'] }), { description: 'The roles of the user when it was issued' }),
    expires_at: described(time(), 'When the token expires'),
  }),
  strict({
    valid: t.Literal(true, { description: 'The token is valid, and one that a client has for itself' }),
    client_id: id('The client that the token was issued to'),
    scope,
    expires_at: described(time(), 'When the token expires'),
  }),
  strict({
    valid: t.Literal(true, { description: 'The token is valid, and one that a client has for a user' }),
    user_id: id('The user who gave the grant'),
    session_id: t.Optional(id('The session in which the user signed in; absent if the grant outlives it')),
    client_id: id('The client that the token was issued to'),
    grant_id: id('The grant'),
    scope: userScope,
    aud: audience,
    roles: t.Optional(t.Array(t.String({ examples: ['USER'] }), { description: 'Only with the scope `roles`' })),
    expires_at: described(time(), 'When the token expires'),
  }),
  strict({
    valid: t.Literal(false, { description: 'The token is not valid' }),
    reason: described(oneOf('malformed', 'expired', 'revoked', 'signature'), 'Why the token is not valid'),
  }),
])
export type Validity = Static<typeof validity>

/** RFC 7662, 2.2. */
export const introspection = t.Union([
  strict({
    active: t.Literal(true, { description: 'The token is valid' }),
    sub: t.String({ format: 'uuid', description: 'The user whom the token was issued to' }),
    username: t.Nullable(t.String({ examples: ['ana'] }), { description: 'The username, if the user has one' }),
    email: t.String({ description: 'The email of the user', examples: ['ana@example.org'] }),
    roles: t.Array(t.String({ examples: ['USER'] }), { description: 'The roles of the user' }),
    client_id: t.String({ description: 'The client that the token was issued to', examples: ['ch202'] }),
    token_type: t.String({ description: '`Bearer`, or `refresh_token`', examples: ['Bearer'] }),
    exp: described(integer(), 'When the token expires, in seconds since 1970', 1_795_172_400),
    iat: described(integer(), 'When the token was issued, in seconds since 1970', 1_795_168_800),
    auth_time: authTime,
    amr,
    iss: t.String({ description: 'The issuer of the token', examples: ['https://auth.example.org'] }),
    aud: t.String({ description: 'The audience of the token', examples: ['ch202'] }),
    jti: t.String({ description: 'The id of the token', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
    sid: t.String({ description: 'The session of the token', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
  }),
  strict({
    active: t.Literal(true, { description: 'The token is valid, and one that a client has for itself' }),
    sub: id('The client that the token was issued to'),
    client_id: id('The client that the token was issued to'),
    scope,
    token_type: t.Literal('Bearer', { description: 'An access token' }),
    exp: described(integer(), 'When the token expires, in seconds since 1970', 1_795_172_400),
    iat: described(integer(), 'When the token was issued, in seconds since 1970', 1_795_168_800),
    iss: t.String({ description: 'The issuer of the token', examples: ['https://auth.example.org'] }),
    aud: t.String({ description: 'The audience of the token', examples: ['https://orders.example.org'] }),
    jti: id('The id of the token'),
  }),
  strict({
    active: t.Literal(true, { description: 'The token is valid, and one that a client has for a user' }),
    sub: id('The user who gave the grant'),
    client_id: id('The client that the token was issued to'),
    grant_id: id('The grant'),
    scope: userScope,
    token_type: t.String({ description: '`Bearer`, or `refresh_token`', examples: ['Bearer'] }),
    exp: described(integer(), 'When the token expires, in seconds since 1970', 1_795_172_400),
    iat: described(integer(), 'When the token was issued, in seconds since 1970', 1_795_168_800),
    auth_time: authTime,
    amr,
    iss: t.String({ description: 'The issuer of the token', examples: ['https://auth.example.org'] }),
    aud: audience,
    jti: t.String({ description: 'The id of the token', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
    sid: t.Optional(id('The session in which the user signed in; absent if the grant outlives it')),
    email: t.Optional(t.String({ description: 'Only with the scope `email`', examples: ['ana@example.org'] })),
    roles: t.Optional(t.Array(t.String({ examples: ['USER'] }), { description: 'Only with the scope `roles`' })),
  }),
  strict({ active: t.Literal(false, { description: 'The token is not valid' }) }),
])
export type Introspection = Static<typeof introspection>
