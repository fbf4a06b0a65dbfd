import type { InspectedDatabase } from './database.ts'

/** Whether an active user has the role ADMIN. */
export function hasAdmin({ raw }: InspectedDatabase): boolean {
  return raw.query('SELECT 1 FROM users WHERE is_admin LIMIT 1').get() !== null
}
