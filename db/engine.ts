import type { BunSQLiteDatabase } from 'drizzle-orm/bun-sqlite'

/**
 * The steps of one transaction: `yield*` stands where a statement gives its rows, at once (SQLite) or later (PostgreSQL).
 * A body decides by what it read, changes nothing but rows, and may run more than once: an engine repeats it from the
 * start when it conflicts with another transaction.
 */
export type Body<Result> = Generator<unknown, Result, unknown>

/** The query builder. Stores write SQLite's dialect; an engine translates what its database writes in another way. */
export type Builder = BunSQLiteDatabase

export type Dialect = 'sqlite' | 'postgres'

type Prepared = { get(values?: never): unknown; all(values?: never): unknown; run(values?: never): unknown }
type RowOf<Query> = Query extends { all(): (infer Row)[] } ? Row : never

/**
 * A statement of a store. An engine prepares it when it is first used, once for each connection.
 * @template Row what it gives; `never` for one that gives no rows
 */
export interface Statement<Row> {
  /** The statement as the query builder builds it. */
  build?(db: Builder, dialect: Dialect): { prepare(): Prepared }
  /** The statement as text with `$name` for each parameter, one for both databases or one for each. */
  text?: { sqlite: string; postgres: string }
  /** Whether the statement is made for one call: engines do not store it. */
  unique?: true
  /** The type of the rows. It has no value. */
  row?: Row
}

/** Makes a statement with the query builder. Parameters are placeholders (`sql.placeholder`). */
export function built<Query extends { prepare(): unknown }>(
  build: (db: Builder, dialect: Dialect) => Query,
): Statement<RowOf<Query>> {
  return { build: build as never }
}

/** Makes a statement for one call, with its values in it: a list whose condition depends on a filter. */
export function dynamic<Query extends { prepare(): unknown }>(
  build: (db: Builder, dialect: Dialect) => Query,
): Statement<RowOf<Query>> {
  return { ...built(build), unique: true }
}

/** Makes a statement from SQL text with `$name` for each parameter, for both databases. */
export function text<Row = never>(sql: string | { sqlite: string; postgres: string }): Statement<Row> {
  return { text: typeof sql === 'string' ? { sqlite: sql, postgres: sql } : sql }
}

/** The values of a statement's parameters, by name. */
export type Values = Record<string, unknown>

/** Runs statements on one connection. SQLite gives results at once, PostgreSQL promises. */
export interface Connection {
  get(statement: Statement<unknown>, values: Values): unknown
  all(statement: Statement<unknown>, values: Values): unknown
  /** Gives the number of rows that were changed. */
  run(statement: Statement<unknown>, values: Values): unknown
  /** Gives the first row of each, or undefined. */
  getEach(statement: Statement<unknown>, list: readonly Values[]): unknown
  /** Gives the rows of each. */
  allEach(statement: Statement<unknown>, list: readonly Values[]): unknown
  runEach(statement: Statement<unknown>, list: readonly Values[]): unknown
  /** Gives the result of each body. */
  together(bodies: readonly Body<unknown>[]): unknown
}

