import { randomBytes } from 'node:crypto'
import type { SQL } from 'bun'
import { Column, fillPlaceholders, is, Param } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/sqlite-proxy'
import {
  type Body,
  type Builder,
  type Connection,
  type Engine,
  type NodeName,
  type RowCache,
  runAsync,
  type Statement,
  Transaction,
  type Values,
} from '../engine.ts'
import { storableText } from '../storable-text.ts'
import { isAfterFailure, isConflict } from './errors.ts'
import { GroupedCalls } from './grouped-calls.ts'
import { listForm, type ParameterType } from './list-form.ts'
import { isPipelined, nameIn, Pools, withNodeName } from './pools.ts'
import { numberParameters, qualifyTables } from './translate.ts'

/** Times that a transaction is tried when it conflicts with others. */
const TRIES = 50
/** Calls that share a transaction at most, and those that do if each takes round trips of its own. */
const MOST = 200
const FEW = 4
/** Milliseconds that a transaction waits at most before it is tried again. */
const LONGEST_WAIT = 50

export interface PostgresOptions {
  url: string
  /** The schema of the service: its name. */
  schema: string
  /** The tables of the service: statements name them without their schema. */
  tables: ReadonlySet<string>
  /** The name of this process among those that use the database. */
  nodeName?: string | undefined
  /** Milliseconds within which an operation must end. */
  patience?: number
}

/** Runs a statement: any connection of the pool, or that of a transaction. */
type Executor = Pick<SQL, 'unsafe'> & ((template: TemplateStringsArray) => SQL.Query<unknown[]>)

/** The schema of one service in a PostgreSQL database, or in one that speaks its protocol. */
export class Postgres implements Engine {
  readonly dialect = 'postgres'
  readonly node: NodeName
  private readonly statements: TranslatedStatements
  private readonly pools: Pools

  constructor(private readonly options: PostgresOptions) {
    const url = withNodeName(options.url, options.nodeName)
    this.node = new UniqueName(nameIn(url))
    this.pools = new Pools(url, options.patience)
    this.statements = new TranslatedStatements(options)
  }

  async get<Row>(statement: Statement<Row>, values: Values = {}): Promise<Row | undefined> {
    return this.repeated((pool) => this.connectionOf(pool).get(statement, values)) as Promise<Row | undefined>
  }

  async all<Row>(statement: Statement<Row>, values: Values = {}): Promise<Row[]> {
    return this.repeated((pool) => this.connectionOf(pool).all(statement, values)) as Promise<Row[]>
  }

  /** Runs reads in a snapshot (REPEATABLE READ, which PostgreSQL never aborts when it only reads). */
  read<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.repeated((pool) => this.transaction(pool, 'ISOLATION LEVEL REPEATABLE READ READ ONLY', body))
  }

  /** Runs a body at SERIALIZABLE, again from the start when it conflicts with another transaction. */
  write<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.writeSince(performance.now(), body)
  }

  /** Runs a body at READ COMMITTED, where others do not count its reads as conflicts with their writes. */
  writeInTurn<Result>(body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.repeated((pool) => this.transaction(pool, 'ISOLATION LEVEL READ COMMITTED', body))
  }

  grouped<Call, Result>(
    body: (tx: Transaction, calls: readonly Call[]) => Body<readonly Result[]>,
    keysOf: (call: Call) => string | readonly string[],
    statements: 'for all' | 'for each' = 'for all',
  ): (call: Call) => Promise<Result> {
    const most = statements === 'for each' && !isPipelined(this.options.url) ? FEW : MOST
    const group = new GroupedCalls<Call, Result>(
      (calls, since) => this.writeSince(since, (tx) => body(tx, calls)),
      keysOf,
      most,
    )
    return (call) => group.add(call)
  }

  /** Caches nothing: other nodes write the rows too. */
  rowCache<Row extends object>(read: (tx: Transaction, key: string) => Body<Row | null>): RowCache<Row> {
    return {
      get: (key) => this.repeated((pool) => runAsync(read(new Transaction(this.connectionOf(pool)), key))),
      forget: () => undefined,
      forgetAll: () => undefined,
    }
  }

  close(): Promise<void> {
    return this.pools.close()
  }

  /** @param since when the caller began to wait, by the monotonic clock */
  private writeSince<Result>(since: number, body: (tx: Transaction) => Body<Result>): Promise<Result> {
    return this.repeated((pool) => this.transaction(pool, 'ISOLATION LEVEL SERIALIZABLE', body), since)
  }

  /**
   * Runs a transaction, again from the start when it conflicts with another one. A statement outside of a transaction is one
   * too: at SERIALIZABLE, which the database may have as its default, it can conflict even when it only reads.
   * @param since when the caller began to wait, by the monotonic clock
   */
  private repeated<Result>(run: (pool: SQL) => Promise<Result>, since = performance.now()): Promise<Result> {
    return this.pools.use(async (pool, hasTimedOut) => {
      for (let tries = 1; ; tries++)
        try {
          return await run(pool)
        } catch (error) {
          if (!isConflict(error) || tries >= TRIES || hasTimedOut()) throw error
          await Bun.sleep(Math.random() * Math.min(2 ** tries, LONGEST_WAIT))
        }
    }, since)
  }

  private connectionOf(executor: Executor): PostgresConnection {
    return new PostgresConnection(this.statements, executor)
  }

  private async transaction<Result>(pool: SQL, mode: string, body: (tx: Transaction) => Body<Result>): Promise<Result> {
    let afterCommit: readonly (() => void)[] = []
    const result = await pool.begin(mode, async (executor) => {
      const tx = new Transaction(this.connectionOf(executor))
      try {
        return await runAsync(body(tx))
      } finally {
        afterCommit = tx.end()
      }
    })
    for (const listener of afterCommit) listener()
    return result as Result
  }
}

