import type { Account } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { type Engine, text } from '../engine.ts'
import { BATCH } from '../write-in-batches.ts'
import { rowOf } from './account-table/rows.ts'
import { STATEMENTS } from './account-table/statements.ts'
import { auditStore } from './audit/audit.ts'

/** The tables that a restore empties: the next start makes a new key, and the rest ends with the restore. */
const TABLES = [
  'refresh_hashes',
  'sessions',
  'revocations',
  'signing_keys',
  'challenges',
  'devices',
  'grants',
  'authorization_codes',
  'consents',
  'client_logouts',
  'mail_requests',
  'accounts',
]

const statements = {
  sealedKeys: text<{ kid: string; sealed: Uint8Array }>('SELECT kid, sealed_private_key AS sealed FROM signing_keys'),
  // The issuer stays: clients are configured with it. The next start makes the epoch and the first key.
  empty: [
    ...TABLES.map((table) => text(`DELETE FROM ${table}`)),
    text("DELETE FROM facts WHERE name IN ('epoch', 'alive_at')"),
  ],
}

/** The private keys of a database, encrypted: to check whether CH202_SECRET decrypts them. */
export function sealedKeys(engine: Engine): Promise<{ kid: string; sealed: Uint8Array }[]> {
  return engine.all(statements.sealedKeys)
}

/**
 * Prepares a restored auth database for its first start: no sessions, no keys of earlier tokens, no password resets, a
 * new epoch of the feed, and a password cache filled from the restored users. The old cache may be newer than those users
 * and would then ignore their notices. If it throws, the database is unusable.
 */
export async function resetAfterRestore(
  engine: Engine,
  users: Iterable<Account> | AsyncIterable<Account>,
  event: AuditEvent,
): Promise<void> {
  const audit = auditStore(engine)
  await engine.write(function* (tx) {
    for (const statement of statements.empty) yield* tx.run(statement)
  })
  for await (const batch of batchesOf(users))
    await engine.write(function* (tx) {
      for (const user of batch) yield* tx.run(STATEMENTS.insert, rowOf(user))
    })
  await audit.addAuditEvent(event)
}

async function* batchesOf(users: Iterable<Account> | AsyncIterable<Account>): AsyncGenerator<Account[]> {
  let batch: Account[] = []
  for await (const user of users) {
    batch.push(user)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  yield batch
}
