import type { PostgresServer } from '../tests/support/postgres/server.ts'

/** The columns of a table that an insert gives values for. @param table with its schema, such as `auth.sessions` */
export async function columnsOf(server: PostgresServer, database: string, table: string): Promise<string[]> {
  const [schema, name] = table.split('.')
  const columns = await server.run(
    database,
    `SELECT column_name FROM information_schema.columns
     WHERE table_schema = '${schema}' AND table_name = '${name}' AND is_generated = 'NEVER'`,
  )
  return columns.map(([column]) => String(column))
}