/**
 * Runs a body on a transaction that is open already. What it calls after its commit is not called.
 * @param tables the tables that it uses, of the schema
 */
export function runInTransaction<Result>(
  executor: Executor,
  options: Pick<PostgresOptions, 'schema' | 'tables'>,
  body: (tx: Transaction) => Body<Result>,
): Promise<Result> {
  return runAsync(body(new Transaction(new PostgresConnection(new TranslatedStatements(options), executor))))
}

/** A name that no other node has, even if two processes have the same name. */
class UniqueName implements NodeName {
  current: string

  constructor(private readonly process: string) {
    this.current = this.newName()
  }

  replace(): void {
    this.current = this.newName()
  }

  private newName(): string {
    return `${this.process}/${randomBytes(6).toString('hex')}`
  }
}

class PostgresConnection implements Connection {
  constructor(
    private readonly statements: TranslatedStatements,
    private readonly executor: Executor,
  ) {}

  async get(statement: Statement<unknown>, values: Values): Promise<unknown> {
    return (await this.all(statement, values))[0]
  }

  async all(statement: Statement<unknown>, values: Values): Promise<unknown[]> {
    const { rowsOf } = this.statements.of(statement)
    const query = this.query(statement, values)
    return rowsOf
      ? rowsOf(((await query.values()) as unknown[][]).map((row) => row.map(toNumber)))
      : named((await query) as Record<string, unknown>[])
  }

  async run(statement: Statement<unknown>, values: Values): Promise<number> {
    const { count } = (await this.query(statement, values)) as unknown as { count: number | null }
    return count ?? 0
  }

  async getEach(statement: Statement<unknown>, list: readonly Values[]): Promise<unknown[]> {
    return (await this.allEach(statement, list)).map(([first]) => first)
  }

  async allEach(statement: Statement<unknown>, list: readonly Values[]): Promise<unknown[][]> {
    const { listText, parameters, rowsOf } = this.statements.of(statement).forLists()
    const rows = (await this.executor.unsafe(listText, [listParameter(list.map(parameters))]).values()) as unknown[][]
    const rowsAt: unknown[][] = list.map(() => [])
    const read = rowsOf(rows.map(([, ...row]) => row.map(toNumber)))
    for (const [index, [place]] of rows.entries()) rowsAt[Number(place) - 1]?.push(read[index])
    return rowsAt
  }

  async runEach(statement: Statement<unknown>, list: readonly Values[]): Promise<void> {
    const { listText, parameters } = this.statements.of(statement).forLists()
    await this.executor.unsafe(listText, [listParameter(list.map(parameters))])
  }

  /** After an error the server refuses the other statements of the transaction: those errors say nothing of the cause. */
  async together(bodies: readonly Body<unknown>[]): Promise<unknown[]> {
    const errors: unknown[] = []
    const run = (body: Body<unknown>) => runAsync(body).catch((error: unknown) => void errors.push(error))
    const results = await Promise.all(bodies.map(run))
    if (errors.length > 0) throw errors.find((error) => !isAfterFailure(error)) ?? errors[0]
    return results
  }

