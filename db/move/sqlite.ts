import { Database } from 'bun:sqlite'
import { existsSync, linkSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { readStub, writeStub } from '../sqlite/backup/interrupted.ts'
import { holdsData } from '../sqlite/backup/restore.ts'
import type { DatabaseFile } from '../sqlite/database-file.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../sqlite/drafts.ts'
import { flush } from '../sqlite/durable.ts'
import { isBusy } from '../sqlite/errors.ts'
import { refuseDamagedFile, refuseDamagedPages, refuseLogAlone } from '../sqlite/integrity.ts'
import { plannedMigrations } from '../sqlite/migrate.ts'
import { applicationIdOf, openDatabase } from '../sqlite/open-database.ts'
import { asJson, BATCH, MoveError, type Row, type Side, selectRows, type Table, type TargetSide } from './sides.ts'

const DRAFT = '.move-draft-'
/** The name in the stubs that stand in for the files while they are put into place. */
const STUB = 'ch202 move'

/**
 * Opens the files of a stopped installation for reading. Nothing else can open them until `close`.
 * @throws MoveError when one is missing, in use, or of another version; DatabaseError when one is damaged
 */
export function openFiles(files: readonly DatabaseFile[]): { sideOf(name: string): Side; close(): void } {
  const opened = new Map<string, Database>()
  const close = () => {
    for (const raw of opened.values()) raw.close()
  }
  try {
    for (const file of files) opened.set(file.name, openFile(file))
  } catch (error) {
    close()
    throw error
  }
  return { sideOf: (name) => new SqliteSide(opened.get(name) as Database), close }
}

function openFile({ migrations, name, path }: DatabaseFile): Database {
  refuseLogAlone(path)
  if (!existsSync(path))
    throw new MoveError('source_missing', `${path} is missing: set CH202_DATA_DIR to the directory of the installation`)
  if (readStub(path)) throw new MoveError('source_missing', `A restore of ${path} was interrupted`)
  refuseDamagedFile(path, { name, id: applicationIdOf(name) })
  if (plannedMigrations(path, migrations).length > 0)
    throw new MoveError('schema_version', `${path} has the schema of an earlier version`)
  const raw = openRaw(path)
  try {
    // Only the single user of a file can end its write-ahead log. The lock then keeps services from starting.
    raw.query('PRAGMA journal_mode = DELETE').get()
    raw.run('BEGIN EXCLUSIVE')
    refuseDamagedPages(raw, path)
    return raw
  } catch (error) {
    raw.close()
    if (!isBusy(error)) throw error
    throw new MoveError('in_use', `${path} is in use: the ${name} service, or another program, has it open`)
  }
}

function openRaw(path: string): Database {
  return new Database(path, { readwrite: true, create: false, strict: true, safeIntegers: true })
}

/** New files in a directory of drafts: nothing sees them before `finish`. */
export interface NewFiles {
  sideOf(name: string): TargetSide
  /** Makes the rows durable and puts the files into place. */
  finish(): void
  discard(): void
}

/**
 * Creates the files of an installation beside their directory.
 * @param filesIn lists the files of a directory
 * @throws MoveError when the directory has data, or another move into it is under way
 */
export function createFiles(target: string, filesIn: (directory: string) => DatabaseFile[]): NewFiles {
  mkdirSync(target, { recursive: true, mode: 0o700 })
  if (holdsData(target)) throw notEmpty(target)
  if (removeStaleDrafts(target, DRAFT)) throw new MoveError('in_use', `Another move into ${target} is under way`)
  const draft = newDraft(target, DRAFT)
  const opened = new Map<string, Database>()
  try {
    for (const { migrations, name, path } of filesIn(draft.path)) {
      openDatabase(path, name, migrations).closeNow()
      const raw = openRaw(path)
      opened.set(name, raw)
      raw.query('PRAGMA journal_mode = DELETE').get()
      raw.run('PRAGMA synchronous = FULL')
      raw.run('BEGIN IMMEDIATE')
    }
  } catch (error) {
    draft.discard()
    throw error
  }
  const close = () => {
    for (const raw of opened.values()) raw.close()
    opened.clear()
  }
  return {
    sideOf: (name) => new SqliteSide(opened.get(name) as Database),
    finish() {
      for (const raw of opened.values()) {
        const orphan = raw.query<{ table: string; parent: string }, []>('PRAGMA foreign_key_check').get()
        if (orphan) throw new MoveError('not_verified', `A row of ${orphan.table} has no row of ${orphan.parent}`)
        raw.run('COMMIT')
      }
      close()
      putIntoPlace(draft, filesIn(target))
    },
    discard() {
      close()
      draft.discard()
    },
  }
}

function notEmpty(target: string): MoveError {
  return new MoveError('target_not_empty', `${target} has databases already`)
}

/**
 * Gives the complete files their names. Until the last one has its name, the others are stubs, which no service opens: if
 * this is interrupted, the same move again finishes it.
 */
function putIntoPlace(draft: Draft, files: readonly DatabaseFile[]): void {
  const stub = join(draft.path, 'stub')
  for (const { path } of files) {
    flush(join(draft.path, basename(path)))
    rmSync(stub, { force: true })
    writeStub(stub, { backup: STUB, aside: null })
    if (readStub(path) || isLeftover(path, files)) renameSync(stub, path)
    else linkNew(stub, path)
  }
  const [{ path: first = '' } = {}] = files
  flush(join(first, '..'))
  for (const { path } of files) renameSync(join(draft.path, basename(path)), path)
  flush(join(first, '..'))
}

/** Whether an interrupted move has left the file: others are still stubs. */
function isLeftover(path: string, files: readonly DatabaseFile[]): boolean {
  return existsSync(path) && files.some((file) => readStub(file.path)?.backup === STUB)
}

function linkNew(from: string, path: string): void {
  try {
    linkSync(from, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // A service has started meanwhile.
    throw notEmpty(path)
  }
}

class SqliteSide implements TargetSide {
  constructor(private readonly raw: Database) {}

  async *rows(table: Table): AsyncGenerator<Row[]> {
    const names = table.columns.map(({ name }) => name)
    let batch: Row[] = []
    for (const row of this.raw.query<Record<string, Row[number]>, []>(selectRows(table, table.name)).iterate()) {
      batch.push(names.map((name) => row[name] ?? null))
      if (batch.length < BATCH) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  async lastNumber({ key: [key], name }: Table): Promise<bigint> {
    return (
      this.raw
        .query<{ last: bigint }, [string]>(
          `SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0),
             coalesce((SELECT max("${key}") FROM ${name}), 0)) AS last`,
        )
        .get(name)?.last ?? 0n
    )
  }

  async clear({ name }: Table): Promise<void> {
    this.raw.run(`DELETE FROM ${name}`)
  }

  /** Inserts by one statement: a full-text index writes a segment at the end of each. */
  async insert({ columns, name }: Table, rows: readonly Row[]): Promise<void> {
    const values = columns.map(({ type }, at) => {
      const value = `value->>${at}`
      if (type === 'bigint') return `CAST(${value} AS INTEGER)`
      return type === 'bytea' ? `unhex(${value})` : value
    })
    this.raw
      .query<unknown, [string]>(
        `INSERT INTO ${name} (${columns.map((column) => `"${column.name}"`).join(', ')})
         SELECT ${values.join(', ')} FROM json_each(?) ORDER BY key`,
      )
      .run(asJson(rows))
  }

  async setLastNumber({ name }: Table, number: bigint): Promise<void> {
    this.raw.query('DELETE FROM sqlite_sequence WHERE name = ?').run(name)
    if (number > 0n) this.raw.query('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)').run(name, number)
  }
}
