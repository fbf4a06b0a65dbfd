import type { Sqlite, Transaction } from './engine.ts'

const MOST_ROWS = 4096

/**
 * Caches in memory, by key, rows that many requests read. A write of this process drops the rows that it changes, a write
 * of another process drops all of them. Cached rows are shared by all readers and therefore frozen.
 */
export class RowCache<Row extends object> {
  private readonly rows = new Map<string, Row>()

  constructor(
    private readonly sqlite: Sqlite,
    private readonly read: (key: string) => Row | null,
  ) {
    sqlite.onExternalWrite(() => this.rows.clear())
  }

  get(key: string): Row | null {
    if (this.sqlite.isWriting) return this.read(key)
    return this.sqlite.read(() => {
      const cached = this.rows.get(key)
      if (cached) return cached
      const row = this.read(key)
      if (!row) return null
      if (this.rows.size >= MOST_ROWS) this.dropOldest()
      this.rows.set(key, Object.freeze(row))
      return row
    })
  }

  /** Drops the row that a transaction changes. */
  forget(_tx: Transaction, key: string): void {
    this.rows.delete(key)
  }

  /** Drops all rows, in a transaction that changes many. */
  forgetAll(_tx: Transaction): void {
    this.rows.clear()
  }

  private dropOldest(): void {
    // A Map iterates in the order of insertion.
    for (const key of this.rows.keys()) {
      this.rows.delete(key)
      return
    }
  }
}
