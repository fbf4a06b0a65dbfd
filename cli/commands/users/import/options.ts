import { extname, resolve } from 'node:path'
import { usage } from '../../../exit.ts'
import { quoted } from '../../../terminal/shell.ts'
import { FORMATS, type Format } from './formats/format.ts'
import type { Input } from './input.ts'
import { readRoleMap } from './roles/role-map.ts'
import type { RoleMap } from './roles/role-names.ts'

export const ON_CONFLICT = ['fail', 'skip', 'update'] as const
export type OnConflict = (typeof ON_CONFLICT)[number]

/** The options of `users import`, as they were typed. */
export interface ImportOptions {
  format?: Format
  onConflict?: OnConflict
  dryRun?: boolean
  errors?: string
  resume?: boolean
  keepAdmins?: boolean
  hashConfig?: string
  roleMap?: string[]
}

/** Settings of an import. The journal stores them, so that `--resume` needs no other option. Paths are absolute. */
export interface ImportSettings {
  format: Format
  onConflict: OnConflict
  keepAdmins: boolean
  errors: string | null
  hashConfig: string | null
  roleMap: RoleMap
}

const EXTENSIONS: Record<string, Format> = { '.jsonl': 'jsonl', '.ndjson': 'jsonl', '.csv': 'csv' }

/**
 * Turns the options of the command line into settings, with the defaults and with absolute paths.
 * @throws Failure if the options contradict each other or the format is unknown
 */
export function settingsOf(options: ImportOptions, input: Input): ImportSettings {
  const format = options.format ?? formatOf(input.name)
  if (format === 'firebase' && options.hashConfig === undefined)
    throw usage(
      'Firebase hashes need the hash parameters of the project: copy the hash_config { … } from the Firebase console into a file',
      `ch202 users import ${quoted(input.name)} --format firebase --hash-config <file>`,
    )
  if (format !== 'firebase' && options.hashConfig !== undefined) throw usage('--hash-config requires --format firebase')
  if (options.resume && input.path === null)
    throw usage(
      'Standard input cannot be read again, so --resume is not possible: import it again with --on-conflict skip',
    )
  const errors = options.errors === undefined ? null : resolve(options.errors)
  if (errors !== null && errors === input.path) throw usage('--errors names the imported file itself')
  return {
    format,
    onConflict: options.onConflict ?? 'fail',
    keepAdmins: options.keepAdmins ?? false,
    errors,
    hashConfig: options.hashConfig === undefined ? null : resolve(options.hashConfig),
    roleMap: readRoleMap(options.roleMap ?? []),
  }
}

function formatOf(name: string): Format {
  if (name === '-')
    throw usage(`Standard input has no file name to guess the format from: give --format ${FORMATS.join('|')}`)
  const extension = extname(name).toLowerCase()
  const format = EXTENSIONS[extension]
  if (format) return format
  throw usage(`The format of ${name} is not clear from its name: give --format ${FORMATS.join('|')}`)
}

/**
 * Compares the settings of `--resume` with those of the import that is resumed.
 * @throws Failure if an option beside `--resume` differs from that import
 */
export function requireSameSettings(options: ImportOptions, current: ImportSettings, previous: ImportSettings): void {
  const flags: [flag: string, option: unknown, name: keyof ImportSettings][] = [
    ['--format', options.format, 'format'],
    ['--on-conflict', options.onConflict, 'onConflict'],
    ['--keep-admins', options.keepAdmins, 'keepAdmins'],
    ['--errors', options.errors, 'errors'],
    ['--hash-config', options.hashConfig, 'hashConfig'],
    ['--role-map', options.roleMap, 'roleMap'],
  ]
  for (const [flag, option, name] of flags)
    if (option !== undefined && JSON.stringify(current[name]) !== JSON.stringify(previous[name]))
      throw usage(`The import was started with another ${flag}: omit it to continue, or omit --resume to start again`)
}
