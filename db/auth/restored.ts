import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { Account } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { accounts } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { rowOf } from './accounts.ts'
import { auditStore } from './audit.ts'

/** The tables that a restore empties: the next start makes a new key, and the rest ends with the restore. */
const TABLES = [
  'refresh_hashes',
  'sessions',
  'revocations',
  'signing_keys',
  'password_resets',
  'mail_requests',
  'accounts',
]

/** The private keys of a database, encrypted: to check whether CH202_SECRET decrypts them. */
export function sealedKeys({ raw }: Sqlite): { kid: string; sealed: Uint8Array }[] {
  return raw
    .query<{ kid: string; sealed: Uint8Array }, []>('SELECT kid, sealed_private_key AS sealed FROM signing_keys')
    .all()
}

/**
 * Prepares a restored auth database for its first start: no sessions, no keys of earlier tokens, no password resets, a
 * new epoch of the feed, and a password cache filled from the restored users. The old cache may be newer than those users
 * and would then ignore their notices.
 */
export async function resetAfterRestore(sqlite: Sqlite, users: Iterable<Account>, event: AuditEvent): Promise<void> {
  const db = drizzle(sqlite.raw)
  const audit = auditStore(sqlite, db)
  const insert = db.insert(accounts).values(placeholders(accounts)).prepare()
  await sqlite.write((tx) => {
    for (const table of TABLES) sqlite.raw.run(`DELETE FROM ${table}`)
    // The issuer stays: clients are configured with it. The next start makes the epoch and the first key.
    sqlite.raw.run("DELETE FROM facts WHERE name IN ('epoch', 'alive_at')")
    for (const user of users) tx.run(insert, rowOf(user))
    audit.writeEvent(tx, event)
  })
}
