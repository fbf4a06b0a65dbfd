import { CHAIN_HEAD, CHAINED_COLUMNS, parseHead } from '../schema/audit-chain.ts'
import { ChainCheck } from '../schema/audit-check.ts'
import type { DatabaseFile } from '../sqlite/database-file.ts'
import { fromDatabase, intoDatabase } from './postgres.ts'
import {
  chainedRow,
  isEqual,
  MoveError,
  nameOf,
  type Row,
  type Side,
  type Table,
  type TargetSide,
  tablesOf,
} from './sides.ts'
import { createFiles, openFiles } from './sqlite.ts'

export { MoveError } from './sides.ts'

/** An installation, or the place for one: the address of a PostgreSQL database, or a directory of SQLite files. */
export type Place = { url: string } | { directory: string }

export interface MovedService extends Record<string, unknown> {
  service: string
  tables: number
  /** How many rows were copied. */
  rows: number
  /** How many rows were read on both sides and are equal in every column. */
  verified: number
}

export interface MoveOptions {
  /** Lists the databases of all services, with their files in a directory. */
  filesIn(directory: string): DatabaseFile[]
  /** Called with the number of rows that were copied or compared so far. */
  onProgress(rows: number): void
}

/**
 * Copies a stopped installation to an empty place and compares both, row by row. When it fails, the target is as empty as
 * before. The source is not changed.
 * @throws MoveError; PostgresFailure; DatabaseError
 */
export function moveInstallation(from: Place, to: Place, options: MoveOptions): Promise<MovedService[]> {
  const databases = options.filesIn('directory' in from ? from.directory : '')
  const copyTo = (source: SideOf<Side>, confirm: () => Promise<void> = async () => undefined) =>
    intoPlace(to, databases, options, async (target) => {
      const moved = await copyAll(databases, source, target, options.onProgress)
      await confirm()
      return moved
    })
  return 'url' in from ? fromDatabase(from.url, databases, copyTo) : fromFiles(databases, copyTo)
}

type SideOf<T> = (name: string) => T

async function fromFiles<Result>(
  files: readonly DatabaseFile[],
  run: (sideOf: SideOf<Side>) => Promise<Result>,
): Promise<Result> {
  const opened = openFiles(files)
  try {
    return await run(opened.sideOf)
  } finally {
    opened.close()
  }
}

async function intoPlace<Result>(
  to: Place,
  databases: readonly DatabaseFile[],
  { filesIn }: MoveOptions,
  run: (sideOf: SideOf<TargetSide>) => Promise<Result>,
): Promise<Result> {
  if ('url' in to) return await intoDatabase(to.url, databases, run)
  const created = createFiles(to.directory, filesIn)
  try {
    const result = await run(created.sideOf)
    created.finish()
    return result
  } finally {
    created.discard()
  }
}

async function copyAll(
  databases: readonly DatabaseFile[],
  sourceOf: SideOf<Side>,
  targetOf: SideOf<TargetSide>,
  onProgress: (rows: number) => void,
): Promise<MovedService[]> {
  let progress = 0
  const count = (rows: number) => {
    progress += rows
    onProgress(progress)
  }
  const moved: MovedService[] = []
  for (const { migrations, name } of databases) {
    const [source, target, tables] = [sourceOf(name), targetOf(name), tablesOf(migrations)]
    // Rows that migrations wrote: no other table refers to them.
    for (const table of tables.toReversed()) await target.clear(table)
    let rows = 0
    for (const table of tables) rows += await copyTable(table, source, target, count)
    let verified = 0
    for (const table of tables) verified += await verifyTable(name, table, source, target, count)
    await verifyChain(tables, target)
    moved.push({ service: name, tables: tables.length, rows, verified })
  }
  return moved
}

async function copyTable(
  table: Table,
  source: Side,
  target: TargetSide,
  onRows: (rows: number) => void,
): Promise<number> {
  let copied = 0
  for await (const rows of source.rows(table)) {
    await target.insert(table, rows)
    copied += rows.length
    onRows(rows.length)
  }
  if (table.isNumbered) await target.setLastNumber(table, await source.lastNumber(table))
  return copied
}

/** Compares every value of every row, and the number that a new row would get. @returns the number of rows */
async function verifyTable(
  service: string,
  table: Table,
  source: Side,
  target: Side,
  onRows: (rows: number) => void,
): Promise<number> {
  const copies = eachRow(target.rows(table))
  let verified = 0
  for await (const rows of source.rows(table)) {
    for (const row of rows) {
      const { value: copy } = await copies.next()
      if (!copy || !row.every((value, at) => isEqual(value, copy[at])))
        throw new MoveError('not_verified', `The copy of ${nameOf(table, row)} (${service}) differs from its original`)
      verified++
    }
    onRows(rows.length)
  }
  const { value: extra } = await copies.next()
  if (extra)
    throw new MoveError('not_verified', `The target has ${nameOf(table, extra)} (${service}), the source has not`)
  if (table.isNumbered && (await source.lastNumber(table)) !== (await target.lastNumber(table)))
    throw new MoveError('not_verified', `New rows of ${table.name} (${service}) would not continue the numbers`)
  return verified
}

async function* eachRow(batches: AsyncIterable<Row[]>): AsyncGenerator<Row, undefined> {
  for await (const rows of batches) yield* rows
}

/** Walks the chain of the audit at the target, if the service has one. */
async function verifyChain(tables: readonly Table[], target: Side): Promise<void> {
  const audit = tables.find(({ columns }) => columns.some(({ name }) => name === 'prev_hash'))
  const facts = tables.find(({ name }) => name === 'facts')
  if (!audit || !facts) return
  let head: string | undefined
  for await (const [name, value] of eachRow(target.rows(facts))) if (name === CHAIN_HEAD) head = value as string
  const check = new ChainCheck(parseHead(head))
  const columns = CHAINED_COLUMNS.split(', ')
  for await (const row of eachRow(target.rows(audit))) {
    const report = check.add(chainedRow(audit, row, columns))
    if (report) throw brokenChain(report.fault)
  }
  const { fault } = check.end()
  if (fault !== undefined) throw brokenChain(fault)
}

function brokenChain(fault: string | undefined): MoveError {
  return new MoveError('not_verified', `${fault}. The rows are equal on both sides: the audit was broken before`)
}
