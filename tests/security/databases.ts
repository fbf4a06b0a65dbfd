import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { ADDED_SERVICES } from '../support/added-services.ts'
import type { Name } from '../support/settings.ts'
import type { System } from '../support/system.ts'

/** The tables that a request may change before its response, by service. */
const TABLES = new Map([
  ['users', ['users', 'deleted_ids', 'reserved_emails']],
  ['auth', ['sessions', 'signing_keys', 'revocations', 'refresh_hashes']],
  ['modules', ['modules', 'choices', 'deleted_users']],
  ...Object.entries(ADDED_SERVICES).map(([name, { tables }]): [string, string[]] => [name, tables]),
])

/** Reads the database files, because a response may hide what a request has changed. */
export class Databases {
  private readonly files: Record<Name, Database>
  /** The last state, and what it is of. */
  private last = { of: '', state: '' }

  constructor({ dataDir }: System) {
    const open = (name: string) => new Database(join(dataDir, `${name}.sqlite`), { readonly: true })
    this.files = Object.fromEntries(SERVICES_WITH_DATABASE.map((name) => [name, open(name)])) as typeof this.files
  }

  /** All tables as text, for comparisons. Of the tables that notices change later, only the rows about `subjects`. */
  state(...subjects: unknown[]): string {
    // To read the tables takes long. They are as they were unless another connection has written since.
    const versions = Object.values(this.files).map((file) => file.query('PRAGMA data_version').get())
    const of = JSON.stringify([subjects, versions])
    if (of !== this.last.of) this.last = { of, state: this.readState(subjects) }
    return this.last.state
  }

  private readState(subjects: unknown[]): string {
    const tables = [...TABLES].flatMap(([name, tables]) =>
      tables.map((table) => this.files[name as Name].query(`SELECT * FROM ${table}`).values()),
    )
    const about = subjects.map((subject) => [
      this.files.auth.query('SELECT * FROM accounts WHERE user_id = ?').values(String(subject)),
      this.files.auth.query('SELECT * FROM audit WHERE id = ?').values(String(subject)),
    ])
    return JSON.stringify([tables, about])
  }

  /** The row of a user. */
  user(id: string): unknown {
    return this.files.users.query('SELECT * FROM users WHERE id = ?').get(id)
  }

  /** Number of users. */
  users(): number {
    return this.files.users.query('SELECT id FROM users').values().length
  }

  close(): void {
    for (const file of Object.values(this.files)) file.close()
  }
}
