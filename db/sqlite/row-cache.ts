import type { Body, RowCache, Transaction } from '../engine.ts'

const MOST_ROWS = 4096

/** The file that the rows are read from. */
interface CachedDatabase {
  inSnapshot<Result>(job: () => Result): Result
  readNow<Result>(body: (tx: Transaction) => Body<Result>): Result
  onExternalWrite(listener: () => void): void
}

/** A write of this process drops the cached rows that it changes, a write of another process drops all of them. */
export class SqliteRowCache<Row extends object> implements RowCache<Row> {
  private readonly rows = new Map<string, Row>()

  constructor(
    private readonly sqlite: CachedDatabase,
    private readonly read: (tx: Transaction, key: string) => Body<Row | null>,
  ) {
    sqlite.onExternalWrite(() => this.rows.clear())
  }

  async get(key: string): Promise<Row | null> {
    return this.sqlite.inSnapshot(() => this.rows.get(key) ?? this.load(key))
  }

  /** Drops the row that a transaction changes. */
  forget(_tx: Transaction, key: string): void {
    this.rows.delete(key)
  }

  /** Drops all rows, in a transaction that changes many. */
  forgetAll(_tx: Transaction): void {
    this.rows.clear()
  }

  private load(key: string): Row | null {
    const row = this.sqlite.readNow((tx) => this.read(tx, key))
    if (!row) return null
    if (this.rows.size >= MOST_ROWS) this.dropOldest()
    this.rows.set(key, Object.freeze(row))
    return row
  }

  private dropOldest(): void {
    // A Map iterates in the order of insertion.
    for (const key of this.rows.keys()) {
      this.rows.delete(key)
      return
    }
  }
}
