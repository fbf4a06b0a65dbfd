import type { Database } from 'bun:sqlite'
import { drizzle } from 'drizzle-orm/bun-sqlite'
import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { DatabaseError } from '../database-error.ts'
import {
  type Body,
  type Connection,
  type Engine,
  runSync,
  type Statement,
  Transaction,
  type Values,
} from '../engine.ts'
import { isBusy, neutralError } from './errors.ts'
import { SqliteRowCache } from './row-cache.ts'
import { SharedSnapshot } from './snapshot.ts'

/** Milliseconds until the first retry when another process holds the lock; each later wait is twice as long. */
const BUSY_FIRST_WAIT = 5
const BUSY_LONGEST_WAIT = 100
/** Milliseconds after which writes fail because another process still holds the lock. */
const BUSY_PATIENCE = 2000
/** Milliseconds after which the write-ahead log has nothing left of what was deleted: until then it may have old pages. */
const LOG_EMPTIED_EVERY = 20_000

interface Job {
  run(tx: Transaction): void
  settle(error?: unknown): void
}

/** Calls that run as one write, no two of which share a key. */
interface Group<Call, Result> {
  keys: Set<string>
  calls: { call: Call; resolve(result: Result): void; reject(error: unknown): void }[]
}

/**
 * One open SQLite file. Reads run at once. Writes are grouped: those that arrive in one turn of the event loop share one
 * durable commit, and each caller is answered only after that commit.
 */
export class Sqlite implements Engine {
  readonly dialect = 'sqlite'
  readonly node = null
  private readonly statements: PreparedStatements
  private queue: Job[] = []
  private scheduled = false
  private closed = false
  private readonly emptying: ReturnType<typeof setInterval>
  private readonly snapshot: SharedSnapshot

  constructor(
    readonly raw: Database,
    readonly path: string,
  ) {
    this.snapshot = new SharedSnapshot(raw)
    this.statements = new PreparedStatements(raw)
    this.emptying = setInterval(() => this.queue.length === 0 && this.emptyLog(), LOG_EMPTIED_EVERY)
    // The timers of tests that move time have no such method.
    this.emptying.unref?.()
  }

  async get<Row>(statement: Statement<Row>, values: Values = {}): Promise<Row | undefined> {
    try {
      return this.statements.get(statement, values) as Row | undefined
    } catch (error) {
      throw neutralError(error)
    }
  }

  async all<Row>(statement: Statement<Row>, values: Values = {}): Promise<Row[]> {
    try {
      return this.statements.all(statement, values) as Row[]
    } catch (error) {
      throw neutralError(error)
    }
  }

