import { partsAbout } from '../../../services/auth/audit/erasure-rules.ts'
import type { AuthStore, DueErasure, Erasure, Remains } from '../../../services/auth/store/index.ts'
import { limitKey } from '../../../services/kit/client-address.ts'
import type { AuditEvent } from '../../../services/kit/outbox/audit.ts'
import { emailKey } from '../../../services/kit/schema/email.ts'
import type { Body, Engine, Transaction } from '../../engine.ts'
import { CHAINED_COLUMNS, type ChainedRow } from '../../schema/audit-chain.ts'
import { digestOfRemains, erase } from '../../schema/audit-erasure.ts'
import type { Audit } from '../audit/audit.ts'
import { AUDIT, DATA, ERASURES } from './statements.ts'

const NAMES = CHAINED_COLUMNS.split(', ')
/** Rows of the audit that are erased at once: other transactions wait for them. */
const MOST_ROWS = 500

/** Erases what auth stores of deleted users beyond their account. */
export function erasureStore(engine: Engine, { audit }: { audit: Audit }) {
  /** Removes mails and codes to the emails of the user that name no user. */
  function* removeByAddress(tx: Transaction, emails: readonly string[]): Body<void> {
    if (emails.length === 0) return
    for (const { find, remove } of DATA.byAddress) {
      const rows = (yield* tx.all(find)).filter(({ address }) => emails.includes(emailKey(address)))
      if (rows.length > 0) yield* tx.run(remove, { ids: JSON.stringify(rows.map(({ id }) => id)) })
    }
  }

  /** Removes the counts of failed logins and of requests, by the keys of accounts and by client addresses. */
  function* removeCounts(tx: Transaction, keys: readonly string[], addresses: readonly string[]): Body<void> {
    const subjects = [...keys.map((key) => `account:${key}`), ...addresses.map((address) => `address:${address}`)]
    if (subjects.length === 0) return
    yield* tx.run(DATA.failures, { subjects: JSON.stringify(subjects) })
    for (const subject of [...keys, ...addresses]) yield* tx.run(DATA.limits, { subject })
  }

  return {
    async beginErasure({ emails, keys, userId }: Erasure, now: number) {
      const names = { emails: JSON.stringify(emails), keys: JSON.stringify(keys) }
      await engine.write((tx) => tx.run(ERASURES.begin, { userId, now, ...names }))
    },

    erasuresDue: async (since: number) =>
      (await engine.all(ERASURES.due, { since })).map(({ doneAt, ...due }) => ({ ...due, isDone: doneAt !== null })),

    eraseData: (userId: string) =>
      engine.write(function* (tx): Body<void> {
        const erasure = yield* tx.get(ERASURES.byId, { userId })
        const emails: string[] = JSON.parse(erasure?.emails ?? '[]')
        const keys: string[] = [userId, ...JSON.parse(erasure?.keys ?? '[]')]
        for (const statement of DATA.ofUser) yield* tx.run(statement, { userId })
        yield* removeByAddress(tx, emails)
        yield* tx.run(DATA.deliveries, { userId })
        yield* tx.run(DATA.events, { userId })
        yield* removeCounts(tx, keys, [])
        if (engine.dialect === 'postgres') yield* tx.run(DATA.refusedLogins, { userId, keys: JSON.stringify(keys) })
      }),

    eraseAudit: (userId: string, remains: (rows: Remains[]) => AuditEvent) =>
      engine.write(function* (tx): Body<'done' | 'erased' | 'recorded'> {
        const erasure = yield* tx.get(ERASURES.byId, { userId })
        if (!erasure) return 'done'
        const { auditSeq: after, recordedSeq } = erasure
        const next = recordedSeq > after ? recordedSeq : ((yield* tx.get(AUDIT.end, { after }))?.seq ?? null)
        if (next === null) return 'done'
        const selected = yield* tx.all(AUDIT.rows, { after, end: next, userId, actor: `user:${userId}` })
        const rows = selected.map((row) => NAMES.map((name) => row[name]) as ChainedRow)
        const emails: string[] = JSON.parse(erasure.emails)
        const all = rows.flatMap((row) => {
          const columns = erase(row, partsIn(row, userId, emails))
          return columns ? [{ row, columns }] : []
        })
        const changes = all.slice(0, MOST_ROWS)
        const end = all.length > MOST_ROWS ? (changes.at(-1)?.row[0] ?? next) : next
        const unsealed = changes.filter(({ columns }) => columns.rowHash !== null)
        if (unsealed.length > 0 && recordedSeq < end) {
          const digests = unsealed.map(({ columns, row }): Remains => [row[0], digestOfRemains(row, columns)])
          yield* audit.writeEvents(tx, [remains(digests)])
          yield* tx.run(ERASURES.record, { userId, end })
          return 'recorded'
        }
        const values = changes.map(({ columns, row }) => {
          const { detail, detailSeal, ip, originSeal, requestId, rowHash } = columns
          return [row[0], ip, requestId, detail, originSeal, detailSeal, rowHash]
        })
        if (values.length > 0) yield* tx.run(AUDIT.erase, { rows: JSON.stringify(values) })
        const addresses = changes.flatMap(({ columns, row }) => (columns.ip === null && row[6] ? String(row[6]) : []))
        yield* removeCounts(tx, [], [...new Set(addresses.map(limitKey))])
        yield* tx.run(ERASURES.advance, { userId, auditSeq: end, rows: changes.length })
        return 'erased'
      }),

    completeErasure: ({ begunAt, userId }: DueErasure, now: number, event: (rows: number) => AuditEvent) =>
      engine.write(function* (tx): Body<void> {
        const erasure = yield* tx.get(ERASURES.byId, { userId })
        if (!erasure || erasure.doneAt !== null || erasure.begunAt !== begunAt) return
        yield* tx.run(ERASURES.complete, { userId, now })
        yield* audit.writeEvents(tx, [event(erasure.erasedRows)])
      }),

    isErased: async (userId: string) => (await engine.get(ERASURES.byId, { userId })) !== undefined,
  } satisfies Partial<AuthStore>
}

/** The parts of a row that are about an erased user, or about someone who typed their email before it was anyone's. */
function partsIn([, , , type, userId, actor, , , detail]: ChainedRow, erased: string, emails: readonly string[]) {
  if (userId === null && namesOne(detail, emails)) return { origin: true, detail: true }
  return partsAbout({ type: String(type), userId: userId as string | null, actor: String(actor) }, erased)
}

/** Whether the detail of a row has one of the emails. */
function namesOne(detail: unknown, emails: readonly string[]): boolean {
  if (emails.length === 0) return false
  try {
    const { email } = JSON.parse(String(detail))
    return typeof email === 'string' && emails.includes(emailKey(email))
  } catch {
    return false
  }
}
