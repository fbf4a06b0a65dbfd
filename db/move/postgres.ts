import type { TransactionSQL } from 'bun'
import { chainBatch } from '../auth/audit/chaining.ts'
import { OWNER } from '../nodes.ts'
import { runInTransaction } from '../postgres/engine.ts'
import { type ConnectedNode, connectedNodes, type Executor, withConnection } from '../postgres/inspect/server.ts'
import { migrate, plannedMigrations } from '../postgres/migrate.ts'
import { withoutTimeouts } from '../postgres/time-limits.ts'
import type { DatabaseFile } from '../sqlite/database-file.ts'
import {
  asJson,
  BATCH,
  MoveError,
  nameOf,
  type Row,
  type Side,
  selectRows,
  type Table,
  type TargetSide,
} from './sides.ts'

/** How long a lock of another process is waited for. */
const LOCK_PATIENCE = '10s'
/** How often, and after how many milliseconds, the list of connections is read again. */
const CLOSING_TRIES = 10
const CLOSING_WAIT = 200

/**
 * Runs a copy from the database of a stopped installation, in one transaction that sees one moment. A node that starts
 * meanwhile waits: it needs the same lock. Nothing changes in the database but that all rows of the audit are in its chain.
 * @param run gets a function that it calls before it completes the copy: it refuses one that a node may have outdated
 * @throws MoveError when a node runs, or the schema is of another version; PostgresFailure
 */
export async function fromDatabase<Result>(
  url: string,
  databases: readonly DatabaseFile[],
  run: (sideOf: (name: string) => Side, confirm: () => Promise<void>) => Promise<Result>,
): Promise<Result> {
  await withConnection(url, (sql) => sql.unsafe('SELECT 1'))
  for (const { name, postgres } of databases) {
    const pending = await plannedMigrations(url, name, postgres)
    if (pending.length === postgres.length)
      throw new MoveError('source_missing', `There is no schema ${name} in the database of DATABASE_URL`)
    if (pending.length > 0) throw new MoveError('schema_version', `The schema ${name} is of an earlier version`)
  }
  return await inTransaction(url, 'ISOLATION LEVEL REPEATABLE READ', databases, async (sideOf, tx) => {
    await chainAudit(tx, databases)
    return await run(sideOf, () => refuseNewNodes(tx))
  })
}

/**
 * Runs a copy into an empty database, in one transaction: all rows are there after it, or none.
 * @throws MoveError when the database has data, or a node runs; PostgresFailure
 */
export async function intoDatabase<Result>(
  url: string,
  databases: readonly DatabaseFile[],
  run: (sideOf: (name: string) => TargetSide) => Promise<Result>,
): Promise<Result> {
  await withConnection(url, (sql) => sql.unsafe('SELECT 1'))
  for (const database of databases) await prepareSchema(url, database)
  // The lock would never come when the target is the source.
  await withConnection(url, async (sql) => {
    for (const database of databases) await refuseRows(sql, database)
  })
  return await inTransaction(url, 'ISOLATION LEVEL READ COMMITTED', databases, async (sideOf, tx) => {
    for (const database of databases) await refuseRows(tx, database)
    return await run(sideOf)
  })
}

/** Chains the rows of the audit that nodes have left when they were killed. Undone if the copy fails. */
async function chainAudit(tx: TransactionSQL, databases: readonly DatabaseFile[]): Promise<void> {
  for (const { name: schema } of databases.filter(({ name }) => name === 'auth')) {
    const tables = new Set(await tableNames(tx, schema))
    while ((await runInTransaction(tx, { schema, tables }, chainBatch)) !== null);
  }
}

/** Creates the schema, unless it is there already, empty and of this version. */
async function prepareSchema(url: string, { name, postgres }: DatabaseFile): Promise<void> {
  const pending = await plannedMigrations(url, name, postgres)
  if (pending.length > 0) {
    const tables = await withConnection(url, (sql) =>
      sql.unsafe(
        `SELECT table_name FROM information_schema.tables WHERE table_schema = $1 AND table_name <> 'schema_migrations'`,
        [name],
      ),
    )
    if (tables.length > 0) throw new MoveError('target_not_empty', `The schema ${name} of the target has other tables`)
  }
  if (pending.length > 0) await migrate(url, name, postgres)
}