  /** Runs reads in the snapshot that reads of the same moment share. They see everything that was written here. */
  async read<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.readNow(body)
  }

  /** Runs `job` in the snapshot that reads of the same moment share. */
  inSnapshot<Result>(job: () => Result): Result {
    return this.snapshot.read(job)
  }

  /** Runs reads as `read` does, at once. */
  readNow<Result>(body: (tx: Transaction) => Body<Result>): Result {
    return this.inSnapshot(() => {
      const tx = new Transaction(this.statements)
      try {
        return runSync(body(tx))
      } catch (error) {
        throw neutralError(error)
      } finally {
        tx.end()
      }
    })
  }

  rowCache<Row extends object>(read: (tx: Transaction, key: string) => Body<Row | null>): SqliteRowCache<Row> {
    return new SqliteRowCache(this, read)
  }

  /** Calls `listener` before the next read after another process wrote to the file. */
  onExternalWrite(listener: () => void): void {
    this.snapshot.onExternalWrite(listener)
  }

  /**
   * Runs a body in a transaction. If it throws, only its own rows are rolled back, not those of other bodies in the same
   * commit. Resolves with its result once its rows are on the disk.
   * @throws what the body throws, or SQLite's error when the commit fails: then none of its rows are kept
   */
  write<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    if (this.closed) return Promise.reject(new DatabaseError(`${this.path} is closed`))
    return new Promise((resolve, reject) => {
      let result: Result
      this.queue.push({
        run: (tx) => {
          result = runSync(body(tx))
        },
        settle: (error) => (error === undefined ? resolve(result) : reject(neutralError(error))),
      })
      this.schedule()
    })
  }

  /** Runs a body as `write` does: writes to a file run one after another. */
  writeInTurn<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.write(body)
  }

  /** Runs the calls of one turn of the event loop as one write; each alone when one of them throws. */
  grouped<Call, Result>(
    body: (tx: Transaction, calls: readonly Call[]) => Body<readonly Result[]>,
    keysOf: (call: Call) => string | readonly string[],
  ): (call: Call) => Promise<Result> {
    let group: Group<Call, Result> | undefined
    const runTogether = async (together: Group<Call, Result>) => {
      const { calls } = together
      try {
        const results = await this.write((tx) => {
          // Later calls are for the next group.
          if (group === together) group = undefined
          return body(
            tx,
            calls.map(({ call }) => call),
          )
        })
        for (const [index, { resolve }] of calls.entries()) resolve(results[index] as Result)
      } catch (error) {
        if (group === together) group = undefined
        if (calls.length === 1 || error instanceof DatabaseUnavailable) for (const { reject } of calls) reject(error)
        else for (const each of calls) void runTogether({ keys: new Set(), calls: [each] })
      }
    }
    return (call) =>
      new Promise((resolve, reject) => {
        const keysOfCall = [keysOf(call)].flat()
        const current = group
        const isJoining = current !== undefined && !keysOfCall.some((key) => current.keys.has(key))
        const joined = isJoining ? current : { keys: new Set<string>(), calls: [] }
        for (const key of keysOfCall) joined.keys.add(key)
        joined.calls.push({ call, resolve, reject })
        if (isJoining) return
        group = joined
        void runTogether(joined)
      })
  }

  /** Writes what is queued and closes the file, even if the disk fails: every write that was answered is on it. */
  async close(): Promise<void> {
    this.closeNow()
  }

  /** The same, at once. */
  closeNow(): void {
    if (this.closed) return
    this.flush()
    this.closed = true
    clearInterval(this.emptying)
    for (const { settle } of this.queue.splice(0)) settle(new DatabaseError(`${this.path} is closed`))
    this.emptyLog()
    this.raw.close()
  }

  /** Writes the write-ahead log into the file and empties it, unless another process reads from it. */
  private emptyLog(): void {
    this.snapshot.endSnapshot()
    try {
      this.raw.run('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The disk is full or fails: the next start reads the write-ahead log.
    }
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
    const tx = new Transaction(this.statements)
    try {
      run(tx)
    } catch (error) {
      tx.end()
      // A full disk has ended the transaction already.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK')
      this.raw.run('BEGIN')
      return { afterCommit: [], failure: error ?? new DatabaseError('A write failed without a reason') }
    }
    return { afterCommit: tx.end() }
  }

  /** Runs one job of several in a savepoint, so that a throw rolls back its own rows only. */
  private runInSavepoint({ run }: Job): Outcome {
    const tx = new Transaction(this.statements)
    this.raw.run('SAVEPOINT job')
    try {
      run(tx)
      this.raw.run('RELEASE job')
    } catch (error) {
      tx.end()
      // A full disk ends the whole transaction, savepoints included.
      if (!this.raw.inTransaction) throw error
      this.raw.run('ROLLBACK TO job')
      this.raw.run('RELEASE job')
      return { afterCommit: [], failure: error ?? new DatabaseError('A write failed without a reason') }
    }
    return { afterCommit: tx.end() }
  }
}

interface Outcome {
  afterCommit: readonly (() => void)[]
  failure?: unknown
}

interface Prepared {
  get(values: Values): unknown
  all(values: Values): unknown[]
  run(values: Values): unknown
}

/** The statements of one database, each prepared when it is first used. */
class PreparedStatements implements Connection {
  private readonly builder
  private readonly prepared = new Map<Statement<unknown>, Prepared>()

  constructor(private readonly raw: Database) {
    this.builder = drizzle(raw)
  }

  get(statement: Statement<unknown>, values: Values): unknown {
    return this.prepare(statement).get(values) ?? undefined
  }

  all(statement: Statement<unknown>, values: Values): unknown[] {
    return this.prepare(statement).all(values)
  }

  run(statement: Statement<unknown>, values: Values): number {
    return (this.prepare(statement).run(values) as unknown as { changes: number }).changes
  }

  getEach(statement: Statement<unknown>, list: readonly Values[]): unknown[] {
    return list.map((values) => this.get(statement, values))
  }

  allEach(statement: Statement<unknown>, list: readonly Values[]): unknown[][] {
    return list.map((values) => this.all(statement, values))
  }

  runEach(statement: Statement<unknown>, list: readonly Values[]): void {
    for (const values of list) this.run(statement, values)
  }

  together(bodies: readonly Body<unknown>[]): unknown[] {
    return bodies.map(runSync)
  }

  private prepare(statement: Statement<unknown>): Prepared {
    let prepared = this.prepared.get(statement)
    if (!prepared) {
      const { build, text } = statement
      prepared = (build ? build(this.builder, 'sqlite').prepare() : this.raw.query(text?.sqlite ?? '')) as Prepared
      if (!statement.unique) this.prepared.set(statement, prepared)
    }
    return prepared
  }
}
