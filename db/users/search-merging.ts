import { type Body, type Engine, type Transaction, text } from '../engine.ts'

/** Pages of the index that one step merges: it takes some milliseconds. */
const PAGES_AT_ONCE = 64

/** The index of SQLite (FTS5, `merge`). PostgreSQL merges its index by itself. */
const statements = {
  changes: text<{ rows: number }>('SELECT total_changes() AS rows'),
  merge: text(`INSERT INTO users_search (users_search, rank) VALUES ('merge', ${PAGES_AT_ONCE})`),
}

/** Merges the segments of the search index, a part at a time, so that searches stay fast after many changes. */
export function searchMerger(engine: Engine) {
  /** Whether nothing is left to merge: true until the next change. */
  let merged = engine.dialect !== 'sqlite'
  return {
    changed(tx: Transaction): void {
      if (engine.dialect === 'sqlite')
        tx.afterCommit(() => {
          merged = false
        })
    },
    /** @returns whether more remains to be merged */
    async merge(): Promise<boolean> {
      if (merged) return false
      merged = true
      let more = true
      try {
        more = await engine.write(mergeSegments)
      } finally {
        // A merge that failed must be repeated.
        if (more) merged = false
      }
      return more
    },
  }
}

/** Merges some of the segments that have one size. @returns whether there were any */
function* mergeSegments(tx: Transaction): Body<boolean> {
  const before = (yield* tx.get(statements.changes))?.rows ?? 0
  yield* tx.run(statements.merge)
  // The command itself counts as one change.
  return ((yield* tx.get(statements.changes))?.rows ?? 0) - before > 1
}
