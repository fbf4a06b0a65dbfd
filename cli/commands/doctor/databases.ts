import { existsSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { PostgresFailure } from '../../../db/postgres/failure.ts'
import { NO_TABLE } from '../../../db/postgres/inspect/data.ts'
import { type InspectedDatabase, InspectionUnavailable } from '../../../db/sqlite/inspect/database.ts'
import { readDatabaseUrl } from '../../../services/kit/process/database-url.ts'
import { SERVICES_WITH_DATABASE, type ServiceName } from '../../../services/registry.ts'
import type { StoredData } from '../../runner/stored-data.ts'
import { quoted } from '../../terminal/shell.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, UNREACHABLE, warning } from './check.ts'

const WAL_LARGE = 64 * 1024 * 1024
const MIB = 1024 * 1024
/** The code of SQL for a user who may not read a table. */
const NO_RIGHT = '42501'

export const databasesChecks: Check[] = SERVICES_WITH_DATABASE.flatMap((name): Check[] => [
  {
    id: `db.${name}.file`,
    describes: `\`${name}.sqlite\` exists and belongs to this service`,
    only: 'files',
    run: (context) => checkFile(context, name),
  },
  {
    id: `db.${name}.integrity`,
    describes: 'pages, indexes and foreign keys are intact (above 256 MiB only pages are checked)',
    only: 'files',
    run: withFileOrDamage(name, (database) => {
      const { faults, quick } = database.integrity()
      if (faults.length > 0) return failed(faults.join('; '), 'ch202 restore latest')
      return ok(`Intact, checked with ${quick ? 'quick_check' : 'integrity_check'} and foreign_key_check`)
    }),
  },
  {
    id: `db.${name}.schema`,
    describes: 'its migrations match this version: none is missing, newer or edited',
    run: withDatabase(name, async (data, { databaseUrl }) => {
      const { edited, pending, unknown } = await data.schema()
      if (unknown.length > 0) return failed(`Written by a newer version: ${unknown.join(', ')}`, 'ch202 version')
      if (edited.length > 0)
        return failed(
          `Created by an edited migration: ${edited.join(', ')}`,
          databaseUrl === undefined ? 'ch202 restore latest' : 'ch202 version',
        )
      if (pending.length > 0) return warning(`Migrations to apply: ${pending.join(', ')}`, 'ch202 migrate')
      return ok('Up to date')
    }),
  },
  {
    id: `db.${name}.wal`,
    describes: 'its write-ahead log is checkpointed: a warning above 64 MiB',
    only: 'files',
    run: ({ files }) => {
      const { path = '' } = files.find((file) => file.name === name) ?? {}
      if (!existsSync(path)) return skipped(`There is no ${basename(path)}`)
      const size = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0
      const message = `The write-ahead log has ${count(Math.ceil(size / MIB))} MiB`
      // A service checkpoints the log when it stops; with the service stopped, `migrate` does.
      return size > WAL_LARGE ? warning(`${message}: something prevents its checkpoint`, 'ch202 migrate') : ok(message)
    },
  },
])

async function checkFile(context: DoctorContext, name: ServiceName): Promise<Finding> {
  const { path = '' } = context.files.find((file) => file.name === name) ?? {}
  if (!existsSync(path)) {
    if (!context.files.some((file) => existsSync(file.path))) return skipped('The first start creates it')
    return failed(`${resolve(path)} is missing, but other databases exist`, 'ch202 restore latest')
  }
  return openAndCheck(
    name,
    () => {
      const fault = context.openFile(name).foreign()
      return fault === undefined ? ok(`${count(statSync(path).size)} bytes`) : failed(fault, 'ch202 restore latest')
    },
    unreadable(name),
  )(context)
}

type DataCheck = (data: StoredData, context: DoctorContext) => Finding | Promise<Finding>

/** Runs a check on the data of a service. If it cannot be read the check is skipped, because another reports that. */
export function withDatabase(name: ServiceName, check: DataCheck) {
  return openAndCheck(name, async (context) => check(await context.open(name), context), unreadable(name))
}

/** Runs a check on a database file, which reports that the file cannot be read. */
function withFileOrDamage(name: ServiceName, check: (database: InspectedDatabase) => Finding) {
  return openAndCheck(name, (context) => check(context.openFile(name)), damageFinding)
}

function unreadable(name: ServiceName) {
  return () => skipped(`The database cannot be read: see db.${name}.integrity`)
}

function openAndCheck(
  name: ServiceName,
  check: (context: DoctorContext) => Finding | Promise<Finding>,
  onDamage: (error: unknown, path: string) => Finding,
) {
  return async (context: DoctorContext): Promise<Finding> => {
    const { path = '' } = context.files.find((file) => file.name === name) ?? {}
    if (context.databaseUrl === undefined && !existsSync(path)) return skipped(`There is no ${basename(path)}`)
    if (context.databaseUrl !== undefined && typeof readDatabaseUrl(context.databaseUrl) === 'string')
      return skipped(UNREACHABLE)
    try {
      return await check(context)
    } catch (error) {
      if (error instanceof PostgresFailure) return databaseFinding(name, error)
      if (error instanceof InspectionUnavailable) return skipped(error.message)
      const { code = '', message } = error as { code?: string; message: string }
      if (/^SQLITE_(BUSY|LOCKED|READONLY|PROTOCOL)/.test(code)) return skipped(`The database is busy: ${message}`)
      return onDamage(error, path)
    }
  }
}

function databaseFinding(name: ServiceName, { code, message }: PostgresFailure): Finding {
  if (code === NO_TABLE) return skipped(`The schema ${name} does not exist yet: the first start creates it`)
  return skipped(code === NO_RIGHT ? message : UNREACHABLE)
}

function damageFinding(error: unknown, path: string): Finding {
  const { code = '', message } = error as { code?: string; message: string }
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code))
    return failed(`${basename(path)} cannot be opened: ${message}`, `ls -l ${quoted(resolve(path))}`)
  return failed(`${basename(path)} is damaged: ${message}`, 'ch202 restore latest')
}
