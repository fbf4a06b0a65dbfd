import { type Static, t } from 'elysia'
import { mistyped } from '../../kit/field-errors.ts'
import { LOCALES } from '../../kit/locale.ts'
import { described } from '../../kit/schema/described.ts'
import { EVENT_TYPES } from '../../kit/schema/events.ts'
import {
  bodyInteger,
  checked,
  email,
  flag,
  LATEST,
  matching,
  moment,
  nullable,
  object,
  oneOf,
  strict,
  text,
  uuid,
} from '../../kit/schema/schema.ts'
import { profileFields } from '../../kit/schema/user.ts'
import { IP_ADDRESS, REQUEST_ID, USER_AGENT } from './fields.ts'

const roles = checked<string[]>(
  { type: 'array', items: { type: 'string', examples: ['USER'] }, description: 'The roles of the user' },
  (value) =>
    Array.isArray(value) && value.every((role) => typeof role === 'string')
      ? undefined
      : mistyped('an array of strings'),
)

/**
 * A password record as users returns it, and five marks that only our own users service sends. They state which
 * sessions and tokens the changes up to this version ended, so that a lost notice loses no logout.
 */
export const syncBody = strict({
  user_id: described(uuid(), 'The user'),
  email: described(email(), 'The email of the user'),
  username: nullable(text({ least: 3, most: 32, description: 'The username; null for none', examples: ['ana'] })),
  name: nullable(text({ most: 200, description: 'The name; null for none', examples: ['Ana'] })),
  roles,
  status: described(oneOf('active', 'disabled'), '`disabled`: the user cannot log in'),
  email_verified: described(flag(), 'Whether the email is confirmed'),
  has_password: t.Optional(described(flag(), 'Whether there is a password; `password_hash` shows it too')),
  ...profileFields,
  created_at: described(moment(), 'When the user was created'),
  updated_at: described(moment(), 'When the user last changed'),
  password_hash: nullable(
    text({
      least: 1,
      most: 512,
      description: 'The hash of the password; null: the user has no password',
      examples: ['$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'],
    }),
  ),
  password_version: described(bodyInteger(0), 'The version of the record; an older one changes nothing'),
  sessions_from: t.Optional(described(bodyInteger(0), 'Sessions opened from an older version have ended')),
  session_kept: t.Optional(described(nullable(uuid()), 'The session that did not end, if any')),
  all_sessions_from: t.Optional(
    described(bodyInteger(0), 'Sessions opened from an older version have ended, `session_kept` too'),
  ),
  tokens_from: t.Optional(described(bodyInteger(0), 'Access tokens issued from an older version are revoked')),
  factors_from: t.Optional(described(bodyInteger(0), 'Second factors that were added before this version are void')),
})
export type SyncBody = Static<typeof syncBody>
export const syncManyBody = strict({ users: t.Array(syncBody, { description: 'The records of the users' }) })

export const userDeletedBody = strict({ user_id: described(uuid(), 'The deleted user') })

const names = (description: string, example: string) =>
  t.Array(text({ least: 1, most: 320, description: 'One of them', examples: [example] }), { description })

/** A deleted user, with their names until now: what others did under these names is erased too. */
export const userErasedBody = strict({
  user_id: described(uuid(), 'The erased user'),
  emails: names('Their emails, as far as they are known after a deletion', 'ana@example.org'),
  usernames: names('Their username, if any', 'ana'),
})

/** A request id is sent on in a header: it has visible ASCII characters alone. */
const requestId = nullable(
  matching(/^[\x21-\x7e]{1,128}$/, 'must be 1 to 128 visible ASCII characters', {
    description: 'The request that changed it, if any',
    examples: [REQUEST_ID],
  }),
)
const ip = nullable(text({ most: 64, description: 'The IP address of the request, if any', examples: [IP_ADDRESS] }))
const locale = described(
  nullable(oneOf(...LOCALES)),
  'The language of the user, or else the one that their request prefers; null: neither is known',
)

export const emailChangedBody = strict({
  id: described(uuid(), 'The id of the notice: one mail is sent for each id'),
  user_id: described(uuid(), 'The user'),
  old_email: described(email(), 'The previous email, which the mail goes to'),
  at: described(moment(), 'When the email changed'),
  request_id: requestId,
  new_email: t.Optional(described(email(), 'The new email')),
  verified: t.Optional(described(flag(), 'Whether the previous email was verified; without it `false`')),
  by_proof: t.Optional(described(flag(), 'Whether a mail has proved the new email already; without it `false`')),
  ip: t.Optional(ip),
  locale: t.Optional(locale),
})
export type EmailChangedBody = Static<typeof emailChangedBody>

/** A mail to a user that the users service asks for. */
export const accountMailBody = strict({
  id: described(uuid(), 'The id of the notice: one mail is sent for each id'),
  kind: described(
    oneOf('notice', 'email_verification'),
    '`notice` tells the user what was done with their account, `email_verification` asks for a proof of the address',
  ),
  cause: t.Optional(described(oneOf('password_changed'), 'What a `notice` is about')),
  user_id: described(uuid(), 'The user'),
  email: described(email(), 'The address that the mail goes to'),
  locale,
  ip,
  user_agent: nullable(
    text({
      most: 8192,
      controls: true,
      description: 'The `User-Agent` of the request, if any',
      examples: [USER_AGENT],
    }),
  ),
  at: described(moment(), 'When it happened'),
  request_id: requestId,
})
export type AccountMailBody = Static<typeof accountMailBody>

/** An event for webhooks and the message broker. */
export const eventBody = strict({
  id: described(uuid(), 'The id of the event: a second event of the same id is ignored'),
  type: described(oneOf(...EVENT_TYPES), 'What happened'),
  user_id: described(uuid(), 'The user whom it happened to'),
  at: described(bodyInteger(0, LATEST), 'When it happened, in milliseconds since 1970'),
  data: described(object(), 'The details, as the publishing service sends them'),
})
export type EventBody = Static<typeof eventBody>
export const eventsBody = strict({ events: t.Array(eventBody, { description: 'The events, oldest first' }) })
