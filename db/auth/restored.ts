import { drizzle } from 'drizzle-orm/bun-sqlite'
import type { Account } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { emailKey } from '../../services/kit/schema/email.ts'
import { storedHash } from '../password-hash.ts'
import { placeholders } from '../placeholders.ts'
import { accounts } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import { searchTextOfAccount } from './account-search.ts'
import { auditStore } from './audit.ts'

/** The private keys of a database, as they are kept: for asking whether CH202_SECRET opens them. */
export function sealedKeys({ raw }: Sqlite): { kid: string; sealed: Uint8Array }[] {
  return raw
    .query<{ kid: string; sealed: Uint8Array }, []>('SELECT kid, sealed_private_key AS sealed FROM signing_keys')
    .all()
}

/**
 * What a restored auth database begins with: no session, no key that an earlier token was signed with, no reset, a feed
 * of another name, and the password cache filled from the users beside it. What the cache held goes: it may be ahead of
 * them, and would ignore what they tell.
 */
export async function beginAnew(sqlite: Sqlite, users: Iterable<Account>, event: AuditEvent): Promise<void> {
  const db = drizzle(sqlite.raw)
  const audit = auditStore(sqlite, db)
  const add = db.insert(accounts).values(placeholders(accounts)).prepare()
  await sqlite.write(() => {
    for (const table of [
      'refresh_hashes',
      'sessions',
      'revocations',
      'signing_keys',
      'password_resets',
      'mail_requests',
      'accounts',
    ])
      sqlite.raw.run(`DELETE FROM ${table}`)
    // The issuer stays: it is what clients were told. The next start makes the feed's name and the first key.
    sqlite.raw.run("DELETE FROM facts WHERE name IN ('epoch', 'alive_at')")
    for (const user of users) {
      const key = emailKey(user.email)
      add.run({
        ...user,
        passwordHash: storedHash(user.passwordHash),
        emailKey: key,
        deleted: false,
        searchText: searchTextOfAccount({ ...user, emailKey: key }),
      })
    }
    audit.writeEvent(event)
  })
}
