import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import {
  bodyInteger,
  integer,
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

const auditFields = {
  id: id(descriptions.id),
  type: t.String({ description: descriptions.type, examples: [TYPE] }),
  user_id: t.Nullable(t.String({ format: 'uuid' }), { description: descriptions.user_id }),
  actor: t.String({ description: descriptions.actor, examples: [ACTOR] }),
  ip: t.Nullable(t.String({ examples: [IP_ADDRESS] }), { description: descriptions.ip }),
  request_id: t.Nullable(t.String({ examples: [REQUEST_ID] }), { description: descriptions.request_id }),
  detail: t.Record(t.String(), t.Unknown(), { description: descriptions.detail }),
  at: described(time(), descriptions.at),
}

export const auditPage = page(strict(auditFields))

const HASH = '6badf674cc56ca5884f84a81c40447b7c1a4d3cf2f0b7c5e0b1ce9a3f0d2b4e6'
const hash = (description: string) => t.String({ description, examples: [HASH] })
const seal = (parts: string) =>
  t.Nullable(t.String(), {
    description: `The salt of the digest of ${parts}, in hex; the digest itself if they were erased; null in entries of earlier versions`,
    examples: ['c0ffee5f0d3b4e6a9d5b3f6a1b2c4d5e'],
  })
const seq = (description: string) => described(integer(), description, 1)

export const auditChain = strict({
  items: t.Array(
    strict({
      ...auditFields,
      seq: seq('The number of the entry in the chain'),
      prev_hash: t.Nullable(hash('The hash of the entry before, in hex; null in an altered entry')),
      origin_seal: seal('`ip` and `request_id`'),
      detail_seal: seal('`detail`'),
      row_hash: t.Nullable(hash('The hash of an entry without seals of which a part was erased, in hex')),
    }),
    { description: 'The entries, in the order of the chain' },
  ),
  next_cursor: t.Nullable(t.String(), {
    description: 'The cursor of the next entries; null: these are the last ones',
    examples: [null],
  }),
  head: t.Nullable(
    strict({ seq: seq('The number of the last entry'), hash: hash('The hash of the last entry, in hex') }),
    { description: 'The head of the chain when these entries were read; null if it was removed or altered' },
  ),
})

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

const auditFilter = {
  user_id: t.Optional(described(uuid(), 'Only entries about this user')),
  type: t.Optional(text({ least: 1, most: 64, description: 'Only entries of this type', examples: [TYPE] })),
  since: t.Optional(described(moment(), 'Only entries from this time on')),
}

export const auditQuery = strict({
  ...pageQuery,
  ...auditFilter,
  request_id: t.Optional(
    text({ least: 1, most: 128, description: 'Only entries of this request', examples: [REQUEST_ID] }),
  ),
  after_id: t.Optional(described(uuid(), 'Only entries written after this one, oldest first')),
})

const { page: _, ...cursorQuery } = pageQuery
export const auditChainQuery = strict({
  ...cursorQuery,
  ...auditFilter,
  until: t.Optional(described(moment(), 'Only entries before this time')),
})
