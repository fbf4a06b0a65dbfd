import { and, eq, type SQL, sql } from 'drizzle-orm'
import { unionAll } from 'drizzle-orm/sqlite-core'
import type {
  AuthStore,
  ListedMail,
  MailEnd,
  MailFilter,
  MailRow,
  MailStatus,
  RetryResult,
} from '../../../services/auth/store/index.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import type { PageRequest, Position, Slice } from '../../../services/kit/schema/page.ts'
import { COUNT, countOf } from '../../count.ts'
import { type Body, type Builder, built, dynamic, type Engine, type Transaction, text } from '../../engine.ts'
import { groupedBodies } from '../../grouped-bodies.ts'
import { pageBounds, sliceOf } from '../../page-bounds.ts'
import { placeholders } from '../../placeholders.ts'
import { accounts, challenges, finishedMails, mailRequests } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'
import type { Audit } from '../audit/audit.ts'
import { addMail, ofThisNode } from './mail-requests.ts'

const { placeholder } = sql

const statements = {
  take: built((db) =>
    db
      .delete(mailRequests)
      .where(eq(mailRequests.id, placeholder('id')))
      .returning(),
  ),
  takeOwn: built((db, dialect) =>
    db
      .delete(mailRequests)
      .where(and(eq(mailRequests.id, placeholder('id')), ofThisNode(dialect)))
      .returning(),
  ),
  account: built((db) =>
    db
      .select({ deleted: accounts.deleted })
      .from(accounts)
      .where(eq(accounts.userId, placeholder('userId'))),
  ),
  add: built((db) => db.insert(finishedMails).values(placeholders(finishedMails)).onConflictDoNothing()),
  correct: text(`
    UPDATE finished_mails SET status = 'sent', last_error = NULL, finished_at = $now WHERE id = $id AND status = 'failed'`),
  queued: built((db) =>
    db
      .select()
      .from(mailRequests)
      .where(eq(mailRequests.id, placeholder('id'))),
  ),
  finished: built((db) =>
    db
      .select()
      .from(finishedMails)
      .where(eq(finishedMails.id, placeholder('id'))),
  ),
  /** On PostgreSQL this node becomes the owner: the one that has the mail may not look before a minute has passed. */
  hasten: text({
    sqlite: 'UPDATE mail_requests SET next_at = $now WHERE id = $id AND next_at > $now',
    postgres: 'UPDATE mail_requests SET next_at = $now, owner = $node WHERE id = $id AND next_at > $now',
  }),
  remove: built((db) => db.delete(finishedMails).where(eq(finishedMails.id, placeholder('id')))),
  /** Makes the challenge as it was before its mail was first written, unless it was used, voided or has expired. */
  renew: built((db) =>
    db
      .update(challenges)
      .set({ tokenHash: null, tries: 0 })
      .where(and(eq(challenges.mailId, placeholder('id')), sql`${challenges.expiresAt} > ${placeholder('now')}`))
      .returning({ id: challenges.id }),
  ),
  forget: text(`
    DELETE FROM finished_mails WHERE id IN (
      SELECT id FROM finished_mails WHERE finished_at < $before ORDER BY finished_at LIMIT ${BATCH})`),
}

