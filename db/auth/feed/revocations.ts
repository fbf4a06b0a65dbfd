import { asc, gt, gte, sql } from 'drizzle-orm'
import type { AuthStore, Ended } from '../../../services/auth/store/index.ts'
import type { Acknowledgement } from '../../../services/kit/feed/stored-subscribers.ts'
import type { Revocation } from '../../../services/kit/tokens/revocations.ts'
import { type Body, built, type Engine, type Transaction, text } from '../../engine.ts'
import { revocations } from '../../schema/auth.ts'
import { checkPoll, subscriberStore } from '../../subscribers.ts'
import { BATCH } from '../../write-in-batches.ts'
import type { Facts } from './facts.ts'

export type Feed = Awaited<ReturnType<typeof feedStore>>

/** A change, its revocations, and how many sessions ended with it. */
export interface RevokingChange {
  revocations: readonly Revocation[]
  sessions: number
}

/** The name of the fact with the number of the last entry. On SQLite, `sqlite_sequence` holds it. */
const LAST = 'last_revocation'
/**
 * On PostgreSQL, each transaction leaves out a random count of numbers below this. After a failover that lost transactions,
 * the numbers given again are others, so a reader finds that the entry that it read last is not there. 2^53 numbers are
 * enough for 800 transactions a second for twenty years.
 */
const GAP = 2 ** 15
/** A query for the number of the last entry. */
const LAST_ENTRY = 'SELECT coalesce(max(seq), 0) AS seq FROM revocations'
/** The number that a subscriber has acknowledged; 0 if there is no such entry, because the database was set back. */
const KNOWN_ACK = `
  CASE WHEN EXISTS (SELECT 1 FROM revocations WHERE revocations.seq = subscribers.acked) THEN subscribers.acked ELSE 0 END`

const statements = {
  /** Adds entries with the next numbers, in the order of the list. */
  add: text<{ seq: number }>({
    sqlite: `
      INSERT INTO revocations (kind, subject, version, until)
      SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($entries) ORDER BY key RETURNING seq`,
    // Transactions that add entries run one after another, from the update of the counter to their commit: a reader that
    // continues after a number never misses a lower one.
    postgres: `
      WITH counter AS (
        UPDATE facts SET value = CAST(CAST(value AS bigint) + $gap + $count AS text)
        WHERE name = '${LAST}' RETURNING CAST(value AS bigint) - $count AS before)
      INSERT INTO revocations (seq, kind, subject, version, until)
      SELECT before + key, value->>0, value->>1, CAST(value->>2 AS bigint), CAST(value->>3 AS bigint)
      FROM counter CROSS JOIN jsonb_array_elements(CAST($entries AS text)::jsonb) WITH ORDINALITY AS list (value, key)
      RETURNING seq`,
  }),
  after: built((db) =>
    db
      .select()
      .from(revocations)
      .where(gt(revocations.seq, sql.placeholder('seq')))
      .orderBy(asc(revocations.seq))
      .limit(sql.placeholder('limit')),
  ),
  from: built((db) =>
    db
      .select()
      .from(revocations)
      .where(gte(revocations.seq, sql.placeholder('seq')))
      .orderBy(asc(revocations.seq))
      .limit(sql.placeholder('limit')),
  ),
  /** Reads the highest number. On SQLite it outlives its row. */
  last: text<{ seq: number }>({
    sqlite: "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'",
    postgres: LAST_ENTRY,
  }),
  /** Deletes a batch. Its order makes PostgreSQL read the index. There the last entry stays, for readers to find. */
  forget: text({
    sqlite: `
      DELETE FROM revocations WHERE seq IN (
        SELECT seq FROM revocations WHERE until < $now ORDER BY until LIMIT ${BATCH})`,
    postgres: `
      DELETE FROM revocations WHERE seq IN (
        SELECT seq FROM revocations WHERE until < $now ORDER BY until LIMIT ${BATCH})
      AND seq < (SELECT max(seq) FROM revocations)`,
  }),
}

/** The revocation feed: numbered entries, in the order in which they were written. */
export async function feedStore(engine: Engine, facts: Facts) {
  /** Writes the entries of several changes, with one statement. @returns for each change, the number of its last entry */
  function* writeEach(tx: Transaction, changes: readonly RevokingChange[]): Body<Ended[]> {
    const entries = changes.flatMap(({ revocations }) => revocations)
    // A list of entries has consecutive numbers.
    let last = entries.length > 0 ? (yield* write(tx, entries)) - entries.length : 0
    return changes.map(({ revocations, sessions }) => {
      last += revocations.length
      return { sessions, seq: revocations.length > 0 ? last : 0, revocations: [...revocations] }
    })
  }

  return {
    epoch: await engine.write((tx) => readOrCreateEpoch(tx, facts)),
    subscribers: subscriberStore(engine, { lastSeq: LAST_ENTRY, acked: KNOWN_ACK }),
    writeEach,
    /** @param sessions how many sessions ended with these revocations */
    *writeRevocations(tx: Transaction, revocations: readonly Revocation[], sessions = 0): Body<Ended> {
      const [ended] = yield* writeEach(tx, [{ revocations, sessions }])
      return ended as Ended
    },
    /** Deletes a batch of expired entries. @returns their number */
    forgetRevocations: (tx: Transaction, now: number): Body<number> => tx.run(statements.forget, { now }),
    async revocationsAfter(seq: number, limit: number, poll?: Acknowledgement) {
      const read = (statement: typeof statements.after, values: { seq: number; limit: number }) =>
        poll
          ? engine.read(function* (tx) {
              const [rows] = yield* tx.together([tx.all(statement, values), checkPoll(tx, poll)])
              return rows
            })
          : engine.all(statement, values)
      // Numbers of a file are never given again.
      if (seq === 0 || engine.node === null) return pageOf(await read(statements.after, { seq, limit }), seq)
      const [entry, ...rows] = await read(statements.from, { seq, limit: limit + 1 })
      if (entry?.seq === seq) return pageOf(rows, seq)
      return { ...pageOf(await read(statements.after, { seq: 0, limit }), 0), hasRestarted: true }
    },
    lastRevocation: async () => (await engine.get(statements.last))?.seq ?? 0,
  } satisfies Partial<AuthStore> & Record<string, unknown>
}

/** Writes entries. @returns the number of the last */
function* write(tx: Transaction, revocations: readonly Revocation[]): Body<number> {
  const entries = revocations.map(({ kind, subject, until, version }) => [kind, subject, version, until])
  const gap = Math.floor(Math.random() * GAP)
  const rows = yield* tx.all(statements.add, { entries: JSON.stringify(entries), count: entries.length, gap })
  // A revocation that no subscriber learns of would leave tokens valid.
  if (rows.length !== entries.length) throw new Error(`The fact ${LAST} is missing`)
  return Math.max(...rows.map(({ seq }) => seq))
}

/** Makes a page. @param after the number that it continues from */
function pageOf(rows: readonly (Revocation & { seq: number })[], after: number) {
  const list = rows.map(({ seq: _, ...revocation }) => revocation)
  return { revocations: list, seq: rows.at(-1)?.seq ?? after, hasRestarted: false }
}

/** Gives the epoch of this database. The first start makes it. */
function* readOrCreateEpoch(tx: Transaction, { readFact, writeFact }: Facts): Body<string> {
  const stored = yield* readFact(tx, 'epoch')
  if (stored !== null) return stored
  const epoch = crypto.randomUUID()
  yield* writeFact(tx, 'epoch', epoch)
  return epoch
}
