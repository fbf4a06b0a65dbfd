import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { EVENT_TYPES } from '../../kit/schema/events.ts'
import { integer, matching, oneOf, strict, text } from '../../kit/schema/schema.ts'
import { jwk } from './discovery.ts'
import { REQUEST_ID } from './fields.ts'

export const feedQuery = strict({
  follower: text({
    least: 1,
    most: 100,
    description: 'The subscriber: a name that is unique to this run of the process',
    examples: ['users'],
  }),
  after: described(
    matching(/^\d{1,15}$/, 'must be a whole number'),
    'The number of the last revocation that the subscriber applied: it acknowledges all up to there',
    '0',
  ),
  epoch: text({
    most: 64,
    description: 'The epoch of the last page; after a change of it the feed starts over',
    examples: [REQUEST_ID],
  }),
})

const revocation = strict({
  kind: described(oneOf('session', 'user', 'keys', 'events'), 'What ended or changed'),
  subject: t.String({ description: 'The id of the session or the user', examples: [REQUEST_ID] }),
  version: described(integer(), 'Of a user: tokens issued from an older version are revoked'),
  until: described(integer(), 'When the last of these tokens expires, in milliseconds since 1970'),
})

export const feedPage = strict({
  epoch: t.String({ description: 'The database that `seq` counts in', examples: [REQUEST_ID] }),
  seq: described(integer(), 'The number of the last revocation of the page'),
  issuer: t.String({ description: 'The issuer of valid tokens', examples: ['https://auth.example.org'] }),
  audience: t.String({ description: 'The audience of valid tokens', examples: ['ch202'] }),
  keys: t.Array(jwk, { description: 'The public keys' }),
  revoked: t.Array(revocation, { description: 'The revocations after `after`' }),
  wanted: t.Array(oneOf(...EVENT_TYPES), { description: 'The event types that have a webhook or the message broker' }),
  complete: t.Boolean({ description: 'Whether this is the last page: then the lease of the subscriber is renewed' }),
})
