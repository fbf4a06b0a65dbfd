import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BackupError, listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { backupsOf, isInFuture } from '../../../services/kit/process/verified-backup.ts'
import { dataDirOf, valuesOf, withStoredSecrets } from '../../client/settings.ts'
import { EXIT, Failure } from '../../exit.ts'
import { note, plain } from '../../terminal/terminal.ts'
import type { Tool } from '../../tool/command.ts'

/** The directory with the backups: the given one, or the default in the data directory. */
export function backupsRoot({ env }: Tool, directory: string | undefined): string {
  return directory === undefined ? backupsOf(dataDirOf(env)) : resolve(directory)
}

/**
 * Finds the directory of a backup.
 * @param name its name, a path, or `latest`
 * @throws Failure if there is no such backup
 */
export function backupNamed(tool: Tool, name: string, directory?: string): string {
  const root = backupsRoot(tool, directory)
  if (name === 'latest') {
    const { backups } = listBackups(root)
    const latest = latestOf(backups)
    if (latest) return latest.path
    const other = backups.length > 0 ? 'other ' : ''
    throw new Failure(EXIT.notFound, `There is no ${other}backup in ${root}`, {
      code: 'backup_not_found',
      suggestion: 'ch202 backup create',
    })
  }
  const path = name.includes('/') ? resolve(name) : join(root, name)
  if (name !== '' && existsSync(path)) return path
  throw new Failure(EXIT.notFound, `There is no backup ${name} in ${root}`, {
    code: 'backup_not_found',
    suggestion: 'ch202 backup list',
  })
}

/**
 * Chooses the latest backup. One that is dated in the future would stay the latest for as long, and hide that newer ones
 * are missing: it is left out, with a warning that also a quiet command prints.
 * @param newestFirst every backup
 */
export function latestOf<T extends { name: string; created_at: string }>(newestFirst: readonly T[]): T | undefined {
  const now = Date.now()
  const isAhead = ({ created_at }: T) => isInFuture(Date.parse(created_at), now)
  for (const { name } of newestFirst.filter(isAhead))
    note(`! ${plain(name)} is dated in the future, so it is not the latest: the clock was ahead, or is behind`)
  return newestFirst.find((backup) => !isAhead(backup))
}

/** The values of CH202_SECRET, as the services would read them. */
export function secretsOf({ env }: Tool): string[] {
  return valuesOf(withStoredSecrets(env), 'CH202_SECRET')
}

const EXIT_BY_CODE = {
  backup_not_found: EXIT.notFound,
  backup_damaged: EXIT.checkFailed,
  backup_failed: EXIT.failed,
  in_use: EXIT.conflict,
} as const

/** Turns the errors of backup operations into failures. */
export async function withBackupFailures<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    throw new Failure(EXIT_BY_CODE[error.code], error.message, { code: error.code })
  }
}
