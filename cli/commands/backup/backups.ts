import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BackupError, listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { backupsOf } from '../../../services/kit/process/verified-backup.ts'
import { dataDirOf, valuesOf, withStoredSecrets } from '../../client/settings.ts'
import { EXIT, Failure } from '../../exit.ts'
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
    const [latest] = listBackups(root).backups
    if (latest) return latest.path
    throw new Failure(EXIT.notFound, `There is no backup in ${root}`, {
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
