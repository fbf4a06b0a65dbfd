import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { integer, matching, strict, text, uuid } from '../../kit/schema/schema.ts'
import { moduleId } from './library.ts'

const EPOCH = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'

export const userParams = t.Object({ user_id: described(uuid(), 'The id of the user') })
export const userModules = strict({
  user_id: t.String({ format: 'uuid', description: 'The user' }),
  modules: t.Array(t.String({ examples: ['billing'] }), {
    description: 'The ids of the modules that the user may use',
  }),
})
export type UserModules = Static<typeof userModules>

export const feedQuery = strict({
  module: moduleId,
  follower: text({
    least: 1,
    most: 100,
    description: 'The subscriber: a name that is unique to this run of the process',
    examples: ['billing'],
  }),
  after: matching(/^\d{1,15}$/, 'must be a whole number', {
    description: 'The number of the last change that the subscriber applied: it acknowledges all up to there',
    examples: ['0'],
  }),
  epoch: text({
    most: 64,
    description: 'The epoch of the last page; after a change of it the feed starts over',
    examples: [EPOCH],
  }),
})
export const feedPage = strict({
  epoch: t.String({ description: 'The database that `seq` counts in', examples: [EPOCH] }),
  seq: described(integer(), 'The number of the last change of the page'),
  complete: t.Boolean({ description: 'Whether this is the last page: then the lease of the subscriber is renewed' }),
  reset: t.Boolean({ description: 'Whether the subscriber must forget all choices before it applies the page' }),
  module: t.Nullable(
    strict({
      default: t.Boolean({ description: 'Whether the module is on for users who did not choose' }),
      roles: t.Array(t.String({ examples: ['USER'] }), {
        description: 'A user needs all of these roles to enable the module',
      }),
    }),
    { description: 'The module; null: it does not exist' },
  ),
  choices: t.Array(
    strict({
      user: t.String({ format: 'uuid', description: 'The user' }),
      enabled: t.Nullable(t.Boolean(), { description: 'The choice of the user; null: none, the default applies' }),
    }),
    { description: 'The choices that changed after `after`' },
  ),
})

export const deletedUser = strict({ user_id: described(uuid(), 'The deleted user') })
