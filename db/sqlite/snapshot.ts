import type { Database, Statement } from 'bun:sqlite'

/** Milliseconds that reads share one snapshot: they see the writes of another process at most this late. */
const SNAPSHOT_MS = 2

/**
 * A read transaction that the reads of one moment share. Without it, each read takes SQLite's lock and releases it: three
 * system calls, which cost twenty times as much as most reads.
 */
export class SharedSnapshot {
  private active = false
  private readonly begin: Statement
  private readonly commit: Statement
  private readonly version: Statement<{ data_version: number }, []>
  private lastVersion: number | undefined
  private readonly externalWriteListeners = new Set<() => void>()

  constructor(private readonly raw: Database) {
    this.begin = raw.query('BEGIN')
    this.commit = raw.query('COMMIT')
    this.version = raw.query('PRAGMA data_version')
  }

  get inSnapshot(): boolean {
    return this.active
  }

  read<Result>(job: () => Result): Result {
    if (!this.active && !this.raw.inTransaction) {
      this.begin.run()
      this.active = true
      this.detectExternalWrite()
      setTimeout(() => this.endSnapshot(), SNAPSHOT_MS)
    }
    return job()
  }

  onExternalWrite(listener: () => void): void {
    this.externalWriteListeners.add(listener)
  }

  endSnapshot(): void {
    if (!this.active) return
    this.active = false
    try {
      // A damaged page or a failing disk may have ended the transaction already.
      if (this.raw.inTransaction) this.commit.run()
    } catch {
      // A read transaction holds no rows to lose, and no caller waits for its end.
      if (this.raw.inTransaction) this.raw.run('ROLLBACK')
    }
  }

  /** SQLite's `data_version` changes when another connection writes, and stays when this one does. */
  private detectExternalWrite(): void {
    const version = this.version.get()?.data_version
    if (version !== this.lastVersion) for (const listener of this.externalWriteListeners) listener()
    this.lastVersion = version
  }
}
