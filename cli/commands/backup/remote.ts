import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { packedBackup, unpackBackup } from '../../../db/sqlite/backup/archive.ts'
import type { OpensKey } from '../../../db/sqlite/backup/checks.ts'
import { BACKUP_DRAFT } from '../../../db/sqlite/backup/create.ts'
import { expiredBackups } from '../../../db/sqlite/backup/retention.ts'
import { verifyBackup } from '../../../db/sqlite/backup/verify.ts'
import { type Draft, newDraft, removeStaleDrafts } from '../../../db/sqlite/drafts.ts'
import { flush } from '../../../db/sqlite/durable.ts'
import { recordDrill } from '../../../services/kit/process/backup-drill.ts'
import { EXIT, Failure, usage } from '../../exit.ts'
import type { Tool } from '../../tool/command.ts'
import { backupNamed, backupsRoot, latestOf, withBackupFailures } from './backups.ts'
import { BackupBucket, isBackupName, passphraseOf, type StoredBackup } from './bucket.ts'
import { refuseWithPostgres } from './of-postgres.ts'
import { type RetentionOptions, retentionOf } from './retention.ts'

type PushOptions = { in?: string } & RetentionOptions

/** Stores a backup in the bucket, encrypted, and then removes those that are too old there. */
export async function push(tool: Tool, options: PushOptions, name: string): Promise<void> {
  refuseWithPostgres(tool, 'push')
  const retention = retentionOf(options)
  const [bucket, passphrase] = [new BackupBucket(tool.env), passphraseOf(tool.env)]
  const path = backupNamed(tool, name, options.in)
  const backup = basename(path)
  if (!isBackupName(backup))
    throw usage(`${path} was renamed: a backup is stored under the name that backup create gave it`)
  const stored = await bucket.list()
  const before = stored.find((candidate) => candidate.name === backup)
  const bytes = before?.bytes ?? (await bucket.put(backup, await withBackupFailures(packedBackup(path, passphrase))))
  const all = retention === undefined ? [] : await bucket.list()
  // However old it is, the one that was just stored stays.
  const expired =
    retention === undefined ? [] : expiredBackups(all, retention, Date.now()).filter((old) => old.name !== backup)
  for (const old of expired) await removeOld(bucket, old.name, backup)
  await tool.out.record({
    name: backup,
    bytes,
    ...(retention && { removed: expired.map((old) => old.name) }),
    changed: before === undefined || expired.length > 0,
  })
  if (before !== undefined) tool.out.say('It was in the bucket already')
}

/** @throws Failure that says that the new copy is stored: a store with object lock may refuse to remove old ones */
async function removeOld(bucket: BackupBucket, old: string, stored: string): Promise<void> {
  try {
    await bucket.remove(old)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const message = `${stored} is in the bucket, but the old ${old} could not be removed: ${error.message}`
    throw new Failure(error.exit, message, { ...error.details, suggestion: `ch202 backup push ${stored}` })
  }
}

/** Fetches a backup from the bucket into the directory of backups. */
export async function pull(tool: Tool, options: { in?: string }, name: string): Promise<void> {
  refuseWithPostgres(tool, 'pull')
  const [bucket, passphrase] = [new BackupBucket(tool.env), passphraseOf(tool.env)]
  const stored = await storedBackup(bucket, name)
  process.umask(0o077)
  const root = backupsRoot(tool, options.in)
  const path = join(root, stored.name)
  const changed = !existsSync(path)
  if (changed) {
    const draft = await fetched(bucket, stored, passphrase, root)
    try {
      flush(join(draft.path, stored.name))
      renameSync(join(draft.path, stored.name), path)
      flush(root)
    } finally {
      draft.discard()
    }
  }
  await tool.out.record({ name: stored.name, path, bytes: stored.bytes, changed })
  if (!changed) tool.out.say('It was there already')
}

/**
 * Restores a backup from the bucket into a temporary directory, with every check, and records the result for doctor.
 * @returns the checks as those of `backup verify`
 */
export async function verifyStored(tool: Tool, name: string, directory: string | undefined, opens: OpensKey) {
  const [bucket, passphrase] = [new BackupBucket(tool.env), passphraseOf(tool.env)]
  const stored = await storedBackup(bucket, name)
  const root = backupsRoot(tool, directory)
  const drill = { backup: stored.name, created_at: stored.created_at, at: new Date().toISOString() }
  try {
    const draft = await fetched(bucket, stored, passphrase, root)
    try {
      const result = await withBackupFailures(verifyBackup(join(draft.path, stored.name), opens, Date.now()))
      recordDrill(root, { ...drill, passed: result.verifiedAt !== null })
      return { ...result, name: stored.name }
    } finally {
      draft.discard()
    }
  } catch (error) {
    recordDrill(root, { ...drill, passed: false })
    throw error
  }
}

/** Unpacks a stored backup into a directory of its name inside a draft. */
async function fetched(bucket: BackupBucket, { name }: StoredBackup, passphrase: string, root: string): Promise<Draft> {
  mkdirSync(root, { recursive: true, mode: 0o700 })
  removeStaleDrafts(root, BACKUP_DRAFT)
  const draft = newDraft(root, BACKUP_DRAFT)
  try {
    const path = join(draft.path, name)
    mkdirSync(path, { mode: 0o700 })
    await withBackupFailures(unpackBackup(bucket.get(name), path, passphrase))
    return draft
  } catch (error) {
    draft.discard()
    throw error
  }
}

/** @throws Failure if the bucket has no such backup */
async function storedBackup(bucket: BackupBucket, name: string): Promise<StoredBackup> {
  const stored = await bucket.list()
  const backup = name === 'latest' ? latestOf(stored) : stored.find((candidate) => candidate.name === name)
  if (backup !== undefined) return backup
  const what = name === 'latest' ? `no ${stored.length > 0 ? 'other ' : ''}backup` : `no backup ${name}`
  throw new Failure(EXIT.notFound, `The bucket of BACKUP_S3_URL has ${what}`, {
    code: 'backup_not_found',
    suggestion: name === 'latest' ? 'ch202 backup push' : 'ch202 backup list --remote',
  })
}
