import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { version } from '../../../package.json'
import { databases } from '../../../services/databases.ts'

const FORMAT = 1
export const MANIFEST = 'manifest.json'
export const VERIFIED = 'verified.json'

/** Why something can't be done with a backup, said for the operator. */
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

/** One database of a backup: what its file must be, and what was in it. */
export interface BackedUp {
  file: string
  bytes: number
  sha256: string
  /** The copy holds all that was answered before this. */
  taken_at: string
  migrations: { name: string; checksum: string }[]
  /** How many rows the main tables had. */
  rows: Record<string, number>
}

export interface Manifest {
  format: number
  name: string
  ch202_version: string
  created_at: string
  /** By service. One that came later than the backup is not in it. */
  services: Record<string, BackedUp> & Record<'auth' | 'users', BackedUp>
}

/** A backup as a list shows it. */
export interface Backup {
  name: string
  path: string
  created_at: string
  bytes: number
  ch202_version: string
  /** When it was last restored on trial with success; null: never, or its manifest has changed since. */
  verified_at: string | null
}

export function newManifest(given: Pick<Manifest, 'name' | 'created_at' | 'services'>): Manifest {
  return { format: FORMAT, ch202_version: version, ...given }
}

/** @throws BackupError when there is none, or it can't be read by this version */
export function readManifest(path: string): Manifest {
  let manifest: Partial<Manifest>
  try {
    manifest = JSON.parse(readFileSync(join(path, MANIFEST), 'utf8')) ?? {}
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const why = missing
      ? `has no ${MANIFEST}: it is no backup, or not a whole one`
      : `has a ${MANIFEST} that can't be read`
    throw new BackupError(missing ? 'backup_not_found' : 'backup_damaged', `${path} ${why}`, { cause })
  }
  if (typeof manifest.format === 'number' && manifest.format > FORMAT)
    throw new BackupError(
      'backup_damaged',
      `${path} was made by a newer Ch202 (${manifest.ch202_version}), in a form that this one does not know. Use that version`,
    )
  const unknown = Object.keys(manifest.services ?? {}).find((name) => !isKnown(name))
  if (manifest.format === FORMAT && unknown !== undefined)
    throw new BackupError(
      'backup_damaged',
      `${path} was made by a Ch202 that has a service ${unknown}, which this one has not. Use that version`,
    )
  if (!isWhole(manifest))
    throw new BackupError('backup_damaged', `${path} has a ${MANIFEST} in which something is missing`)
  return manifest
}

function isWhole(manifest: Partial<Manifest>): manifest is Manifest {
  const { ch202_version, created_at, format, services } = manifest
  return (
    format === FORMAT &&
    typeof ch202_version === 'string' &&
    typeof created_at === 'string' &&
    !Number.isNaN(Date.parse(created_at)) &&
    services?.auth !== undefined &&
    services.users !== undefined &&
    Object.entries(services).every(([name, service]) => isBackedUp(name, service))
  )
}

function isKnown(name: string): boolean {
  return databases('').some((database) => database.name === name)
}

/** Under the name that it has in a data directory: no way out of the backup's own. */
function isBackedUp(name: string, service: BackedUp | null): boolean {
  const { bytes, file, sha256 } = service ?? {}
  return file === `${name}.sqlite` && Number.isSafeInteger(bytes) && /^[0-9a-f]{64}$/.test(String(sha256))
}

/** What goes into `verified.json`: of which manifest it speaks. */
export function verification(path: string, now: number) {
  return { verified_at: new Date(now).toISOString(), ch202_version: version, manifest_sha256: manifestHash(path) }
}

function manifestHash(path: string): string {
  return createHash('sha256')
    .update(readFileSync(join(path, MANIFEST)))
    .digest('hex')
}

/**
 * The backups in a directory, the newest first.
 * @returns `unreadable`: directories that are no backup of this version, or not a whole one
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

function verifiedAt(path: string): string | null {
  try {
    const { verified_at, manifest_sha256 } = JSON.parse(readFileSync(join(path, VERIFIED), 'utf8'))
    return manifest_sha256 === manifestHash(path) && typeof verified_at === 'string' ? verified_at : null
  } catch {
    return null
  }
}

/** Drafts begin with a dot. */
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
