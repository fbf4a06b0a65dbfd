import { type Static, t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { strict, time } from '../../kit/schema/schema.ts'
import { CLIENT } from './client-parameters.ts'
import { id } from './fields.ts'

const GRANT = '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e'

export const grantParams = t.Object({ grant_id: t.String({ description: 'The id of the grant', examples: [GRANT] }) })

export const grantList = strict({
  items: t.Array(
    strict({
      id: id('The grant'),
      client_id: t.String({ description: 'The app', examples: [CLIENT] }),
      client_name: t.String({ description: 'Its name', examples: ['Orders'] }),
      scopes: t.Array(t.String(), { description: 'What the user allowed', examples: [['openid', 'email']] }),
      offline: t.Boolean({ description: 'Whether it outlives the session in which it was given' }),
      created_at: described(time(), 'When it was given'),
      last_used_at: described(time(), 'When the app last got a token'),
    }),
    { description: 'What the user gave apps, newest first' },
  ),
})
export type GrantRead = Static<typeof grantList>['items'][number]
