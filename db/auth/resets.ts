import { and, eq, gt, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Reset } from '../../services/auth/store/index.ts'
import { MINUTE } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { mailRequests, passwordResets } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'

/** Milliseconds after which a token can be taken again, if the process that took it never finished. */
const TAKEN_FOR = MINUTE

/** Password resets: the hashes of the tokens in the mails. */
export function resetStore(sqlite: Sqlite, db: BunSQLiteDatabase, audit: Audit) {
  const statements = prepare(db)

  return {
    issueReset: (reset: Reset, now: number, event: AuditEvent) =>
      sqlite.write((tx) => {
        const { mailId, requestedAt } = reset
        const isFirst = tx.get(statements.claim, { mailId, now }) !== undefined
        if (isFirst && !tx.get(statements.newer, { userId: reset.userId, requestedAt, now })) {
          tx.run(statements.voidOthers, { userId: reset.userId })
          tx.run(statements.insert, { ...reset, tokenHash: Buffer.from(reset.tokenHash), takenAt: null })
        }
        const issued = tx.get(statements.ofMail, { mailId, now }) ?? null
        if (issued) audit.writeEvent(tx, event)
        return issued
      }),
    takeReset: (hash: Uint8Array, now: number) =>
      sqlite.write((tx) => {
        const row = tx.get(statements.take, { tokenHash: Buffer.from(hash), now, abandonedBefore: now - TAKEN_FOR })
        return row?.userId ?? null
      }),
    async returnReset(hash: Uint8Array) {
      await sqlite.write((tx) => tx.run(statements.giveBack, { tokenHash: Buffer.from(hash) }))
    },
    async forgetResets(now: number) {
      await sqlite.write((tx) => tx.run(statements.expire, { now }))
    },
    async finishReset(hash: Uint8Array, event: AuditEvent | null) {
      await sqlite.write((tx) => {
        tx.run(statements.remove, { tokenHash: Buffer.from(hash) })
        if (event) audit.writeEvent(tx, event)
      })
    },
  } satisfies Partial<AuthStore>
}

function prepare(db: BunSQLiteDatabase) {
  const tokenHash = sql.placeholder('tokenHash')
  const userId = sql.placeholder('userId')
  const free = or(isNull(passwordResets.takenAt), lt(passwordResets.takenAt, sql.placeholder('abandonedBefore')))
  return prepared({
    insert: () => db.insert(passwordResets).values(placeholders(passwordResets)).prepare(),
    claim: () =>
      db
        .update(mailRequests)
        .set({ linkAt: sql`${sql.placeholder('now')}` })
        .where(and(eq(mailRequests.id, sql.placeholder('mailId')), isNull(mailRequests.linkAt)))
        .returning({ id: mailRequests.id })
        .prepare(),
    ofMail: () =>
      db
        .select({ tokenHash: passwordResets.tokenHash, expiresAt: passwordResets.expiresAt })
        .from(passwordResets)
        .where(
          and(
            eq(passwordResets.mailId, sql.placeholder('mailId')),
            gt(passwordResets.expiresAt, sql.placeholder('now')),
          ),
        )
        .prepare(),
    newer: () =>
      db
        .select({ userId: passwordResets.userId })
        .from(passwordResets)
        .where(
          and(
            eq(passwordResets.userId, userId),
            gt(passwordResets.requestedAt, sql.placeholder('requestedAt')),
            // A future time was set by a clock that ran ahead: it must not block the resets requested since.
            lte(passwordResets.requestedAt, sql.placeholder('now')),
          ),
        )
        .prepare(),
    voidOthers: () => db.delete(passwordResets).where(eq(passwordResets.userId, userId)).prepare(),
    take: () =>
      db
        .update(passwordResets)
        .set({ takenAt: sql`${sql.placeholder('now')}` })
        .where(and(eq(passwordResets.tokenHash, tokenHash), gt(passwordResets.expiresAt, sql.placeholder('now')), free))
        .returning()
        .prepare(),
    giveBack: () =>
      db.update(passwordResets).set({ takenAt: null }).where(eq(passwordResets.tokenHash, tokenHash)).prepare(),
    remove: () => db.delete(passwordResets).where(eq(passwordResets.tokenHash, tokenHash)).prepare(),
    expire: () =>
      db
        .delete(passwordResets)
        .where(lt(passwordResets.expiresAt, sql.placeholder('now')))
        .prepare(),
  })
}
