import type { Database } from 'bun:sqlite'
import { isBusy } from './errors.ts'
import { DatabaseError } from './integrity.ts'
import { SharedSnapshot } from './snapshot.ts'

/** Milliseconds until the first retry when another process holds the lock; each later wait is twice as long. */
const BUSY_FIRST_WAIT = 5
const BUSY_LONGEST_WAIT = 100
/** Milliseconds after which writes fail because another process still holds the lock. */
const BUSY_PATIENCE = 2000

/** The parameters of a prepared statement, by name. */
type Values = Record<string, unknown>

/** The state of a transaction, which `Sqlite` shares with the `OpenTransaction` that it passes to a job. */
interface TransactionState {
  isOpen: boolean
  afterCommit: (() => void)[]
}

/**
 * An open transaction. A function that must run in one takes it as its first parameter. Only `Sqlite.write` can make one,
 * and it ends when the job that got it returns.
 */
class OpenTransaction {
  readonly #state: TransactionState

  constructor(state: TransactionState) {
    this.#state = state
  }

  run<Result>(statement: { run(values?: Values): Result }, values?: Values): Result {
    this.#assertOpen()
    return values === undefined ? statement.run() : statement.run(values)
  }

  get<Row>(statement: { get(values?: Values): Row }, values?: Values): Row {
    this.#assertOpen()
    return values === undefined ? statement.get() : statement.get(values)
  }

  all<Row>(statement: { all(values?: Values): Row[] }, values?: Values): Row[] {
    this.#assertOpen()
    return values === undefined ? statement.all() : statement.all(values)
  }

  /** Calls `listener` once the rows are on the disk, before the caller of `write` gets its answer. */
  afterCommit(listener: () => void): void {
    this.#assertOpen()
    this.#state.afterCommit.push(listener)
  }

  #assertOpen(): void {
    if (!this.#state.isOpen) throw new DatabaseError('The transaction has ended')
  }
}

// The type alone: no other file can make a transaction.
export type Transaction = OpenTransaction

/** Refuses an async function at compile time: its rows would be kept even if its promise rejected later. */
type Synchronous<Result> = Result extends PromiseLike<unknown> ? never : unknown

interface Job {
  run(tx: Transaction): void
  settle(error?: unknown): void
}

/**
 * One open SQLite file. Reads run at once. Writes are grouped: those that arrive in one turn of the event loop share one
 * durable commit, and each caller is answered only after that commit.
 */
export class Sqlite {
  private queue: Job[] = []
  private scheduled = false
  private closed = false
  private readonly snapshot: SharedSnapshot

  constructor(
    readonly raw: Database,
    readonly path: string,
  ) {
    this.snapshot = new SharedSnapshot(raw)
  }

  /** Runs a read in the snapshot that reads of the same moment share. It sees everything that was written here. */
  read<Result>(job: () => Result): Result {
    return this.snapshot.read(job)
  }

  /** Whether a job is running: rows that are read now may still be rolled back. */
  get isWriting(): boolean {
    return this.raw.inTransaction && !this.snapshot.inSnapshot
  }

  /** Calls `listener` before the next read after another process wrote to the file. */
  onExternalWrite(listener: () => void): void {
    this.snapshot.onExternalWrite(listener)
  }

  /**
   * Runs `job` in a transaction. If the job throws, only its own rows are rolled back, not those of other jobs in the same
   * commit. Resolves with the job's result once its rows are on the disk.
   * @throws what `job` throws, or SQLite's error when the commit fails: then none of its rows are kept
   */
  write<Result>(job: ((tx: Transaction) => Result) & Synchronous<Result>): Promise<Result> {
    if (this.closed) return Promise.reject(new DatabaseError(`${this.path} is closed`))
    return new Promise((resolve, reject) => {
      let result: Result
      this.queue.push({
        run: (tx) => {
          result = job(tx)
        },
        settle: (error) => (error === undefined ? resolve(result) : reject(error)),
      })
      this.schedule()
    })
  }

  /** Writes what is queued and closes the file, even if the disk fails: every write that was answered is on it. */
  close(): void {
    if (this.closed) return
    this.flush()
    this.snapshot.endSnapshot()
    this.closed = true
    for (const { settle } of this.queue.splice(0)) settle(new DatabaseError(`${this.path} is closed`))
    try {
      this.raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The disk is full or fails: the next start reads the write-ahead log.
    }
    this.raw.close()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => this.flush())
  }

  private flush(startedAt = performance.now(), wait = BUSY_FIRST_WAIT): void {
    if (this.closed || this.queue.length === 0) {
      this.scheduled = false
      return
    }
    this.snapshot.endSnapshot()
    try {
      this.raw.run('BEGIN IMMEDIATE')
    } catch (error) {
      // Another process writes (a backup's checkpoint, a migration). A wait inside SQLite would stop the event loop.
      if (isBusy(error) && performance.now() - startedAt < BUSY_PATIENCE) {
        setTimeout(() => this.flush(startedAt, Math.min(wait * 2, BUSY_LONGEST_WAIT)), wait)
        return
      }
      this.scheduled = false
      for (const { settle } of this.queue.splice(0)) settle(error)
      return
    }
    this.scheduled = false
    const jobs = this.queue
    this.queue = []
    this.commit(jobs)
  }

  /** Runs the jobs in the transaction that `flush` has begun, commits it, and answers each job. */
  private commit(jobs: readonly Job[]): void {
    const attempt = jobs.length === 1 ? this.runAlone : this.runInSavepoint
    let outcomes: Outcome[]
    try {
      outcomes = jobs.map((job) => attempt.call(this, job))
      this.raw.run('COMMIT')
    } catch (error) {
      if (this.raw.inTransaction) this.raw.run('ROLLBACK')
      for (const { settle } of jobs) settle(error)
      return
    }
    for (const { afterCommit, failure } of outcomes)
      if (failure === undefined) for (const listener of afterCommit) listener()
    for (const [index, { settle }] of jobs.entries()) settle(outcomes[index]?.failure)
  }

  /** Runs the only job of a commit: when it throws, the transaction begins again, empty. */
  private runAlone({ run }: Job): Outcome {
    const state: TransactionState = { isOpen: true, afterCommit: [] }
    try {
      run(new OpenTransaction(state))
    } catch (error) {
      // A full disk has ended the transaction already.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK')
      this.raw.run('BEGIN')
      return { ...state, failure: error ?? new DatabaseError('A write failed without a reason') }
    } finally {
      state.isOpen = false
    }
    return state
  }

  /** Runs one job of several in a savepoint, so that a throw rolls back its own rows only. */
  private runInSavepoint({ run }: Job): Outcome {
    const state: TransactionState = { isOpen: true, afterCommit: [] }
    this.raw.run('SAVEPOINT job')
    try {
      run(new OpenTransaction(state))
      this.raw.run('RELEASE job')
    } catch (error) {
      // A full disk ends the whole transaction, savepoints included.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK TO job')
      this.raw.run('RELEASE job')
      return { ...state, failure: error ?? new DatabaseError('A write failed without a reason') }
    } finally {
      state.isOpen = false
    }
    return state
  }
}

interface Outcome extends TransactionState {
  failure?: unknown
}
