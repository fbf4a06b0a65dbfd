import type { Command } from 'commander'
import type { Check } from '../../../db/sqlite/backup/checks.ts'
import { createBackup } from '../../../db/sqlite/backup/create.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { checkedAddress } from '../../client/database-url.ts'
import { dataDirOf } from '../../client/settings.ts'
import { EXIT, Failure } from '../../exit.ts'
import { failureFields } from '../../terminal/failures.ts'
import { humanDuration } from '../../terminal/times.ts'
import { addCommand, group, type Tool, withTool } from '../../tool/command.ts'
import { backupNamed, backupsRoot, secretsOf, withBackupFailures } from './backups.ts'
import { refuseWithPostgres } from './of-postgres.ts'

export function backupCommand(): Command {
  const backup = group('backup', 'Back up the databases, and check that a backup can be restored')

  addCommand(backup, 'create', 'Back up every database; services may be running or stopped', [
    'ch202 backup create',
    'ch202 backup create --out ./copies -o json',
  ])
    .option('--out <dir>', 'the directory for backups (default: backups in the data directory)')
    .action(withTool(create))

  addCommand(backup, 'list', 'List the backups, newest first', [
    'ch202 backup list',
    'ch202 backup list --in ./copies --fields name,verified_at',
  ])
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
    .action(withTool(list))

  addCommand(backup, 'verify', 'Check a backup by restoring it to a temporary directory, or a restored database', [
    'ch202 backup verify',
    'ch202 backup verify latest -o json',
    'ch202 backup verify --from postgres://ch202@127.0.0.1:5432/restored',
  ])
    .argument('[backup]', 'name or path of the backup, or latest', 'latest')
    .option('--in <dir>', 'the directory of backups (default: backups in the data directory)')
    .option('--from <url>', 'a PostgreSQL database into which a backup was restored; it is only read')
    .action(withTool(verify))

  return backup
}

async function create(tool: Tool, { out }: { out?: string }): Promise<void> {
  refuseWithPostgres(tool, 'create')
  const { manifest, path } = await withBackupFailures(createBackup(dataDirOf(tool.env), backupsRoot(tool, out)))
  const services = Object.values(manifest.services)
  await tool.out.record({
    name: manifest.name,
    path,
    bytes: services.reduce((sum, { bytes }) => sum + bytes, 0),
    created_at: manifest.created_at,
    users: manifest.services.users.rows.users,
    changed: true,
  })
  tool.out.say(
    'Secrets are not included. Keep a copy of CH202_SECRET: without it the signing keys and webhook secrets in this backup cannot be recovered (users and passwords can)',
  )
}

async function list(tool: Tool, options: { in?: string }): Promise<void> {
  refuseWithPostgres(tool, 'list')
  const root = backupsRoot(tool, options.in)
  const { backups, unreadable } = listBackups(root)
  const items = backups.map((backup) => ({ ...backup, age: humanDuration(Date.now() - Date.parse(backup.created_at)) }))
  await tool.out.list(items, ['name', 'created_at', 'age', 'bytes', 'verified_at'])
  if (backups.length === 0) tool.out.say(`There is no backup in ${root}\n→ ch202 backup create`)
  for (const name of unreadable) tool.out.say(`${name} is not a backup that this version can read`)
}

async function verify(tool: Tool, options: { in?: string; from?: string }, name: string): Promise<void> {
  if (options.from !== undefined) return verifyDatabase(tool, options.from)
  refuseWithPostgres(tool, 'verify')
  const path = await backupNamed(tool, name, options.in)
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

/** Checks a database into which a dump, or a point in time, was restored. */
async function verifyDatabase(tool: Tool, from: string): Promise<void> {
  const url = checkedAddress(from, '--from')
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
  if (out.options.output !== 'json') await out.list(items, ['status', 'id', 'message'])
  else if (verified_at !== null) await out.record({ ok: true, ...result })
  else await out.record({ ok: false, error: failureFields(damageFailure(checks)), ...result })
}

/** The failure that JSON output has beside the checks. */
function damageFailure(checks: Check[]): Failure {
  const failed = checks.filter(({ ok }) => !ok).map(({ message }) => message)
  return new Failure(EXIT.checkFailed, failed.join('\n'), { code: 'backup_damaged' })
}
