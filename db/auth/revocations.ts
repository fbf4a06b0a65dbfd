import { asc, desc, gt, lt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Ended } from '../../services/auth/store/index.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import { placeholders } from '../placeholders.ts'
import { prepared } from '../prepared.ts'
import { revocations } from '../schema/auth.ts'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'
import type { Facts } from './facts.ts'

export type Feed = Awaited<ReturnType<typeof feedStore>>

/** The revocation feed: numbered entries, in the order in which they were written. */
export async function feedStore(sqlite: Sqlite, db: BunSQLiteDatabase, facts: Facts) {
  const statements = prepare(db)
  // The highest number ever given: it outlives its row.
  const highest = sqlite.raw.query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'")

  return {
    epoch: await sqlite.write((tx) => readOrCreateEpoch(tx, facts)),
    /** @param sessions how many sessions ended with these revocations */
    writeRevocations(tx: Transaction, revoked: Revocation[], sessions = 0): Ended {
      let seq = 0
      for (const revocation of revoked) seq = tx.get(statements.insert, { ...revocation })?.seq ?? seq
      return { sessions, seq, revocations: revoked }
    },
    forgetRevocations(tx: Transaction, now: number) {
      tx.run(statements.forget, { now })
    },
    async revocationsAfter(seq: number, limit: number) {
      const rows = statements.after.all({ seq, limit })
      return { revocations: rows.map(({ seq: _, ...revocation }) => revocation), seq: rows.at(-1)?.seq ?? seq }
    },
    async lastRevocation() {
      return highest.get()?.seq ?? statements.last.get()?.seq ?? 0
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Gives the epoch of this database. The first start makes it. */
function readOrCreateEpoch(tx: Transaction, { readFact, writeFact }: Facts): string {
  const stored = readFact(tx, 'epoch')
  if (stored !== null) return stored
  const epoch = crypto.randomUUID()
  writeFact(tx, 'epoch', epoch)
  return epoch
}

function prepare(db: BunSQLiteDatabase) {
  return prepared({
    insert: () =>
      db
        .insert(revocations)
        .values(placeholders(revocations, ['seq']))
        .returning({ seq: revocations.seq })
        .prepare(),
    after: () =>
      db
        .select()
        .from(revocations)
        .where(gt(revocations.seq, sql.placeholder('seq')))
        .orderBy(asc(revocations.seq))
        .limit(sql.placeholder('limit'))
        .prepare(),
    last: () => db.select({ seq: revocations.seq }).from(revocations).orderBy(desc(revocations.seq)).limit(1).prepare(),
    forget: () =>
      db
        .delete(revocations)
        .where(lt(revocations.until, sql.placeholder('now')))
        .prepare(),
  })
}
