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

interface IssueCall {
  reset: Reset
  now: number
  event: AuditEvent
}

/** Password resets: the hashes of the tokens in the mails. */
export function resetStore(engine: Engine, audit: Audit) {
  /** Mails that are written at the same time share a transaction: each adds to the audit, where they would conflict. */
  const issue = engine.grouped(
    function* (tx, calls: readonly IssueCall[]) {
      const mails = calls.map(({ now, reset: { mailId } }) => ({ mailId, now }))
      const stored = yield* tx.getEach(statements.mail, mails)
      const first = calls.filter((_, n) => stored[n]?.linkAt === null)
      yield* tx.runEach(
        statements.claim,
        mails.filter((_, n) => stored[n]?.linkAt === null),
      )
      const newer = yield* tx.getEach(
        statements.newer,
        first.map(({ now, reset: { requestedAt, userId } }) => ({ userId, requestedAt, now })),
      )
      const valid = first.filter((_, n) => newer[n] === undefined).map(({ reset }) => reset)
      if (valid.length > 0)
        yield* tx.run(statements.voidOthers, { users: JSON.stringify(valid.map(({ userId }) => userId)) })
      yield* tx.runEach(
        statements.insert,
        valid.map((reset) => ({ ...reset, tokenHash: Buffer.from(reset.tokenHash), takenAt: null })),
      )
      const issued = yield* tx.getEach(statements.ofMail, mails)
      const events = calls.filter((_, n) => issued[n] !== undefined).map(({ event }) => event)
      if (events.length > 0) yield* audit.writeEvents(tx, events)
      return issued.map((one) => one ?? null)
    },
    ({ reset }) => reset.userId,
  )

  return {
    issueReset: (reset: Reset, now: number, event: AuditEvent) => issue({ reset, now, event }),
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
/** A time that is compared: in a statement for a list it would be taken for text. */
const time = (name: string) => sql`CAST(${placeholder(name)} AS bigint)`
const unexpired = gt(passwordResets.expiresAt, time('now'))
const free = or(isNull(passwordResets.takenAt), lt(passwordResets.takenAt, placeholder('abandonedBefore')))

const statements = {
  insert: built((db) => db.insert(passwordResets).values(placeholders(passwordResets))),
  mail: built((db) =>
    db
      .select({ linkAt: mailRequests.linkAt })
      .from(mailRequests)
      .where(eq(mailRequests.id, placeholder('mailId'))),
  ),
  claim: built((db) =>
    db
      .update(mailRequests)
      .set({ linkAt: time('now') })
      .where(eq(mailRequests.id, placeholder('mailId'))),
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
          gt(passwordResets.requestedAt, time('requestedAt')),
          // A future time was set by a clock that ran ahead: it must not block the resets requested since.
          lte(passwordResets.requestedAt, time('now')),
        ),
      ),
  ),
  voidOthers: text({
    sqlite: 'DELETE FROM password_resets WHERE user_id IN (SELECT value FROM json_each($users))',
    postgres: `
      DELETE FROM password_resets
      WHERE user_id = ANY(ARRAY(SELECT jsonb_array_elements_text(CAST($users AS text)::jsonb)))`,
  }),
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
