import { Database } from 'bun:sqlite'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SERVICES_WITH_DATABASE } from '../../../services/registry.ts'
import { eventually } from '../eventually.ts'
import type { Name } from '../settings.ts'
import type { System } from '../system.ts'
import { runStatements } from './shared.ts'

/**
 * The rows of a query on the database of a service, for what no route shows.
 * @param query in SQL that both databases understand; columns in mixed case stand in quotation marks
 */
export async function databaseRows<Row extends object>(system: System, service: Name, query: string): Promise<Row[]> {
  if (system.database) {
    const url = system.database.adminUrl
    return (await runStatements(url, `SET search_path TO ${service}, public`, query)) as Row[]
  }
  const database = openFile(system, service, { readonly: true })
  try {
    return database.query<Row, []>(query).all()
  } finally {
    database.close()
  }
}

/** Changes rows in the database of a service that runs or is stopped, as no operation does. */
export async function changeRows(system: System, service: Name, ...statements: string[]): Promise<void> {
  if (system.database) {
    await runStatements(system.database.adminUrl, `SET search_path TO ${service}, public`, ...statements)
    return
  }
  const database = openFile(system, service)
  try {
    for (const statement of statements) database.run(statement)
  } finally {
    database.close()
  }
}

/** Everything that the databases of all services contain, as bytes. */
export async function storedBytes(system: System): Promise<Buffer[]> {
  const { database, dataDir } = system
  if (!database)
    return readdirSync(dataDir)
      .filter((name) => name.includes('.sqlite'))
      .map((name) => readFileSync(join(dataDir, name)))
  const schemas = SERVICES_WITH_DATABASE.map((name) => `'${name}'`).join()
  const tables = (await runStatements(
    database.adminUrl,
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN (${schemas})`,
  )) as { name: string }[]
  const stored: Buffer[] = []
  for (const { name } of tables)
    for (const { row } of (await runStatements(database.adminUrl, `SELECT t::text AS row FROM ${name} t`)) as {
      row: string
    }[]) {
      stored.push(Buffer.from(row))
      // The text of bytes is hexadecimal.
      for (const [, hex = ''] of row.matchAll(/\\x([0-9a-f]+)/g)) stored.push(Buffer.from(hex, 'hex'))
    }
  return stored
}

/** Lets nothing write to the database of a service; reads go on. @returns a function that admits writes again */
export async function blockWrites(system: System, service: Name): Promise<() => Promise<void>> {
  const { database } = system
  if (!database) {
    const file = openFile(system, service)
    file.run('BEGIN IMMEDIATE')
    return async () => file.close()
  }
  const reconnect = async () => {
    await database.disconnect(service)
    await database.admit(service)
  }
  const health = () => fetch(`${system.url[service]}/health/db`)
  await database.run(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
  await reconnect()
  await eventually(async () => (await health()).status === 503)
  return async () => {
    await database.run(`ALTER DATABASE ${database.name} RESET default_transaction_read_only`)
    await reconnect()
    await eventually(async () => (await health()).ok)
  }
}

/** The setting that names the system's database to the tool; none with SQLite files. */
export function databaseSetting({ database }: System): Record<string, string> {
  return database ? { DATABASE_URL: database.adminUrl } : {}
}

function openFile(system: System, service: Name, options?: { readonly: true }): Database {
  const database = new Database(join(system.dataDir, `${service}.sqlite`), options)
  // The service may be writing at this moment.
  database.run('PRAGMA busy_timeout = 5000')
  return database
}
