import type { Database } from 'bun:sqlite'
import { rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { sealedKeys } from '../../auth/restored.ts'
import type { DatabaseFile } from '../database-file.ts'
import { openDatabase, type Sqlite } from '../engine.ts'

/** One thing that was looked at. */
export interface Check {
  /** Stable, such as `users.file`. */
  id: string
  ok: boolean
  message: string
}

/** Whether CH202_SECRET opens a sealed private key. */
export type OpensKey = (kid: string, sealed: Uint8Array) => boolean

/** Opens a copy as its service would, which brings it up to date. */
export function contentChecks(database: DatabaseFile, opens: OpensKey | null): Check[] {
  const { migrations, name, path } = database
  const id = `${name}.database`
  let sqlite: Sqlite
  try {
    sqlite = openDatabase(path, name, migrations)
  } catch (error) {
    return [failed(id, messageOf(error, path))]
  }
  try {
    const fault = faultOf(sqlite, database)
    const checks = [
      fault === undefined ? passed(id, 'Opens, is whole, and has the schema of this version') : failed(id, fault),
    ]
    if (name === 'auth' && fault === undefined && opens) checks.push(keyCheck(sqlite, opens))
    return checks
  } catch (error) {
    return [failed(id, messageOf(error, path))]
  } finally {
    sqlite.close()
  }
}

function faultOf({ raw }: Sqlite, database: DatabaseFile): string | undefined {
  const file = basename(database.path)
  const integrity = raw.query<{ integrity_check: string }, []>('PRAGMA integrity_check(1)').get()?.integrity_check
  if (integrity !== 'ok') return `${file} is damaged: ${integrity}`
  const orphan = raw.query<{ table: string; parent: string }, []>('PRAGMA foreign_key_check').get()
  if (orphan) return `${file} has a row of ${orphan.table} without its row of ${orphan.parent}`
  const other = otherSchema(raw, database)
  return other && `${file} has another schema than its migrations make: ${other}`
}

/** The name of something in the schema that the migrations do not make so, or make and is missing, if there is one. */
function otherSchema(raw: Database, { migrations, name, path }: DatabaseFile): string | undefined {
  const fresh = openDatabase(`${path}.expected`, name, migrations)
  try {
    const [found, expected] = [schemaOf(raw), schemaOf(fresh.raw)]
    const times = (rows: SchemaRow[], { sql }: SchemaRow) => rows.filter((row) => row.sql === sql).length
    return [...found, ...expected].find((row) => times(found, row) !== times(expected, row))?.name
  } finally {
    fresh.close()
    rmSync(`${path}.expected`)
  }
}

interface SchemaRow {
  name: string
  sql: string
}

/**
 * The statements that SQLite runs when it reads the schema. They alone count: a trigger may bear the name of an index,
 * or a name and a type that its row has been given afterwards. Without its own tables (`sqlite_stat1`).
 */
function schemaOf(raw: Database): SchemaRow[] {
  return raw
    .query<SchemaRow, []>("SELECT name, sql FROM sqlite_schema WHERE sql NOT LIKE 'CREATE TABLE sqlite^_%' ESCAPE '^'")
    .all()
}

function keyCheck(sqlite: Sqlite, opens: OpensKey): Check {
  const keys = sealedKeys(sqlite)
  const closed = keys.filter(({ kid, sealed }) => !opens(kid, sealed))
  if (closed.length > 0)
    return failed('signing_key', 'CH202_SECRET does not open the signing key: it is not the secret of this backup')
  return passed('signing_key', keys.length === 0 ? 'There is no signing key yet' : 'CH202_SECRET opens the signing key')
}

export function passed(id: string, message: string): Check {
  return { id, ok: true, message }
}

export function failed(id: string, message: string): Check {
  return { id, ok: false, message }
}

/** Without the directory, which is gone when someone reads it. */
export function messageOf(error: unknown, path: string): string {
  const message = error instanceof Error ? error.message : 'unknown error'
  return message.replaceAll(`${dirname(path)}/`, '')
}
