import { extname, resolve } from 'node:path'
import { usage } from '../../../exit.ts'
import type { Input } from './input.ts'
import { readRoleMap } from './role-map.ts'
import type { RoleMap } from './role-names.ts'

export const FORMATS = ['jsonl', 'csv', 'auth0', 'keycloak', 'supabase', 'firebase', 'django'] as const
export type Format = (typeof FORMATS)[number]
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

/** What an import is done with: what its journal keeps, so that `--resume` alone goes on. Paths are absolute. */
export interface ImportSettings {
  format: Format
  onConflict: OnConflict
  keepAdmins: boolean
  errors: string | null
  hashConfig: string | null
  roleMap: RoleMap
}

const EXTENSIONS: Record<string, Format> = { '.jsonl': 'jsonl', '.ndjson': 'jsonl', '.csv': 'csv' }

/** @throws Failure where the options contradict each other or leave open what the file is */
export function settingsOf(options: ImportOptions, input: Input): ImportSettings {
  const format = options.format ?? formatOf(input.name)
  if (format === 'firebase' && options.hashConfig === undefined)
    throw usage(
      'Firebase’s hashes can be checked with the hash parameters of the project alone: put what the Firebase console shows as hash_config { … } into a file',
      `ch202 users import ${input.name} --format firebase --hash-config <file>`,
    )
  if (format !== 'firebase' && options.hashConfig !== undefined) throw usage('--hash-config is for --format firebase')
  if (options.resume && input.path === null)
    throw usage(
      'Standard input can’t be read again, so there is nothing to go on with: import it with --on-conflict skip',
    )
  const errors = options.errors === undefined ? null : resolve(options.errors)
  if (errors !== null && errors === input.path) throw usage('--errors names the file that is imported')
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
  if (name === '-') throw usage(`Say what standard input holds: --format ${FORMATS.join('|')}`)
  const extension = extname(name).toLowerCase()
  const format = EXTENSIONS[extension]
  if (format) return format
  throw usage(`The name ${name} does not tell what is in it: say --format ${FORMATS.join('|')}`)
}

/** What was asked for again, beside `--resume`, must be what the import was begun with. */
export function sameAsBegun(options: ImportOptions, wanted: ImportSettings, begun: ImportSettings): void {
  const flags: [flag: string, given: unknown, name: keyof ImportSettings][] = [
    ['--format', options.format, 'format'],
    ['--on-conflict', options.onConflict, 'onConflict'],
    ['--keep-admins', options.keepAdmins, 'keepAdmins'],
    ['--errors', options.errors, 'errors'],
    ['--hash-config', options.hashConfig, 'hashConfig'],
    ['--role-map', options.roleMap, 'roleMap'],
  ]
  for (const [flag, given, name] of flags)
    if (given !== undefined && JSON.stringify(wanted[name]) !== JSON.stringify(begun[name]))
      throw usage(
        `The import was begun with another ${flag}: leave it out to go on, or leave out --resume to begin again`,
      )
}
