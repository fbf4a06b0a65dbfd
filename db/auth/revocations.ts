import { asc, desc, gt, lt, sql } from 'drizzle-orm'
import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'
import type { AuthStore, Ended } from '../../services/auth/store/index.ts'
import type { Revocation } from '../../services/kit/tokens/revocations.ts'
import { placeholders } from '../placeholders.ts'
import { revocations } from '../schema/auth.ts'
import type { Sqlite } from '../sqlite/engine.ts'
import type { Facts } from './facts.ts'

export type Feed = ReturnType<typeof feedStore>

/** What the revocation feed tells, in order. */
export function feedStore(sqlite: Sqlite, db: BunSQLiteDatabase, facts: Facts) {
  const insert = db
    .insert(revocations)
    .values(placeholders(revocations, ['seq']))
    .returning({ seq: revocations.seq })
    .prepare()
  const after = db
    .select()
    .from(revocations)
    .where(gt(revocations.seq, sql.placeholder('seq')))
    .orderBy(asc(revocations.seq))
    .limit(sql.placeholder('limit'))
    .prepare()
  const last = db.select({ seq: revocations.seq }).from(revocations).orderBy(desc(revocations.seq)).limit(1).prepare()
  const forget = db
    .delete(revocations)
    .where(lt(revocations.until, sql.placeholder('now')))
    .prepare()
  // The highest number ever given, which outlives the row that had it.
  const highest = sqlite.raw.query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'")

  let epoch = facts.readFact('epoch')
  if (epoch === null) {
    epoch = crypto.randomUUID()
    sqlite.raw.query('INSERT INTO facts (name, value) VALUES (?, ?)').run('epoch', epoch)
  }

  return {
    epoch,
    /** To be called within the transaction of the change. */
    writeRevocations(revoked: Revocation[], sessions = 0): Ended {
      let seq = 0
      for (const revocation of revoked) seq = insert.get({ ...revocation })?.seq ?? seq
      return { sessions, seq, revocations: revoked }
    },
    forgetRevocations(now: number) {
      forget.run({ now })
    },
    async revocationsAfter(seq: number, limit: number) {
      const rows = after.all({ seq, limit })
      return { revocations: rows.map(({ seq: _, ...revocation }) => revocation), seq: rows.at(-1)?.seq ?? seq }
    },
    async lastRevocation() {
      return highest.get()?.seq ?? last.get()?.seq ?? 0
    },
  } satisfies Partial<AuthStore> & Record<string, unknown>
}
