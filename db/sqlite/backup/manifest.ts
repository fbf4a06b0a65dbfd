import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { version } from '../../../package.json'
import { databases } from '../../../services/databases.ts'
import { MANIFEST, manifestHash, verifiedAt } from '../../../services/kit/process/verified-backup.ts'

const FORMAT = 1

/** Reports to the operator why a backup cannot be made, read or restored. */
export class BackupError extends Error {
  override name = 'BackupError'
  constructor(
    readonly code: 'backup_not_found' | 'backup_damaged' | 'backup_failed' | 'in_use',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

/** One database of a backup: what identifies its file, and what it contained. */
export interface DatabaseCopy {
  file: string
  bytes: number
  sha256: string
  /** The copy includes every write that was answered before this time. */
  taken_at: string
  migrations: { name: string; checksum: string }[]
  /** The number of rows of the main tables. */
  rows: Record<string, number>
}

export interface Manifest {
  format: number
  name: string
  ch202_version: string
  created_at: string
  /** By service. A service that is newer than the backup is missing. */
  services: Record<string, DatabaseCopy> & Record<'auth' | 'users', DatabaseCopy>
}

/** A backup, as lists show it. */
export interface Backup {
  name: string
  path: string
  created_at: string
  bytes: number
  ch202_version: string
  /** When the last trial restore succeeded; null: never, or the manifest has changed since. */
  verified_at: string | null
}

export function newManifest(contents: Pick<Manifest, 'name' | 'created_at' | 'services'>): Manifest {
  return { format: FORMAT, ch202_version: version, ...contents }
}

/** @throws BackupError when the directory has no manifest, or one that this version cannot read */
export function readManifest(path: string): Manifest {
  let manifest: Partial<Manifest>
  try {
    manifest = JSON.parse(readFileSync(join(path, MANIFEST), 'utf8')) ?? {}
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new BackupError('backup_not_found', `${path} has no ${MANIFEST}: it is not a backup, or incomplete`, {
        cause,
      })
    throw new BackupError('backup_damaged', `${path} has a ${MANIFEST} that cannot be read`, { cause })
  }
  if (typeof manifest.format === 'number' && manifest.format > FORMAT)
    throw new BackupError(
      'backup_damaged',
      `${path} was made by a newer Ch202 (${manifest.ch202_version}), whose format this version does not know. Use that version`,
    )
  const unknown = Object.keys(manifest.services ?? {}).find((name) => !isKnown(name))
  if (manifest.format === FORMAT && unknown !== undefined)
    throw new BackupError(
      'backup_damaged',
      `${path} was made by a Ch202 with a service ${unknown}, which this version does not have. Use that version`,
    )
  if (!isComplete(manifest)) throw new BackupError('backup_damaged', `${path} has an incomplete ${MANIFEST}`)
  return manifest
}

function isComplete(manifest: Partial<Manifest>): manifest is Manifest {
  const { ch202_version, created_at, format, services } = manifest
  return (
    format === FORMAT &&
    typeof ch202_version === 'string' &&
    typeof created_at === 'string' &&
    !Number.isNaN(Date.parse(created_at)) &&
    services?.auth !== undefined &&
    services.users !== undefined &&
    Object.entries(services).every(([name, service]) => isDatabaseCopy(name, service))
  )
}

function isKnown(name: string): boolean {
  return databases('').some((database) => database.name === name)
}

/** Accepts only the file name that the database has in a data directory: no path leads out of the backup. */
function isDatabaseCopy(name: string, service: DatabaseCopy | null): boolean {
  const { bytes, file, sha256 } = service ?? {}
  return file === `${name}.sqlite` && Number.isSafeInteger(bytes) && /^[0-9a-f]{64}$/.test(String(sha256))
}

/** Gives the contents of `verified.json`. The hash names the manifest that was verified. */
export function verification(path: string, now: number) {
  return { verified_at: new Date(now).toISOString(), ch202_version: version, manifest_sha256: manifestHash(path) }
}

/**
 * Lists the backups in a directory, the newest first.
 * @returns `unreadable`: directories that are not a complete backup that this version can read
 */
export function listBackups(root: string): { backups: Backup[]; unreadable: string[] } {
  const backups: Backup[] = []
  const unreadable: string[] = []
  for (const name of directoriesIn(root)) {
    try {
      backups.push(describeBackup(join(root, name)))
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      unreadable.push(name)
    }
  }
  const newestFirst = (a: Backup, b: Backup) => Date.parse(b.created_at) - Date.parse(a.created_at)
  return { backups: backups.sort(newestFirst), unreadable }
}

function describeBackup(path: string): Backup {
  const { ch202_version, created_at, services } = readManifest(path)
  const bytes = Object.values(services).reduce((sum, service) => sum + service.bytes, 0)
  return { name: basename(path), path, created_at, bytes, ch202_version, verified_at: verifiedAt(path) }
}

/** Skips drafts, whose names begin with a dot. */
function directoriesIn(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