async function refuseRows(tx: Executor, { name, postgres }: DatabaseFile): Promise<void> {
  const seeded = new Set(
    postgres.flatMap(({ sql }) => [...sql.matchAll(/^INSERT INTO (\w+)/gm)].map(([, table]) => table)),
  )
  for (const table of await tableNames(tx, name)) {
    if (seeded.has(table)) continue
    const rows = await tx.unsafe(`SELECT 1 FROM "${name}"."${table}" LIMIT 1`)
    if (rows.length > 0)
      throw new MoveError('target_not_empty', `The target has data already: there are rows in ${name}.${table}`)
  }
}

async function tableNames(tx: Executor, schema: string): Promise<string[]> {
  const rows = await tx.unsafe(
    `SELECT table_name AS name FROM information_schema.tables
     WHERE table_schema = $1 AND table_type = 'BASE TABLE' AND table_name <> 'schema_migrations' ORDER BY table_name`,
    [schema],
  )
  return [...rows].map(({ name }) => String(name))
}

function inTransaction<Result>(
  url: string,
  mode: string,
  databases: readonly DatabaseFile[],
  run: (sideOf: (name: string) => PostgresSide, tx: TransactionSQL) => Promise<Result>,
): Promise<Result> {
  return withConnection(
    url,
    (sql) =>
      sql.begin(mode, async (tx) => {
        await withoutTimeouts(tx)
        await tx.unsafe(`SET LOCAL lock_timeout = '${LOCK_PATIENCE}'`)
        for (const { name } of databases)
          await tx.unsafe(`SELECT name FROM "${name}".schema_migrations WHERE name = '' FOR UPDATE`)
        await refuseNodes(tx)
        return await run((name) => new PostgresSide(tx, name), tx)
      }) as Promise<Result>,
  )
}

async function refuseNodes(tx: Executor): Promise<void> {
  let nodes = await connectedNodes(tx)
  // A connection that was just closed, by a node or by a migration, is listed for a moment.
  for (let tries = 0; nodes.length > 0 && tries < CLOSING_TRIES; tries++) {
    await Bun.sleep(CLOSING_WAIT)
    await tx.unsafe('SELECT pg_stat_clear_snapshot()')
    nodes = await connectedNodes(tx)
  }
  if (nodes.length > 0)
    throw new MoveError('in_use', `Nodes are connected to the database: ${namesOf(nodes)}. Stop them first`)
}

/**
 * Refuses nodes that connected during the copy: one whose migrations had ended just before did not wait for the lock. A
 * node that waits for it has not written anything.
 */
async function refuseNewNodes(tx: Executor): Promise<void> {
  await tx.unsafe('SELECT pg_stat_clear_snapshot()')
  const nodes = (await connectedNodes(tx)).filter(({ isWaiting }) => !isWaiting)
  if (nodes.length > 0)
    throw new MoveError('in_use', `Nodes have started during the move: ${namesOf(nodes)}. Stop them, and move again`)
}

function namesOf(nodes: readonly ConnectedNode[]): string {
  return nodes.map(({ address, node }) => (address === null ? node : `${node} (from ${address})`)).join(', ')
}

class PostgresSide implements TargetSide {
  private cursors = 0

  constructor(
    private readonly tx: Executor,
    private readonly schema: string,
  ) {}

