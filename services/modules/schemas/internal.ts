import { type Static, t } from 'elysia'
import { integer, matching, strict, text, uuid } from '../../kit/schema/schema.ts'
import { moduleId } from './library.ts'

export const userParams = t.Object({ user_id: uuid() })
export const userModules = strict({
  user_id: t.String({ format: 'uuid' }),
  modules: t.Array(t.String({ examples: ['billing'] })),
})
export type UserModules = Static<typeof userModules>

export const feedQuery = strict({
  module: moduleId,
  follower: text({ least: 1, most: 100 }),
  after: matching(/^\d{1,15}$/, 'must be a whole number'),
  epoch: text({ most: 64 }),
})
export const feedPage = strict({
  epoch: t.String(),
  seq: integer(),
  complete: t.Boolean(),
  reset: t.Boolean(),
  module: t.Nullable(strict({ default: t.Boolean(), roles: t.Array(t.String()) })),
  choices: t.Array(strict({ user: t.String({ format: 'uuid' }), enabled: t.Nullable(t.Boolean()) })),
})

export const deletedUser = strict({ user_id: uuid() })
