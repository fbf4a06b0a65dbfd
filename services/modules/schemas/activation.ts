import { t } from 'elysia'
import { page, pageQuery } from '../../kit/schema/page.ts'
import { strict, time, uuid } from '../../kit/schema/schema.ts'

export const activationBody = t.Optional(
  strict(
    { user_id: t.Optional(uuid()) },
    { description: 'Operators name the user here; users change their own modules', examples: [{}] },
  ),
)

export const moduleUsersQuery = strict(pageQuery)
export const moduleUserPage = page(strict({ user_id: t.String({ format: 'uuid' }), enabled_at: time() }))
