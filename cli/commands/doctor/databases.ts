import { existsSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { type InspectedDatabase, InspectionUnavailable } from '../../../db/sqlite/inspect/database.ts'
import { SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { quoted } from '../../terminal/shell.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, warning } from './check.ts'

const WAL_LARGE = 64 * 1024 * 1024
const MIB = 1024 * 1024

export const databasesChecks: Check[] = SERVICE_NAMES.flatMap((name): Check[] => [
  {
    id: `db.${name}.file`,
    describes: `\`${name}.sqlite\` exists and belongs to this service`,
    run: (context) => checkFile(context, name),
  },
  {
    id: `db.${name}.integrity`,
    describes: 'pages, indexes and foreign keys are intact (above 256 MiB only pages are checked)',
    run: withDatabaseOrDamage(name, (database) => {
      const { faults, quick } = database.integrity()
      if (faults.length > 0) return failed(faults.join('; '), 'ch202 restore latest')
      return ok(`Intact, checked with ${quick ? 'quick_check' : 'integrity_check'} and foreign_key_check`)
    }),
  },
  {
    id: `db.${name}.schema`,
    describes: 'its migrations match this version: none is missing, newer or edited',
    run: withDatabase(name, (database) => {
      const { edited, pending, unknown } = database.schema()
      if (unknown.length > 0) return failed(`Written by a newer version: ${unknown.join(', ')}`, 'ch202 version')
      if (edited.length > 0)
        return failed(`Created by an edited migration: ${edited.join(', ')}`, 'ch202 restore latest')
      if (pending.length > 0) return warning(`Migrations to apply: ${pending.join(', ')}`, 'ch202 migrate')
      return ok('Up to date')
    }),
  },
  {
    id: `db.${name}.wal`,
    describes: 'its write-ahead log is checkpointed: a warning above 64 MiB',
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

function checkFile(context: DoctorContext, name: ServiceName): Finding {
  const { path = '' } = context.files.find((file) => file.name === name) ?? {}
  if (!existsSync(path)) {
    if (!context.files.some((file) => existsSync(file.path))) return skipped('The first start creates it')
    return failed(`${resolve(path)} is missing, but other databases exist`, 'ch202 restore latest')
  }
  return withDatabase(name, (database) => {
    const fault = database.foreign()
    return fault === undefined ? ok(`${count(statSync(path).size)} bytes`) : failed(fault, 'ch202 restore latest')
  })(context)
}

type DatabaseCheck = (database: InspectedDatabase, context: DoctorContext) => Finding

/** Runs a check on a database. If it cannot be read the check is skipped, because `integrity` reports that. */
export function withDatabase(name: ServiceName, check: DatabaseCheck) {
  return openAndCheck(name, check, () => skipped(`The database cannot be read: see db.${name}.integrity`))
}

function withDatabaseOrDamage(name: ServiceName, check: DatabaseCheck) {
  return openAndCheck(name, check, damageFinding)
}

function openAndCheck(name: ServiceName, check: DatabaseCheck, onDamage: (error: unknown, path: string) => Finding) {
  return (context: DoctorContext): Finding => {
    const { path = '' } = context.files.find((file) => file.name === name) ?? {}
    if (!existsSync(path)) return skipped(`There is no ${basename(path)}`)
    try {
      return check(context.open(name), context)
    } catch (error) {
      if (error instanceof InspectionUnavailable) return skipped(error.message)
      const { code = '', message } = error as { code?: string; message: string }
      if (/^SQLITE_(BUSY|LOCKED|READONLY|PROTOCOL)/.test(code)) return skipped(`The database is busy: ${message}`)
      return onDamage(error, path)
    }
  }
}

function damageFinding(error: unknown, path: string): Finding {
  const { code = '', message } = error as { code?: string; message: string }
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code))
    return failed(`${basename(path)} cannot be opened: ${message}`, `ls -l ${quoted(resolve(path))}`)
  return failed(`${basename(path)} is damaged: ${message}`, 'ch202 restore latest')
}
