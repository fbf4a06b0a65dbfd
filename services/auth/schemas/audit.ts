import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import {
  bodyInteger,
  LATEST,
  matching,
  moment,
  nullable,
  object,
  strict,
  text,
  time,
  uuid,
} from '../../kit/schema/schema.ts'
import { IP_ADDRESS, id, REQUEST_ID } from './fields.ts'

const TYPE = 'session.created'
const ACTOR = `user:${REQUEST_ID}`

const descriptions = {
  id: 'The id of the entry',
  at: 'When it happened',
  type: 'What happened, as `noun.verb`',
  user_id: 'The user whom it happened to, if any',
  actor: 'Who did it: `user:` with an id, `operator`, `internal`, `auth`, `cli` or `anyone`',
  ip: 'The IP address of the request, if any',
  request_id: 'The request that caused it, if any',
  detail: 'More about it, depending on the type',
}

export const auditPage = page(
  strict({
    id: id(descriptions.id),
    type: t.String({ description: descriptions.type, examples: [TYPE] }),
    user_id: t.Nullable(t.String({ format: 'uuid' }), { description: descriptions.user_id }),
    actor: t.String({ description: descriptions.actor, examples: [ACTOR] }),
    ip: t.Nullable(t.String({ examples: [IP_ADDRESS] }), { description: descriptions.ip }),
    request_id: t.Nullable(t.String({ examples: [REQUEST_ID] }), { description: descriptions.request_id }),
    detail: t.Record(t.String(), t.Unknown(), { description: descriptions.detail }),
    at: described(time(), descriptions.at),
  }),
)

export const activity = strict({
  id: id(descriptions.id),
  type: t.String({ description: descriptions.type, examples: [TYPE] }),
  ip: t.Nullable(t.String({ examples: [IP_ADDRESS] }), {
    description: 'The IP address of the request; null for what others did to the account',
  }),
  request_id: t.Nullable(t.String({ examples: [REQUEST_ID] }), {
    description: 'The request that caused it; null for requests of others',
  }),
  detail: t.Record(t.String(), t.Unknown(), { description: descriptions.detail }),
  at: described(time(), descriptions.at),
})
export type Activity = Static<typeof activity>
export const activityPage = page(activity)
export const activityQuery = strict(pageQuery)

export const auditBody = strict({
  id: described(uuid(), `${descriptions.id}: a second entry of the same id is ignored`),
  // RFC 3339 cannot express a later time, so no list could show it.
  at: described(bodyInteger(0, LATEST), `${descriptions.at}, in milliseconds since 1970`),
  type: described(matching(/^[a-z_]+\.[a-z_]+$/, 'must be noun.verb'), descriptions.type, TYPE),
  user_id: described(nullable(uuid()), descriptions.user_id),
  actor: text({ least: 1, most: 100, description: descriptions.actor, examples: [ACTOR] }),
  ip: nullable(text({ most: 64, description: descriptions.ip, examples: [IP_ADDRESS] })),
  request_id: nullable(text({ most: 128, description: descriptions.request_id, examples: [REQUEST_ID] })),
  detail: described(object(), descriptions.detail),
})
export type AuditBody = Static<typeof auditBody>

export const auditQuery = strict({
  ...pageQuery,
  user_id: t.Optional(described(uuid(), 'Only entries about this user')),
  type: t.Optional(text({ least: 1, most: 64, description: 'Only entries of this type', examples: [TYPE] })),
  since: t.Optional(described(moment(), 'Only entries from this time on')),
  request_id: t.Optional(
    text({ least: 1, most: 128, description: 'Only entries of this request', examples: [REQUEST_ID] }),
  ),
  after_id: t.Optional(described(uuid(), 'Only entries written after this one, oldest first')),
})