/** Mails that were sent or have failed, and the list of all mails. */
export function finishedMailStore(engine: Engine, audit: Audit) {
  const owner = () => ({ node: engine.node?.current ?? '' })

  function* finish(tx: Transaction, id: string, { attempts, lastError, status }: MailEnd, now: number): Body<void> {
    // A mail that was sent was sent, whoever owns it by now. Only its owner says that it has failed.
    const row = yield* tx.get(status === 'sent' ? statements.take : statements.takeOwn, { ...owner(), id })
    if (!row) {
      if (status === 'sent') yield* tx.run(statements.correct, { id, now })
      return
    }
    const { linkAt, nextAt, ...request } = row
    const { userId } = request
    // The mails of a user are removed with them.
    if (userId !== null && (yield* tx.get(statements.account, { userId }))?.deleted) return
    yield* tx.run(statements.add, { ...request, tries: request.tries + attempts, status, lastError, finishedAt: now })
  }

  function* retry(tx: Transaction, id: string, hasChallenge: boolean, now: number): Body<RetryResult> {
    const queued = yield* tx.get(statements.queued, { id })
    if (queued) {
      yield* tx.run(statements.hasten, { ...owner(), id, now })
      return 'queued'
    }
    const finished = yield* tx.get(statements.finished, { id })
    if (!finished) return 'unknown'
    if (finished.status === 'sent') return 'sent'
    if (hasChallenge && !(yield* tx.get(statements.renew, { id, now }))) return 'void'
    const { finishedAt, status, ...request } = finished
    yield* tx.run(statements.remove, { id })
    yield* addMail(engine, tx, {
      ...request,
      data: { ...request.data, retriedAt: now },
      tries: 0,
      nextAt: now,
      linkAt: null,
      lastError: null,
    })
    return 'queued'
  }

  const finishOne = groupedBodies(
    engine,
    (tx, { end, id, now }: { id: string; end: MailEnd; now: number }) => finish(tx, id, end, now),
    ({ id }) => id,
  )

  return {
    finishMailRequest: (id: string, end: MailEnd, now: number) => finishOne({ id, end, now }),
    retryMail: (id: string, hasChallenge: boolean, now: number, event: AuditEvent) =>
      engine.write(function* (tx) {
        const result = yield* retry(tx, id, hasChallenge, now)
        if (result === 'queued') yield* audit.writeEvents(tx, [event])
        return result
      }),
    mailById: (id: string): Promise<ListedMail | null> =>
      engine.read(function* (tx) {
        const queued = yield* tx.get(statements.queued, { id })
        if (queued) return { ...queued, status: 'queued', finishedAt: null }
        return (yield* tx.get(statements.finished, { id })) ?? null
      }),
    async listMails(filter: MailFilter, request: PageRequest): Promise<Slice<MailRow>> {
      const from = 'after' in request ? request.after : undefined
      const bounds = pageBounds(request)
      const rows = await engine.all(dynamic((db) => mailsOf(db, filter, from, bounds)))
      const counts = COUNTED[filter.status ?? 'any'].map((table) => countOfTable(table, filter))
      const count = () =>
        engine.read(function* (tx) {
          let total = 0
          for (const statement of counts) total += countOf(yield* tx.get(statement))
          return total
        })
      return sliceOf(rows, request, count, ({ id, requestedAt }) => [requestedAt, id])
    },
    async forgetMails(before: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.forget, { before }))
    },
  } satisfies Partial<AuthStore>
}

const { id, kind, userId, email, tries, lastError, requestedAt } = mailRequests
const QUEUED = {
  ...{ id, kind, userId, email, tries, lastError, requestedAt },
  status: sql<MailStatus>`'queued'`.as('status'),
  finishedAt: sql<number | null>`CAST(NULL AS bigint)`.as('finished_at'),
}
const FINISHED = {
  id: finishedMails.id,
  kind: finishedMails.kind,
  userId: finishedMails.userId,
  email: finishedMails.email,
  tries: finishedMails.tries,
  lastError: finishedMails.lastError,
  requestedAt: finishedMails.requestedAt,
  status: sql<MailStatus>`${finishedMails.status}`.as('status'),
  finishedAt: sql<number | null>`${finishedMails.finishedAt}`.as('finished_at'),
}
type Table = typeof mailRequests | typeof finishedMails
/** The tables that have the mails with a status. */
const COUNTED: Record<MailStatus | 'any', readonly Table[]> = {
  any: [mailRequests, finishedMails],
  queued: [mailRequests],
  sent: [finishedMails],
  failed: [finishedMails],
}
const NEWEST_FIRST = [sql`requested_at DESC`, sql`id DESC`] as const

/** Reads both tables by one statement: a mail that moves from one to the other is in exactly one of them. */
function mailsOf(
  db: Builder,
  filter: MailFilter,
  after: Position | undefined,
  { limit, offset }: ReturnType<typeof pageBounds>,
) {
  const queued = db
    .select(QUEUED)
    .from(mailRequests)
    .where(matching(mailRequests, filter, after))
  const finished = db
    .select(FINISHED)
    .from(finishedMails)
    .where(matching(finishedMails, filter, after))
  if (filter.status === 'queued')
    return queued
      .orderBy(...NEWEST_FIRST)
      .limit(limit)
      .offset(offset)
  if (filter.status !== undefined)
    return finished
      .orderBy(...NEWEST_FIRST)
      .limit(limit)
      .offset(offset)
  return unionAll(queued, finished)
    .orderBy(...NEWEST_FIRST)
    .limit(limit)
    .offset(offset)
}

function countOfTable(table: Table, filter: MailFilter) {
  return dynamic((db) =>
    db
      .select(COUNT)
      .from(table)
      .where(matching(table, filter, undefined)),
  )
}

function matching(table: Table, { kind, status, userId }: MailFilter, after: Position | undefined): SQL | undefined {
  return and(
    userId === undefined ? undefined : eq(table.userId, userId),
    kind === undefined ? undefined : eq(table.kind, kind),
    'status' in table && status !== undefined && status !== 'queued' ? eq(table.status, status) : undefined,
    after && sql`(${table.requestedAt}, ${table.id}) < (${Number(after[0])}, ${String(after[1])})`,
  )
}
