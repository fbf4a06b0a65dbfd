import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery, searchQuery } from '../../kit/schema/page.ts'
import { integer, number, oneOf, strict, time, uuid } from '../../kit/schema/schema.ts'
import { id } from './fields.ts'

const cacheEntry = strict({
  user_id: id('The user'),
  email: t.String({ description: 'The email of the user', examples: ['ana@example.org'] }),
  username: t.Nullable(t.String({ examples: ['ana'] }), { description: 'The username, if the user has one' }),
  status: described(oneOf('active', 'disabled'), '`disabled`: the user cannot log in'),
  password_version: described(integer(), 'The version of the record: it grows with every change of the user'),
  synced_at: described(time(), 'When users last sent the record'),
})
export const cachePage = page(cacheEntry)
export const cacheQuery = strict({ ...pageQuery, ...searchQuery('the email or the username') })

export const cacheParams = t.Object({
  user_id: t.String({ description: 'The id of the user', examples: ['0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'] }),
})

export const cacheSyncBody = t.Optional(
  strict({ user_id: t.Optional(described(uuid(), 'Synchronize this user only')) }),
)
export const cacheSynced = strict({
  synced: described(integer(), 'How many records were added or replaced'),
  removed: described(integer(), 'How many records were removed because the user no longer exists'),
  unchanged: described(integer(), 'How many records were up to date'),
  duration_ms: described(integer(), 'How long it took, in milliseconds'),
})

export const cacheHealth = strict({
  entries: described(integer(), 'How many users are cached'),
  hits: described(integer(), 'Logins that this node answered from the cache since its start'),
  misses: described(integer(), 'Logins for which this node asked users since its start'),
  hit_ratio: described(number(), 'The share of hits, from 0 to 1', 0.98),
  last_sync_at: t.Nullable(time(), {
    description: 'When users last sent this node a record; null: not since its start',
  }),
  pending: described(integer(), 'How many rehashed passwords are on their way from this node to users'),
})
