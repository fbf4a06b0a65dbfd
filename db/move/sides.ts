import { Database } from 'bun:sqlite'
import type { ChainedRow } from '../schema/audit-chain.ts'
import { migrate } from '../sqlite/migrate.ts'
import type { Migration } from '../sqlite/migrations/migration.ts'

/** Rows that are read, written and compared at once. */
export const BATCH = 1000

/**
 * Tables whose numbers a fact holds on PostgreSQL, and `sqlite_sequence` on SQLite. The fact is not copied as a row: a
 * number of the table is.
 */
const COUNTED_BY_FACT: Record<string, string> = { revocations: 'last_revocation' }
/** The audit's numbers continue after its last row, on both kinds of database: no row of it is ever removed. */
const NUMBERED_BY_ROWS = new Set(['audit'])

export type Value = string | bigint | Uint8Array | null
/** The values of a row, in the order of the table's columns. */
export type Row = Value[]

export interface Table {
  name: string
  columns: { name: string; type: 'text' | 'bigint' | 'bytea' }[]
  /** The columns that order the rows: the primary key, or all columns of a table without one. */
  key: string[]
  /** Whether new rows get the number after the highest one ever used, even by a row that is gone. */
  isNumbered: boolean
  /** The fact that holds the highest number on PostgreSQL. */
  fact: string | undefined
  /** A condition for the rows that are copied. */
  where: string
}

/** One service's database, of either kind, in a transaction that sees one moment. */
export interface Side {
  /** Reads all rows in the order of the key, in batches. */
  rows(table: Table): AsyncGenerator<Row[]>
  /** The highest number that a row of the table ever had. */
  lastNumber(table: Table): Promise<bigint>
}

/** A database that gets the rows. */
export interface TargetSide extends Side {
  /** Removes the rows that migrations have written. */
  clear(table: Table): Promise<void>
  insert(table: Table, rows: readonly Row[]): Promise<void>
  setLastNumber(table: Table, number: bigint): Promise<void>
}

/** Says why nothing was moved, or nothing was verified. */
export class MoveError extends Error {
  override name = 'MoveError'
  constructor(
    readonly code:
      | 'source_missing'
      | 'schema_version'
      | 'in_use'
      | 'target_not_empty'
      | 'not_storable'
      | 'not_verified',
    message: string,
  ) {
    super(message)
  }
}

/** The SQL type of a column of a STRICT table, in PostgreSQL. */
const TYPES = { TEXT: 'text', INTEGER: 'bigint', BLOB: 'bytea' } as const

/**
 * Lists the tables of a service, referenced ones before those that refer to them. Both kinds of database have the same.
 * An index of a search is not among them: the database keeps it itself.
 */
export function tablesOf(migrations: readonly Migration[]): Table[] {
  const raw = new Database(':memory:', { strict: true })
  try {
    migrate(raw, ':memory:', migrations)
    const names = raw
      .query<{ name: string }, []>(
        `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'
         AND name NOT LIKE 'sqlite^_%' ESCAPE '^' AND name <> 'schema_migrations' ORDER BY name`,
      )
      .all()
      .map(({ name }) => name)
    return inOrderOfReferences(raw, names).map((name) => describeTable(raw, name))
  } finally {
    raw.close()
  }
}

function describeTable(raw: Database, name: string): Table {
  const columns = raw
    .query<{ name: string; type: keyof typeof TYPES; pk: number }, [string]>('SELECT * FROM pragma_table_info(?)')
    .all(name)
  const key = columns.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk)
  const sql = raw.query<{ sql: string }, [string]>('SELECT sql FROM sqlite_schema WHERE name = ?').get(name)?.sql ?? ''
  const facts = Object.values(COUNTED_BY_FACT)
  return {
    name,
    columns: columns.map((column) => ({ name: column.name, type: TYPES[column.type] })),
    key: (key.length > 0 ? key : columns).map((column) => column.name),
    isNumbered: /\bAUTOINCREMENT\b/.test(sql) && !NUMBERED_BY_ROWS.has(name),
    fact: COUNTED_BY_FACT[name],
    where: name === 'facts' ? facts.map((fact) => `name <> '${fact}'`).join(' AND ') : 'true',
  }
}

function inOrderOfReferences(raw: Database, names: readonly string[]): string[] {
  const parents = raw.query<{ table: string }, [string]>('SELECT "table" FROM pragma_foreign_key_list(?)')
  const ordered: string[] = []
  const add = (name: string) => {
    if (ordered.includes(name)) return
    for (const { table } of parents.all(name)) if (table !== name) add(table)
    ordered.push(name)
  }
  for (const name of names) add(name)
  return ordered
}

/** The statement that reads a table in the order of its key. Both databases compare texts byte by byte. */
export function selectRows({ columns, key, where }: Table, from: string): string {
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  return `SELECT ${list(columns.map(({ name }) => name))} FROM ${from} WHERE ${where} ORDER BY ${list(key)}`
}

/** Rows as JSON, for a statement that inserts all of them: numbers as text, bytes in hex. */
export function asJson(rows: readonly Row[]): string {
  return JSON.stringify(rows.map((row) => row.map(asText)))
}

function asText(value: Value): string | null {
  if (value === null || typeof value === 'string') return value
  return typeof value === 'bigint' ? String(value) : Buffer.from(value).toString('hex')
}

export function isEqual(first: Value | undefined, second: Value | undefined): boolean {
  if (first instanceof Uint8Array && second instanceof Uint8Array) return Buffer.compare(first, second) === 0
  return first === second
}

/** Names a row by its key, for a message. */
export function nameOf({ columns, key, name }: Table, row: Row): string {
  const values = columns.flatMap((column, at) => (key.includes(column.name) ? [asText(row[at] ?? null)] : []))
  return `the row ${values.join(', ')} of ${name}`
}

/** A row of the audit as its hash covers it. @param order the chained columns */
export function chainedRow({ columns }: Table, row: Row, order: readonly string[]): ChainedRow {
  return order.map((column) => {
    const value = row[columns.findIndex(({ name }) => name === column)] ?? null
    return typeof value === 'bigint' ? Number(value) : value
  }) as ChainedRow
}
