import { and, eq, gt, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Reset } from '../../services/auth/store/index.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { mailRequests, passwordResets } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { Audit } from './audit.ts'

/** Whoever took a token and died over it has lost it after a minute. */
const TAKEN_FOR = 60_000

/** Password resets: the hashes of the tokens that went out. */
export function resetStore(sqlite: Sqlite, db: BunSQLiteDatabase, audit: Audit) {
  const tokenHash = sql.placeholder('tokenHash')
  const userId = sql.placeholder('userId')
  const free = or(isNull(passwordResets.takenAt), lt(passwordResets.takenAt, sql.placeholder('forgotten')))
  const statements = prepared({
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
            // A time to come was set by a clock that ran ahead: it must not stand in the way of those asked for since.
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

  return {
    issueReset: (reset: Reset, now: number, event: AuditEvent) =>
      sqlite.write(() => {
        const { expiresAt, mailId, requestedAt, tokenHash: hash, userId: user } = reset
        const isFirst = statements.claim.get({ mailId, now }) !== undefined
        if (isFirst && !statements.newer.get({ userId: user, requestedAt, now })) {
          statements.voidOthers.run({ userId: user })
          statements.insert.run({
            tokenHash: Buffer.from(hash),
            userId: user,
            expiresAt,
            takenAt: null,
            mailId,
            requestedAt,
          })
        }
        const issued = statements.ofMail.get({ mailId, now }) ?? null
        if (issued) audit.writeEvent(event)
        return issued
      }),
    takeReset: (hash: Uint8Array, now: number) =>
      sqlite.write(() => {
        const row = statements.take.get({ tokenHash: Buffer.from(hash), now, forgotten: now - TAKEN_FOR })
        return row?.userId ?? null
      }),
    async returnReset(hash: Uint8Array) {
      await sqlite.write(() => statements.giveBack.run({ tokenHash: Buffer.from(hash) }))
    },
    async forgetResets(now: number) {
      await sqlite.write(() => statements.expire.run({ now }))
    },
    async finishReset(hash: Uint8Array, event: AuditEvent | null) {
      await sqlite.write(() => {
        statements.remove.run({ tokenHash: Buffer.from(hash) })
        if (event) audit.writeEvent(event)
      })
    },
  } satisfies Partial<AuthStore>
}
