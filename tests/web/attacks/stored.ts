import { databaseRows } from '../../support/postgres/database-rows.ts'
import type { Name } from '../../support/settings.ts'
import type { System } from '../../support/system.ts'

/** The tables that a form may change before its answer, without the times that a mere visit changes. */
const QUERIES: readonly [Name, string][] = [
  ['users', 'SELECT * FROM users ORDER BY id'],
  ['users', 'SELECT * FROM reserved_emails ORDER BY 1'],
  ['auth', 'SELECT id, user_id, ends_at, auth_time FROM sessions ORDER BY id'],
  ['auth', 'SELECT id, purpose, address, tries, taken_at FROM challenges ORDER BY id'],
  ['auth', 'SELECT id, user_id FROM devices ORDER BY id'],
  ['auth', 'SELECT id, user_id, client_id FROM grants ORDER BY id'],
  ['auth', 'SELECT user_id, client_id, scopes FROM consents ORDER BY user_id, client_id'],
  ['auth', 'SELECT user_id, client_id FROM authorization_codes ORDER BY created_at, user_id'],
  ['auth', 'SELECT seq, kind, subject FROM revocations ORDER BY seq'],
  ['modules', 'SELECT user_id, module_id, enabled FROM choices ORDER BY user_id, module_id'],
]

/** The digest of each table, for comparisons. */
export async function stored(system: System): Promise<Record<string, string>> {
  const tables: Record<string, string> = {}
  for (const [service, query] of QUERIES) {
    const rows = await databaseRows(system, service, query)
    tables[query] = `${rows.length} rows, ${Bun.hash(JSON.stringify(rows))}`
  }
  return tables
}
