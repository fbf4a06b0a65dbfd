import type { Sqlite } from './engine.ts'

/** Rows that are read by every other request: so many of the last that were. */
const MOST = 4096

/**
 * Rows of a file in memory, by their keys, as long as they are what the file says: a change that is made here forgets
 * the row that it changes, one that another process makes forgets them all. A row is shared by all who ask for it, and
 * frozen.
 */
export class RowCache<Row extends object> {
  private readonly rows = new Map<string, Row>()

  constructor(
    private readonly sqlite: Sqlite,
    private readonly read: (key: string) => Row | null,
  ) {
    sqlite.changedElsewhere(() => this.forgetAll())
  }

  get(key: string): Row | null {
    if (this.sqlite.changing) return this.read(key)
    return this.sqlite.read(() => {
      const known = this.rows.get(key)
      if (known) return known
      const row = this.read(key)
      if (!row) return null
      // The oldest first: a Map keeps its order.
      if (this.rows.size >= MOST) for (const oldest of this.rows.keys()) if (this.rows.delete(oldest)) break
      this.rows.set(key, Object.freeze(row))
      return row
    })
  }

  /** To be called within the transaction of the change. */
  forget(key: string): void {
    this.rows.delete(key)
  }

  /** The same, for a change of many. */
  forgetAll(): void {
    this.rows.clear()
  }
}