  async *rows(table: Table): AsyncGenerator<Row[]> {
    await this.refuseOtherColumns(table)
    const cursor = `rows_${this.schema}_${table.name}_${++this.cursors}`
    await this.tx.unsafe(`DECLARE "${cursor}" NO SCROLL CURSOR FOR ${selectRows(table, this.nameOf(table))}`)
    for (;;) {
      const rows = (await this.tx.unsafe(`FETCH ${BATCH} FROM "${cursor}"`).values()) as unknown as Row[]
      if (rows.length > 0) yield [...rows]
      if (rows.length < BATCH) break
    }
    await this.tx.unsafe(`CLOSE "${cursor}"`)
  }

  async lastNumber(table: Table): Promise<bigint> {
    const [row] = await this.tx.unsafe(
      `SELECT greatest(coalesce((SELECT max("${table.key[0]}") FROM ${this.nameOf(table)}), 0), (${await this.numberQuery(table)}))
       AS last`,
    )
    return BigInt(row.last)
  }

  async clear(table: Table): Promise<void> {
    await this.tx.unsafe(`DELETE FROM ${this.nameOf(table)}`)
  }

  async insert(table: Table, rows: readonly Row[]): Promise<void> {
    refuseUnstorable(this.schema, table, rows)
    const values = table.columns.map(({ type }, at) =>
      type === 'bytea' ? `decode(value->>${at}, 'hex')` : `CAST(value->>${at} AS ${type})`,
    )
    await this.tx.unsafe(
      `INSERT INTO ${this.nameOf(table)} (${table.columns.map(({ name }) => `"${name}"`).join(', ')})
       SELECT ${values.join(', ')} FROM jsonb_array_elements(CAST($1 AS text)::jsonb) AS list (value)`,
      [asJson(rows)],
    )
  }

  async setLastNumber(table: Table, number: bigint): Promise<void> {
    if (table.fact !== undefined) {
      await this.tx.unsafe(
        `INSERT INTO "${this.schema}".facts (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
        [table.fact, String(number)],
      )
      return
    }
    // Unlike `setval`, this is undone with the transaction.
    await this.tx.unsafe(`ALTER TABLE ${this.nameOf(table)} ALTER COLUMN "${table.key[0]}" RESTART WITH ${number + 1n}`)
  }

  private nameOf({ name }: Table): string {
    return `"${this.schema}"."${name}"`
  }

  /** The query of the highest number that the table has given. */
  private async numberQuery(table: Table): Promise<string> {
    if (table.fact !== undefined)
      return `coalesce((SELECT CAST(value AS bigint) FROM "${this.schema}".facts WHERE name = '${table.fact}'), 0)`
    const [row] = await this.tx.unsafe('SELECT pg_get_serial_sequence($1, $2) AS name', [
      this.nameOf(table),
      table.key[0] as string,
    ])
    if (!row?.name) throw new Error(`${this.nameOf(table)} has no sequence`)
    return `SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM ${row.name}`
  }

  /** A column that this copy does not know would be lost. Which node works on a row is not copied: no node runs. */
  private async refuseOtherColumns({ columns, name }: Table): Promise<void> {
    const rows = await this.tx.unsafe(
      `SELECT column_name AS name FROM information_schema.columns
       WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER'`,
      [this.schema, name],
    )
    const names = [...rows]
      .map((row) => String(row.name))
      .filter((column) => column !== OWNER)
      .sort()
    const expected = columns.map((column) => column.name).sort()
    if (names.join() !== expected.join())
      throw new MoveError(
        'schema_version',
        `The table ${this.schema}.${name} has other columns than on SQLite: ${names.filter((column) => !expected.includes(column)).join(', ') || 'some are missing'}`,
      )
  }
}

/** PostgreSQL cannot store U+0000 in a text. Rows of earlier versions may have it. */
function refuseUnstorable(schema: string, table: Table, rows: readonly Row[]): void {
  for (const row of rows) {
    const at = row.findIndex((value) => typeof value === 'string' && value.includes('\0'))
    if (at >= 0)
      throw new MoveError(
        'not_storable',
        `The column ${table.columns[at]?.name} of ${nameOf(table, row)} (${schema}) has the character U+0000, which PostgreSQL cannot store: change it where the data is, and move again`,
      )
  }
}