/** A transaction in which a body runs. It ends when the body returns. */
export class Transaction {
  readonly #connection: Connection
  readonly #afterCommit: (() => void)[] = []
  #isOpen = true

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** The first row, or undefined. */
  *get<Row>(statement: Statement<Row>, values: Values = {}): Body<Row | undefined> {
    this.#assertOpen()
    return (yield this.#connection.get(statement, values)) as Row | undefined
  }

  *all<Row>(statement: Statement<Row>, values: Values = {}): Body<Row[]> {
    this.#assertOpen()
    return (yield this.#connection.all(statement, values)) as Row[]
  }

  /** @returns the number of rows that were changed */
  *run(statement: Statement<unknown>, values: Values = {}): Body<number> {
    this.#assertOpen()
    return (yield this.#connection.run(statement, values)) as number
  }

  /**
   * Reads a row for each of many values, as many `get`s do. PostgreSQL runs one statement.
   * @param statement one of the query builder
   */
  *getEach<Row>(statement: Statement<Row>, list: readonly Values[]): Body<(Row | undefined)[]> {
    this.#assertOpen()
    if (list.length === 0) return []
    return (yield this.#connection.getEach(statement, list)) as (Row | undefined)[]
  }

  /** Reads the rows for each of many values, as many `all`s do; otherwise like `getEach`. */
  *allEach<Row>(statement: Statement<Row>, list: readonly Values[]): Body<Row[][]> {
    this.#assertOpen()
    if (list.length === 0) return []
    return (yield this.#connection.allEach(statement, list)) as Row[][]
  }

  /** Writes for each of many values, as many `run`s do: no two may change the same row. PostgreSQL runs one statement. */
  *runEach(statement: Statement<unknown>, list: readonly Values[]): Body<void> {
    this.#assertOpen()
    if (list.length > 0) yield this.#connection.runEach(statement, list)
  }

  /**
   * Runs the steps of several bodies together. PostgreSQL gets the next statement of every body at once, in the order of the
   * list, and so all of them wait for its answers as long as one would. SQLite runs one body after the other. The result must be
   * the same in both cases: no body may read rows that another one writes in a later step.
   * @returns the result of each
   * @throws the first error, once every body has ended
   */
  *together<Results extends readonly unknown[]>(
    bodies: readonly [...{ [Place in keyof Results]: Body<Results[Place]> }],
  ): Body<Results> {
    this.#assertOpen()
    if (bodies.length === 0) return [] as unknown as Results
    return (yield this.#connection.together(bodies)) as Results
  }

  /** Calls `listener` once the rows are durable, before the caller of `write` gets its answer. */
  afterCommit(listener: () => void): void {
    this.#assertOpen()
    this.#afterCommit.push(listener)
  }

  /** Ends the transaction. @returns what to call once it is committed */
  end(): readonly (() => void)[] {
    this.#isOpen = false
    return this.#afterCommit
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new Error('The transaction has ended')
  }
}

/** Rows that many requests read, by key. Where other nodes may write them, nothing is cached. */
export interface RowCache<Row extends object> {
  /** Cached rows are shared by all readers and therefore frozen. */
  get(key: string): Promise<Row | null>
  /** Drops the row that a transaction changes. */
  forget(tx: Transaction, key: string): void
  /** Drops all rows, in a transaction that changes many. */
  forgetAll(tx: Transaction): void
}

/**
 * The name with which a node marks its work in the database. It is unique: the name of the process, and random letters. A
 * node that the others removed from the list of nodes takes another one, so that it has lost what it had marked.
 */
export interface NodeName {
  readonly current: string
  replace(): void
}

/** The database of one service, whichever kind it is. */
export interface Engine {
  readonly dialect: Dialect
  /** Null: only this process uses the database. */
  readonly node: NodeName | null
  /** Reads one row by one statement. */
  get<Row>(statement: Statement<Row>, values?: Values): Promise<Row | undefined>
  /** Reads rows by one statement. */
  all<Row>(statement: Statement<Row>, values?: Values): Promise<Row[]>
  /** Runs reads that all see the same moment. */
  read<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result>
  /**
   * Runs a body as if no other transaction ran. If it throws, none of its rows are kept. Resolves with its result once its
   * rows are durable.
   * @throws what the body throws, or the database's error
   */
  write<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result>
  /**
   * Runs a body whose first statement locks a row, so that all that lock it run one after another. Each further statement
   * sees what was committed before it. So the body conflicts with no other transaction, but only what the lock covers is
   * as if no other transaction ran.
   * @throws as `write`
   */
  writeInTurn<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result>
  /**
   * Makes a write that is called often. On PostgreSQL, calls that arrive while earlier ones run share the next transaction:
   * a statement, a conflict or a commit for each would cost many times as much.
   * @param body runs as in `write`, for a list of calls, and gives a result for each
   * @param keysOf calls that share a key run one after another
   * @param statements `for each`: the body runs some for each call. Where the driver sends one after another (behind a
   * pooler), few calls then share a transaction
   * @returns the write of one call, which throws as `write` does
   */
  grouped<Call, Result>(
    body: (tx: Transaction, calls: readonly Call[]) => Body<readonly Result[]>,
    keysOf: (call: Call) => string | readonly string[],
    statements?: 'for all' | 'for each',
  ): (call: Call) => Promise<Result>
  /** @param read reads the row of a key */
  rowCache<Row extends object>(read: (tx: Transaction, key: string) => Body<Row | null>): RowCache<Row>
  close(): Promise<void>
}

/** Runs a body whose statements give their rows at once. */
export function runSync<Result>(body: Body<Result>): Result {
  let step = body.next()
  while (!step.done) step = body.next(step.value)
  return step.value
}

/** Runs a body whose statements give promises. What one rejects with is thrown where the body waits for it. */
export async function runAsync<Result>(body: Body<Result>): Promise<Result> {
  let step = body.next()
  while (!step.done) {
    let value: unknown
    try {
      value = await step.value
    } catch (error) {
      step = body.throw(error)
      continue
    }
    step = body.next(value)
  }
  return step.value
}
