import { and, eq, gt, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { AuthStore, Reset } from '../../services/auth/store/index.ts'
import { MINUTE } from '../../services/kit/clock.ts'
import type { AuditEvent } from '../../services/kit/outbox/audit.ts'
import { built, type Engine, text } from '../engine.ts'
import { placeholders } from '../placeholders.ts'
import { mailRequests, passwordResets } from '../schema/auth.ts'
import { BATCH, writeInBatches } from '../write-in-batches.ts'
import type { Audit } from './audit.ts'

/** Milliseconds after which a token can be taken again, if the process that took it never finished. */
const TAKEN_FOR = MINUTE

/** Password resets: the hashes of the tokens in the mails. */
export function resetStore(engine: Engine, audit: Audit) {
  return {
    issueReset: (reset: Reset, now: number, event: AuditEvent) =>
      engine.write(function* (tx) {
        const { mailId, requestedAt, userId } = reset
        const isFirst = (yield* tx.get(statements.claim, { mailId, now })) !== undefined
        if (isFirst && !(yield* tx.get(statements.newer, { userId, requestedAt, now }))) {
          yield* tx.run(statements.voidOthers, { userId })
          yield* tx.run(statements.insert, { ...reset, tokenHash: Buffer.from(reset.tokenHash), takenAt: null })
        }
        const issued = (yield* tx.get(statements.ofMail, { mailId, now })) ?? null
        if (issued) yield* audit.writeEvents(tx, [event])
        return issued
      }),
    takeReset: (hash: Uint8Array, now: number) =>
      engine.write(function* (tx) {
        const values = { tokenHash: Buffer.from(hash), now, abandonedBefore: now - TAKEN_FOR }
        return (yield* tx.get(statements.take, values))?.userId ?? null
      }),
    async returnReset(hash: Uint8Array) {
      await engine.write((tx) => tx.run(statements.giveBack, { tokenHash: Buffer.from(hash) }))
    },
    async forgetResets(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.expire, { now }))
    },
    async finishReset(hash: Uint8Array, event: AuditEvent | null) {
      await engine.write(function* (tx) {
        yield* tx.run(statements.remove, { tokenHash: Buffer.from(hash) })
        if (event) yield* audit.writeEvents(tx, [event])
      })
    },
  } satisfies Partial<AuthStore>
}

const { placeholder } = sql
const ofToken = eq(passwordResets.tokenHash, placeholder('tokenHash'))
const ofUser = eq(passwordResets.userId, placeholder('userId'))
const unexpired = gt(passwordResets.expiresAt, placeholder('now'))
const free = or(isNull(passwordResets.takenAt), lt(passwordResets.takenAt, placeholder('abandonedBefore')))

const statements = {
  insert: built((db) => db.insert(passwordResets).values(placeholders(passwordResets))),
  claim: built((db) =>
    db
      .update(mailRequests)
      .set({ linkAt: sql`${placeholder('now')}` })
      .where(and(eq(mailRequests.id, placeholder('mailId')), isNull(mailRequests.linkAt)))
      .returning({ id: mailRequests.id }),
  ),
  ofMail: built((db) =>
    db
      .select({ tokenHash: passwordResets.tokenHash, expiresAt: passwordResets.expiresAt })
      .from(passwordResets)
      .where(and(eq(passwordResets.mailId, placeholder('mailId')), unexpired)),
  ),
  newer: built((db) =>
    db
      .select({ userId: passwordResets.userId })
      .from(passwordResets)
      .where(
        and(
          ofUser,
          gt(passwordResets.requestedAt, placeholder('requestedAt')),
          // A future time was set by a clock that ran ahead: it must not block the resets requested since.
          lte(passwordResets.requestedAt, placeholder('now')),
        ),
      ),
  ),
  voidOthers: built((db) => db.delete(passwordResets).where(ofUser)),
  take: built((db) =>
    db
      .update(passwordResets)
      .set({ takenAt: sql`${placeholder('now')}` })
      .where(and(ofToken, unexpired, free))
      .returning(),
  ),
  giveBack: built((db) => db.update(passwordResets).set({ takenAt: null }).where(ofToken)),
  remove: built((db) => db.delete(passwordResets).where(ofToken)),
  expire: text(`
    DELETE FROM password_resets WHERE token_hash IN (
      SELECT token_hash FROM password_resets WHERE expires_at < $now LIMIT ${BATCH})`),
}
