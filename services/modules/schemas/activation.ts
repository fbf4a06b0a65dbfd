import { t } from 'elysia'
import { described } from '../../kit/schema/described.ts'
import { page, pageQuery } from '../../kit/schema/page.ts'
import { strict, time, uuid } from '../../kit/schema/schema.ts'

export const activationBody = t.Optional(
  strict(
    { user_id: t.Optional(described(uuid(), 'For operators: the user')) },
    { description: 'Users change their own modules. Only operators may name a user', examples: [{}] },
  ),
)

export const moduleUsersQuery = strict(pageQuery)
export const moduleUserPage = page(
  strict({
    user_id: t.String({ format: 'uuid', description: 'The user' }),
    enabled_at: described(time(), 'When the user enabled the module'),
  }),
)
