import type { Command } from 'commander'
import type { Check } from '../../../db/sqlite/backup/checks.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { addressText, checkedAddress } from '../../client/database-url.ts'
import { EXIT, Failure } from '../../exit.ts'
import { failureFields } from '../../terminal/failures.ts'
import { humanDuration } from '../../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { backupNamed, backupsRoot, secretsOf, withBackupFailures } from './backups.ts'
import { BackupBucket } from './bucket.ts'
import { create } from './create.ts'
import { INSTEAD, refuseWithPostgres } from './of-postgres.ts'
import { pull, push, verifyStored } from './remote.ts'
import { withRetention } from './retention.ts'

export function backupCommand(): Command {
  const backup = group('backup', 'Back up the databases, and check that a backup can be restored')

  const creating = addCommand(backup, 'create', 'Back up every database; services may be running or stopped', [
    'ch202 backup create',
    'ch202 backup create --keep 7d --keep-weekly 4',
    'ch202 backup create --out ./copies -o json',
  ]).option('--out <dir>', 'the directory for backups (default: backups in the data directory)')
  withRetention(creating).action(withTool(create))

  addCommand(backup, 'list', 'List the backups, newest first', [
    'ch202 backup list',
    'ch202 backup list --in ./copies --fields name,verified_at',
    'ch202 backup list --remote',
  ])
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
    .option('--remote', 'list the backups in the bucket of BACKUP_S3_URL')
    .action(withTool(list))

  addCommand(backup, 'verify', 'Check a backup by restoring it to a temporary directory, or a restored database', [
    'ch202 backup verify',
    'ch202 backup verify latest -o json',
    'ch202 backup verify --remote',
    'ch202 backup verify --from postgres://ch202@127.0.0.1:5432/restored',
    `${INSTEAD.verify} -o json`,
  ])
    .argument('[backup]', 'name or path of the backup, or latest', 'latest')
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
    .option(
      '--from <url>',
      'a PostgreSQL database into which a backup was restored, or - for standard input; it is only read',
    )
    .option('--remote', 'fetch the backup from the bucket of BACKUP_S3_URL first')
    .action(withTool(verify))

  const pushing = addCommand(backup, 'push', 'Store a backup in the bucket of BACKUP_S3_URL, encrypted', [
    'ch202 backup push',
    'ch202 backup push latest --keep 30d --keep-weekly 12 -o json',
  ])
    .argument('[backup]', 'name or path of the backup, or latest', 'latest')
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
  withRetention(pushing).action(withTool(push))

  addCommand(backup, 'pull', 'Fetch a backup from the bucket of BACKUP_S3_URL, to verify or restore it', [
    'ch202 backup pull',
    'ch202 backup pull latest --in ./fetched -o json',
  ])
    .argument('[backup]', 'name of the backup, or latest', 'latest')
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
    .action(withTool(pull))

  return backup
}

async function list(tool: Tool, options: { in?: string; remote?: boolean }): Promise<void> {
  refuseWithPostgres(tool, 'list')
  if (options.remote) return listRemote(tool)
  const root = backupsRoot(tool, options.in)
  const { backups, unreadable } = listBackups(root)
  const items = backups.map((backup) => ({ ...backup, age: humanDuration(Date.now() - Date.parse(backup.created_at)) }))
  await tool.out.list(items, ['name', 'created_at', 'age', 'bytes', 'verified_at'])
  if (backups.length === 0) tool.out.say(`There is no backup in ${root}\n→ ch202 backup create`)
  for (const name of unreadable) tool.out.say(`${name} is not a backup that this version can read`)
}

async function listRemote({ env, out }: Tool): Promise<void> {
  const stored = await new BackupBucket(env).list()
  const items = stored.map((backup) => ({
    ...backup,
    age: humanDuration(Date.now() - Date.parse(backup.created_at)),
  }))
  await out.list(items, ['name', 'created_at', 'age', 'bytes', 'stored_at'])
  if (stored.length === 0) out.say('There is no backup in the bucket\n→ ch202 backup push')
}

async function verify(
  tool: Tool,
  options: { in?: string; from?: string; remote?: boolean },
  name: string,
): Promise<void> {
  if (options.from !== undefined) return verifyDatabase(tool, options.from)
  refuseWithPostgres(tool, 'verify')
  if (options.remote) return verifyRemote(tool, options.in, name)
  const path = backupNamed(tool, name, options.in)
  const [{ verifyBackup }, { canUnseal }] = await Promise.all([
    import('../../../db/sqlite/backup/verify.ts'),
    import('../../../services/auth/keys/sealing.ts'),
  ])
  process.umask(0o077)
  const { checks, recorded, verifiedAt } = await withBackupFailures(
    verifyBackup(path, canUnseal(secretsOf(tool)), Date.now()),
  )
  await printChecks(tool, path, checks, verifiedAt)
  if (verifiedAt === null) process.exitCode = EXIT.checkFailed
  else if (!recorded) tool.out.say('Verified, but the result could not be saved next to the backup')
}

async function verifyRemote(tool: Tool, directory: string | undefined, name: string): Promise<void> {
  const { canUnseal } = await import('../../../services/auth/keys/sealing.ts')
  process.umask(0o077)
  const stored = await verifyStored(tool, name, directory, canUnseal(secretsOf(tool)))
  await printChecks(tool, stored.name, stored.checks, stored.verifiedAt)
  if (stored.verifiedAt === null) process.exitCode = EXIT.checkFailed
}

/** Checks a database into which a dump, or a point in time, was restored. */
async function verifyDatabase(tool: Tool, from: string): Promise<void> {
  const url = checkedAddress(await addressText(from, INSTEAD.verify), '--from')
  const [{ verifyCopy }, { canUnseal }, { databases }] = await Promise.all([
    import('../../../db/postgres/inspect/verify.ts'),
    import('../../../services/auth/keys/sealing.ts'),
    import('../../../services/databases.ts'),
  ])
  const checks = await verifyCopy(url, databases(''), canUnseal(secretsOf(tool)))
  const isSound = checks.every(({ ok }) => ok)
  const { host, pathname } = new URL(url)
  await printChecks(tool, host + pathname, checks, isSound ? new Date().toISOString() : null)
  if (!isSound) process.exitCode = EXIT.checkFailed
}

async function printChecks({ out }: Tool, path: string, checks: Check[], verified_at: string | null): Promise<void> {
  const items = checks.map(({ id, message, ok }) => ({ id, status: ok ? 'ok' : 'failed', message }))
  const result = { path, checks: items, verified_at }
  if (out.options.output !== 'json') await out.checks(verified_at !== null, items, ['status', 'id', 'message'])
  else if (verified_at !== null) await out.record({ ok: true, ...result })
  else await out.record({ ok: false, error: failureFields(damageFailure(checks)), ...result })
}

/** The failure that JSON output has beside the checks. */
function damageFailure(checks: Check[]): Failure {
  const failed = checks.filter(({ ok }) => !ok).map(({ message }) => message)
  return new Failure(EXIT.checkFailed, failed.join('\n'), { code: 'backup_damaged' })
}