  /** The driver sends a statement without parameters by a protocol in which others wait for its answer, unless it is a template. */
  private query(statement: Statement<unknown>, values: Values): SQL.Query<unknown[]> {
    const { parameters, template, text } = this.statements.of(statement)
    const list = parameters(values)
    return list.length === 0 ? this.executor(template) : this.executor.unsafe(text, list as never[])
  }
}

/** Writes lists of values as JSON, in which bytes are hexadecimal. */
function listParameter(lists: readonly unknown[][]): string {
  return JSON.stringify(
    lists.map((values) => values.map((value) => (value instanceof Uint8Array ? value.toHex() : storable(value)))),
  )
}

/** Numbers in rows are below 2^53. The driver gives them as `bigint`. */
function toNumber(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}

function named(rows: Iterable<Record<string, unknown>>): Record<string, unknown>[] {
  return [...rows].map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toNumber(value)])))
}

function storable(value: unknown): unknown {
  return typeof value === 'string' ? storableText(value) : value
}

interface Translated {
  text: string
  /** The text as a template, for a statement without parameters. */
  template: TemplateStringsArray
  parameters(values: Values): unknown[]
  /** @throws Error for a statement that cannot run for a list */
  forLists(): TranslatedForLists
  /** Converts the values of rows as the query builder declares them; absent for a statement from text. */
  rowsOf?(rows: unknown[][]): unknown[]
}

interface TranslatedForLists {
  listText: string
  parameters(values: Values): unknown[]
  rowsOf(rows: unknown[][]): unknown[]
}

/** A prepared statement of the query builder. It is never run: it has the text and converts rows. */
interface BuiltStatement {
  getQuery(): { sql: string; params: unknown[] }
  mapAllResult(rows: unknown[][]): unknown[]
}

/** Translates statements from SQLite's dialect, each when it is first used. */
class TranslatedStatements {
  private readonly translated = new Map<Statement<unknown>, Translated>()
  private readonly builder = drizzle(async () => ({ rows: [] })) as unknown as Builder

  constructor(private readonly options: Pick<PostgresOptions, 'schema' | 'tables'>) {}

  of(statement: Statement<unknown>): Translated {
    let translated = this.translated.get(statement)
    if (!translated) {
      translated = statement.build ? this.fromBuilder(statement.build) : this.fromText(statement.text?.postgres ?? '')
      if (!statement.unique) this.translated.set(statement, translated)
    }
    return translated
  }

  private fromBuilder(build: NonNullable<Statement<unknown>['build']>): Translated {
    const prepared = build(this.builder, 'postgres').prepare() as unknown as BuiltStatement
    const { params, sql } = prepared.getQuery()
    // The target of a conflict has no table in PostgreSQL.
    const text = sql.replace(
      /on conflict \(([^)]*)\)/,
      (_, target: string) => `on conflict (${target.replaceAll(/"\w+"\./g, '')})`,
    )
    let position = 0
    const numbered = qualifyTables(
      text.replaceAll('?', () => `$${++position}`),
      this.options,
    )
    const parameters = (values: Values) => fillPlaceholders(params, values).map(storable)
    const rowsOf = (rows: unknown[][]) => prepared.mapAllResult(rows)
    let forLists: TranslatedForLists | undefined
    return {
      text: numbered,
      template: templateOf(numbered),
      parameters,
      rowsOf,
      forLists() {
        forLists ??= { listText: listForm(numbered, params.map(typeOf)), parameters, rowsOf }
        return forLists
      },
    }
  }

  private fromText(source: string): Translated {
    const { names, text: numbered } = numberParameters(source)
    const text = qualifyTables(numbered, this.options)
    return {
      text,
      template: templateOf(text),
      forLists() {
        throw new Error(`A statement from text cannot run for a list: ${source}`)
      },
      parameters: (values) =>
        names.map((name) => {
          if (!(name in values)) throw new Error(`The statement has no value for $${name}`)
          const value = values[name]
          return typeof value === 'boolean' ? Number(value) : storable(value)
        }),
    }
  }
}

/** Makes what a template literal without values gives to its tag. */
function templateOf(text: string): TemplateStringsArray {
  const strings: readonly string[] = [text]
  return Object.defineProperty(strings, 'raw', { value: [text] }) as TemplateStringsArray
}

/** The type of a parameter of the query builder. One that is compared is text: the key of a row. */
function typeOf(parameter: unknown): ParameterType {
  const column: unknown = is(parameter, Param) ? parameter.encoder : undefined
  if (!is(column, Column)) return 'text'
  const type = column.getSQLType()
  return type === 'integer' ? 'bigint' : type === 'blob' ? 'bytea' : 'text'
}
