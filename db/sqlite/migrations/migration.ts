import type { Database } from 'bun:sqlite'

/** One step of a schema: forward only, and never edited once it has landed. */
export interface Migration {
  name: string
  sql: string
  /** Does what SQL cannot, after the SQL and in its transaction. It must never change once it has landed. */
  finish?(raw: Database): void
}
