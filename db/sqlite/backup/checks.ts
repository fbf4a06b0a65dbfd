import type { Database } from 'bun:sqlite'
import { rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { sealedKeys } from '../../auth/restored.ts'
import type { DatabaseFile } from '../database-file.ts'
import type { Sqlite } from '../engine.ts'
import { openDatabase } from '../open-database.ts'

/** The result of one check. */
export interface Check {
  /** Stable, such as `users.file`. */
  id: string
  ok: boolean
  message: string
}

/** Whether CH202_SECRET decrypts a private key. */
export type OpensKey = (kid: string, sealed: Uint8Array) => boolean

/** Opens a copy as its service would, which applies pending migrations, and checks its contents. */
export async function contentChecks(database: DatabaseFile, opens: OpensKey | null): Promise<Check[]> {
  const { migrations, name, path } = database
  const id = `${name}.database`
  let sqlite: Sqlite
  try {
    sqlite = openDatabase(path, name, migrations)
  } catch (error) {
    return [failed(id, messageOf(error, path))]
  }
  try {
    const fault = faultIn(sqlite, database)
    const checks = [
      fault === undefined ? passed(id, 'Opens, is intact, and has the schema of this version') : failed(id, fault),
    ]
    if (name === 'auth' && fault === undefined && opens) checks.push(await keyCheck(sqlite, opens))
    return checks
  } catch (error) {
    return [failed(id, messageOf(error, path))]
  } finally {
    await sqlite.close()
  }
}

function faultIn({ raw }: Sqlite, database: DatabaseFile): string | undefined {
  const file = basename(database.path)
  const integrity = raw.query<{ integrity_check: string }, []>('PRAGMA integrity_check(1)').get()?.integrity_check
  if (integrity !== 'ok') return `${file} is damaged: ${integrity}`
  const orphan = raw.query<{ table: string; parent: string }, []>('PRAGMA foreign_key_check').get()
  if (orphan) return `${file} has a row of ${orphan.table} without its row of ${orphan.parent}`
  const difference = schemaDifference(raw, database)
  return difference && `${file} has another schema than its migrations create: ${difference}`
}

/** Gives the name of the first table, index or trigger that differs from what the migrations create, if any does. */
function schemaDifference(raw: Database, { migrations, name, path }: DatabaseFile): string | undefined {
  const fresh = openDatabase(`${path}.expected`, name, migrations)
  try {
    const [actual, expected] = [schemaOf(raw), schemaOf(fresh.raw)]
    const count = (rows: SchemaRow[], { sql }: SchemaRow) => rows.filter((row) => row.sql === sql).length
    return [...actual, ...expected].find((row) => count(actual, row) !== count(expected, row))?.name
  } finally {
    fresh.closeNow()
    rmSync(`${path}.expected`)
  }
}

/** The tables that Litestream adds to a file that it replicates. They hold a counter. */
const LITESTREAM_TABLES = [
  'CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)',
  'CREATE TABLE _litestream_lock (id INTEGER)',
]

interface SchemaRow {
  name: string
  sql: string
}

/**
 * The statements that SQLite runs when it reads the schema, without those of its own tables (`sqlite_stat1`) and of
 * Litestream's. Only the statements count: an attacker can give the row of a trigger any name and type.
 */
function schemaOf(raw: Database): SchemaRow[] {
  return raw
    .query<SchemaRow, []>("SELECT name, sql FROM sqlite_schema WHERE sql NOT LIKE 'CREATE TABLE sqlite^_%' ESCAPE '^'")
    .all()
    .filter(({ sql }) => !LITESTREAM_TABLES.includes(sql))
}

async function keyCheck(sqlite: Sqlite, opens: OpensKey): Promise<Check> {
  const keys = await sealedKeys(sqlite)
  if (keys.length === 0) return passed('signing_key', 'There is no signing key yet')
  if (keys.every(({ kid, sealed }) => opens(kid, sealed)))
    return passed('signing_key', 'CH202_SECRET decrypts the signing key')
  return failed('signing_key', 'CH202_SECRET does not decrypt the signing key: the backup was made with another secret')
}

export function passed(id: string, message: string): Check {
  return { id, ok: true, message }
}

export function failed(id: string, message: string): Check {
  return { id, ok: false, message }
}

/** Gives an error's message without the path of the temporary directory. */
export function messageOf(error: unknown, path: string): string {
  const message = error instanceof Error ? error.message : 'unknown error'
  return message.replaceAll(`${dirname(path)}/`, '')
}
