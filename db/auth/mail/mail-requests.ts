import { and, asc, eq, gt, lte, or, sql } from 'drizzle-orm'
import type { AuthStore, MailRequest } from '../../../services/auth/store/index.ts'
import { type Body, built, type Dialect, type Engine, type Transaction, text } from '../../engine.ts'
import { groupedBodies } from '../../grouped-bodies.ts'
import { takeOver, takeOverStatements } from '../../nodes.ts'
import { placeholders } from '../../placeholders.ts'
import { finishedMails, mailRequests } from '../../schema/auth.ts'
import { BATCH, writeInBatches } from '../../write-in-batches.ts'

const { placeholder } = sql
const byId = eq(mailRequests.id, placeholder('id'))
const later = gt(mailRequests.nextAt, placeholder('now'))
/** On PostgreSQL, where a mail has an owner: one of this node. */
export const ofThisNode = (dialect: Dialect) =>
  dialect === 'postgres' ? sql`owner = ${placeholder('node')}` : undefined

const statements = {
  add: built((db) => db.insert(mailRequests).values(placeholders(mailRequests)).onConflictDoNothing()),
  addOwned: text({
    sqlite: '',
    postgres: `
      INSERT INTO mail_requests (id, email, user_id, locale, data, requested_at, ip, request_id, kind, tries, next_at, link_at,
        last_error, owner)
      VALUES ($id, $email, $userId, $locale, $dataText, $requestedAt, $ip, $requestId, $kind, $tries, $nextAt, $linkAt,
        $lastError, $node)
      ON CONFLICT (id) DO NOTHING`,
  }),
  isFinished: built((db) =>
    db
      .select({ id: finishedMails.id })
      .from(finishedMails)
      .where(eq(finishedMails.id, placeholder('id'))),
  ),
  due: built((db, dialect) =>
    db
      .select()
      .from(mailRequests)
      .where(
        and(
          ofThisNode(dialect),
          or(lte(mailRequests.nextAt, placeholder('now')), gt(mailRequests.nextAt, placeholder('latest'))),
        ),
      )
      .orderBy(asc(mailRequests.nextAt), asc(mailRequests.id))
      .limit(placeholder('limit')),
  ),
  next: built((db, dialect) =>
    db
      .select({ nextAt: mailRequests.nextAt })
      .from(mailRequests)
      .where(and(ofThisNode(dialect), later))
      .orderBy(asc(mailRequests.nextAt))
      .limit(1),
  ),
  postpone: built((db, dialect) =>
    db
      .update(mailRequests)
      .set({
        tries: sql`${mailRequests.tries} + 1`,
        nextAt: sql`${placeholder('nextAt')}`,
        lastError: sql`${placeholder('lastError')}`,
      })
      // A node that lost the mail to another one has no say about it.
      .where(and(byId, ofThisNode(dialect))),
  ),
  /** Changes a batch, which then does not match any more. Its order makes PostgreSQL read the index. */
  hasten: text({
    sqlite: `
      UPDATE mail_requests SET next_at = $now WHERE id IN (
        SELECT id FROM mail_requests WHERE next_at > $now ORDER BY next_at LIMIT ${BATCH})`,
    postgres: `
      UPDATE mail_requests SET next_at = $now WHERE id IN (
        SELECT id FROM mail_requests WHERE owner = $node AND next_at > $now ORDER BY next_at LIMIT ${BATCH})`,
  }),
  remove: built((db) => db.delete(mailRequests).where(byId)),
}

const TAKE_OVER = takeOverStatements({ name: 'mail_requests', key: 'id', order: 'next_at' })

/**
 * Adds a mail, unless a mail with its id is in the queue.
 * @returns whether the mail is in the queue now; false: it was finished, for other services repeat a notice until it is
 * acknowledged
 */
export function* addMail(engine: Engine, tx: Transaction, request: MailRequest): Body<boolean> {
  if (yield* tx.get(statements.isFinished, { id: request.id })) return false
  if (engine.node === null) yield* tx.run(statements.add, { ...request })
  else {
    const { data, ...columns } = request
    yield* tx.run(statements.addOwned, { ...columns, dataText: JSON.stringify(data), node: engine.node.current })
  }
  return true
}

/** The queue of mails to send. Where several nodes run, the one that adds a mail owns it, until it dies. */
export function mailRequestStore(engine: Engine) {
  const owner = () => ({ node: engine.node?.current ?? '' })
  const add = groupedBodies(
    engine,
    (tx, request: MailRequest) => addMail(engine, tx, request),
    ({ id }) => id,
  )
  return {
    async addMailRequest(request: MailRequest) {
      await add(request)
    },
    mailRequestsDue: (now: number, latest: number, limit: number) =>
      engine.all(statements.due, { ...owner(), now, latest, limit }),
    nextMailRequest: async (now: number) => (await engine.get(statements.next, { ...owner(), now }))?.nextAt ?? null,
    async postponeMailRequest(requestId: string, nextAt: number, lastError: string) {
      await engine.write((tx) => tx.run(statements.postpone, { ...owner(), id: requestId, nextAt, lastError }))
    },
    async hastenMailRequests(now: number) {
      await writeInBatches(engine, (tx) => tx.run(statements.hasten, { ...owner(), now }))
    },
    takeOverMailRequests: () => takeOver(engine, TAKE_OVER),
    async removeMailRequest(requestId: string) {
      await engine.write((tx) => tx.run(statements.remove, { id: requestId }))
    },
  } satisfies Partial<AuthStore>
}
