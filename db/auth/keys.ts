import { asc, eq, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, StoredKey } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { signingKeys } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'
import type { Feed } from './revocations.ts'

/** The key ring. Each change has an entry in the feed, so that callers can wait until all subscribers acknowledged it. */
export function keyStore(sqlite: Sqlite, db: BunSQLiteDatabase, { audit, feed }: { audit: Audit; feed: Feed }) {
  const kid = sql.placeholder('kid')
  const statements = prepared({
    all: () => db.select().from(signingKeys).orderBy(asc(signingKeys.createdAt)).prepare(),
    insert: () => db.insert(signingKeys).values(placeholders(signingKeys)).prepare(),
    retire: () =>
      db
        .update(signingKeys)
        .set({ status: 'retiring', goneAt: sql`${sql.placeholder('goneAt')}` })
        .where(eq(signingKeys.status, 'active'))
        .prepare(),
    activate: () =>
      db.update(signingKeys).set({ status: 'active', goneAt: null }).where(eq(signingKeys.kid, kid)).prepare(),
    reseal: () =>
      db
        .update(signingKeys)
        .set({ sealedPrivateKey: sql`${sql.placeholder('sealed')}` })
        .where(eq(signingKeys.kid, kid))
        .prepare(),
    remove: () => db.delete(signingKeys).where(eq(signingKeys.kid, kid)).returning({ kid: signingKeys.kid }).prepare(),
  })

  const announce = (tx: Transaction, subject: string, until: number) =>
    feed.writeRevocations(tx, [{ kind: 'keys', subject, version: 0, until }]).seq

  return {
    signingKeys: async (): Promise<StoredKey[]> => statements.all.all(),
    addSigningKey: (key: StoredKey, event: AuditEvent | null) =>
      sqlite.write((tx) => {
        tx.run(statements.insert, { ...key, sealedPrivateKey: Buffer.from(key.sealedPrivateKey) })
        if (event) audit.writeEvent(tx, event)
        return announce(tx, key.kid, key.createdAt)
      }),
    async activateSigningKey(id: string, goneAt: number, event: AuditEvent | null) {
      await sqlite.write((tx) => {
        tx.run(statements.retire, { goneAt })
        tx.run(statements.activate, { kid: id })
        if (event) audit.writeEvent(tx, event)
      })
    },
    removeSigningKey: (id: string, until: number, event: AuditEvent | null) =>
      sqlite.write((tx) => {
        if (!tx.get(statements.remove, { kid: id })) return null
        if (event) audit.writeEvent(tx, event)
        return announce(tx, id, until)
      }),
    async resealSigningKey(id: string, sealedPrivateKey: Uint8Array) {
      await sqlite.write((tx) => {
        tx.run(statements.reseal, { kid: id, sealed: Buffer.from(sealedPrivateKey) })
      })
    },
  } satisfies Partial<AuthStore>
}
