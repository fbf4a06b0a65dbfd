import type { Database } from 'bun:sqlite'
import type { Sqlite, Transaction } from '../sqlite/engine.ts'

/** Pages of the index that one step merges: it takes some milliseconds. */
const PAGES_AT_ONCE = 64

/** Merges the segments of the search index, a part at a time, so that searches stay fast after many changes. */
export function searchMerger(sqlite: Sqlite) {
  /** Whether nothing is left to merge: true until the next change. */
  let merged = false
  return {
    changed(_tx: Transaction): void {
      merged = false
    },
    /** @returns whether more remains to be merged */
    async merge(): Promise<boolean> {
      if (merged) return false
      merged = true
      let more = true
      try {
        more = await sqlite.write((tx) => mergeSegments(tx, sqlite.raw))
      } finally {
        // A merge that failed must be repeated.
        if (more) merged = false
      }
      return more
    },
  }
}

/** Merges some of the segments that have one size (FTS5, `merge`). @returns whether there were any */
function mergeSegments(tx: Transaction, raw: Database): boolean {
  const changes = raw.query<{ rows: number }, []>('SELECT total_changes() AS rows')
  const before = tx.get(changes)?.rows ?? 0
  tx.run(raw.query<unknown, []>(`INSERT INTO users_search (users_search, rank) VALUES ('merge', ${PAGES_AT_ONCE})`))
  // The command itself counts as one change.
  return (tx.get(changes)?.rows ?? 0) - before > 1
}
