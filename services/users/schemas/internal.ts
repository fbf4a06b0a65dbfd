import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { EMAIL_MAX } from '../../kit/schema/email.ts'
import {
  bodyInteger,
  email,
  integer,
  nullable,
  oneFieldOf,
  oneOf,
  queryInteger,
  strict,
  text,
  trimmed,
} from '../../kit/schema/schema.ts'
import {
  name,
  newPassword,
  password,
  passwordHash,
  passwordRecord,
  userCreate,
  username,
  userRead,
} from '../../kit/schema/user.ts'

// The requests of the other services, and the answers.

export const credentials = strict({
  login: trimmed(
    text({ least: 1, most: EMAIL_MAX, description: 'The email or the username', examples: ['ana@example.org'] }),
  ),
  password,
})

export const verifiedCredentials = t.Union([
  strict({ valid: t.Literal(true, { description: 'The password is right' }), user: described(userRead, 'The user') }),
  strict({ valid: t.Literal(false, { description: 'There is no such user, or the password is wrong' }) }),
])

/** A page of a walk over the password records. */
export const recordsQuery = strict({
  after: t.Optional(text({ least: 1, most: 32, description: 'The `next_cursor` of the page before', examples: ['0'] })),
  limit: t.Optional(described(queryInteger(1, 500), 'The size of the page; without it 200', 200)),
})
export const recordsPage = strict({
  items: t.Array(passwordRecord, { description: 'The records, in order of change' }),
  next_cursor: t.Nullable(t.String(), {
    description: 'The cursor of the next page; null: this is the last one',
    examples: [null],
  }),
})

/** `{ new_password }` completes a reset; `{ password_hash, if_version }` stores a rehash of the same password. */
export const internalPassword = strict(
  {
    new_password: t.Optional(newPassword),
    password_hash: t.Optional(passwordHash),
    if_version: t.Optional(described(bodyInteger(1), 'Store the hash only if the record has this version')),
  },
  { ...oneFieldOf('new_password', 'password_hash'), examples: [{ new_password: 'a longer horse battery' }] },
)
export type InternalPassword = Static<typeof internalPassword>

/** The caller on whose behalf a service asks, for the audit. */
const requester = strict({
  actor: text({ least: 1, most: 100, description: 'Who asked the service, as in the audit', examples: ['anyone'] }),
  ip: nullable(text({ most: 64, description: 'The IP address of the request, if any', examples: ['192.0.2.1'] })),
})
export type Requester = Static<typeof requester>
const by = t.Optional(described(requester, 'Who asked the service; without it the service acts by itself'))

/** A mail that its recipient has answered. */
export const proofBody = strict(
  {
    kind: described(
      oneOf('verification', 'email_code', 'reset', 'invitation', 'email_change', 'undo'),
      'The mail: a verification of the address, a login by a code, a password reset, an invitation, a change of the address to this one, or the end of such a change',
    ),
    email: described(trimmed(email()), 'The address that received the mail'),
    new_password: t.Optional(newPassword),
    username: t.Optional(trimmed(username)),
    name: t.Optional(name),
    sessions_from: t.Optional(
      described(
        bodyInteger(0),
        'That of the record that auth has, or its version: the change is void if sessions ended since',
      ),
    ),
    by,
  },
  {
    description:
      '`new_password` belongs to resets and invitations, names to invitations, `sessions_from` to changes of the address',
    examples: [{ kind: 'verification', email: 'ana@example.org' }],
  },
)
export type Proof = Static<typeof proofBody>

/** The record of a user, with the marks that say which sessions and tokens have ended. */
const syncedRecord = strict({
  ...passwordRecord.properties,
  sessions_from: described(integer(), 'Sessions opened from an older version have ended'),
  session_kept: t.Nullable(t.String(), { description: 'The session that did not end, if any', examples: [null] }),
  all_sessions_from: described(integer(), 'Sessions opened from an older version have ended, `session_kept` too'),
  tokens_from: described(integer(), 'Access tokens issued from an older version are revoked'),
  factors_from: t.Optional(described(integer(), 'Second factors that were added before this version are void')),
})

export const proofResult = t.Union([
  strict({
    outcome: t.Literal('proved', { description: 'The proof was stored' }),
    record: described(syncedRecord, 'The record after it'),
    was_verified: t.Boolean({ description: 'Whether the email before it was verified' }),
  }),
  strict({
    outcome: t.Literal('email_changed', {
      description: 'The user has another address by now, or their sessions ended',
    }),
  }),
])

const { password: _password, password_hash: _hash, ...invitable } = userCreate.properties
/** A user to be invited: they set their first password by the link in the invitation. */
export const invitedUser = strict({ ...invitable, by }, { examples: [{ email: 'ana@example.org', name: 'Ana' }] })
export type InvitedUser = Static<typeof invitedUser>
export const invitation = strict({
  user: described(userRead, 'The user'),
  created: t.Boolean({ description: 'Whether the user is new; otherwise they had no password yet' }),
})

export const noBody = t.Optional(strict({}))
/** Whether auth has acknowledged all notices. */
export const caughtUp = strict({ done: t.Boolean({ description: 'Whether auth has acknowledged every notice' }) })
