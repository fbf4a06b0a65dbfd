import { existsSync, statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { type InspectedDatabase, InspectionUnavailable } from '../../../db/sqlite/inspect/index.ts'
import { PLACES, type Place } from '../../client/connection.ts'
import { quoted } from '../../terminal/shell.ts'
import { count } from '../../terminal/terminal.ts'
import { type Check, type Finding, failed, ok, type Scene, skipped, warning } from './check.ts'

const WAL_LARGE = 64 * 1024 * 1024
const MIB = 1024 * 1024

export const databasesChecks: Check[] = PLACES.flatMap((name): Check[] => [
  {
    id: `db.${name}.file`,
    looksAt: `\`${name}.sqlite\` is there, and is the database of this service`,
    look: (scene) => tellFile(scene, name),
  },
  {
    id: `db.${name}.integrity`,
    looksAt: 'every page and index is whole, and no row has lost the one it belongs to (above 256 MiB: pages alone)',
    look: withDamage(name, (examined) => {
      const { faults, quick } = examined.integrity()
      if (faults.length > 0) return failed(faults.join('; '), 'ch202 restore latest')
      return ok(`Whole, by ${quick ? 'quick_check' : 'integrity_check'} and foreign_key_check`)
    }),
  },
  {
    id: `db.${name}.schema`,
    looksAt: 'it has the migrations of this version: none is missing, newer or edited',
    look: withDatabase(name, (examined) => {
      const { edited, pending, unknown } = examined.schema()
      if (unknown.length > 0) return failed(`Newer than this program: ${unknown.join(', ')}`, 'ch202 version')
      if (edited.length > 0) return failed(`Made by another form of ${edited.join(', ')}`, 'ch202 restore latest')
      if (pending.length > 0) return warning(`To be applied: ${pending.join(', ')}`, 'ch202 migrate')
      return ok('Up to date')
    }),
  },
  {
    id: `db.${name}.wal`,
    looksAt: 'its write-ahead log is written back: a warning above 64 MiB',
    look: ({ files }) => {
      const { path = '' } = files.find((file) => file.name === name) ?? {}
      if (!existsSync(path)) return skipped(`There is no ${basename(path)}`)
      const size = existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0
      const said = `The write-ahead log has ${count(Math.ceil(size / MIB))} MiB`
      // A service writes it back when it stops; a migration opens and closes it, with the service down.
      return size > WAL_LARGE
        ? warning(`${said}: something keeps it from being written back`, 'ch202 migrate')
        : ok(said)
    },
  },
])

function tellFile(scene: Scene, name: Place): Finding {
  const { path = '' } = scene.files.find((file) => file.name === name) ?? {}
  if (!existsSync(path)) {
    if (!scene.files.some((file) => existsSync(file.path))) return skipped('The first start makes it')
    return failed(`${resolve(path)} is missing, where others are there`, 'ch202 restore latest')
  }
  return withDatabase(name, (examined) => {
    const fault = examined.foreign()
    return fault === undefined ? ok(`${count(statSync(path).size)} bytes`) : failed(fault, 'ch202 restore latest')
  })(scene)
}

type Looks = (examined: InspectedDatabase, scene: Scene) => Finding

/** What a check finds in a database, or why it can't be had. That it is damaged is told once, by `integrity`. */
export function withDatabase(name: Place, look: Looks) {
  return reading(name, look, () => skipped(`It can't be read: see db.${name}.integrity`))
}

function withDamage(name: Place, look: Looks) {
  return reading(name, look, tellDamage)
}

function reading(name: Place, look: Looks, damaged: (error: unknown, path: string) => Finding) {
  return (scene: Scene): Finding => {
    const { path = '' } = scene.files.find((file) => file.name === name) ?? {}
    if (!existsSync(path)) return skipped(`There is no ${basename(path)}`)
    try {
      return look(scene.open(name), scene)
    } catch (error) {
      if (error instanceof InspectionUnavailable) return skipped(error.message)
      const { code = '', message } = error as { code?: string; message: string }
      if (/^SQLITE_(BUSY|LOCKED|READONLY|PROTOCOL)/.test(code)) return skipped(`Busy at this moment: ${message}`)
      return damaged(error, path)
    }
  }
}

function tellDamage(error: unknown, path: string): Finding {
  const { code = '', message } = error as { code?: string; message: string }
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code))
    return failed(`${basename(path)} can't be opened: ${message}`, `ls -l ${quoted(resolve(path))}`)
  return failed(`${basename(path)} is damaged: ${message}`, 'ch202 restore latest')
}
