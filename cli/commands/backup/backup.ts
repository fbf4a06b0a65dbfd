import type { Command } from 'commander'
import type { Check } from '../../../db/sqlite/backup/checks.ts'
import { createBackup } from '../../../db/sqlite/backup/create.ts'
import { listBackups } from '../../../db/sqlite/backup/manifest.ts'
import { dataDirOf } from '../../client/settings.ts'
import { addCommand, group, type Tool, withTool } from '../../command.ts'
import { EXIT, Failure } from '../../exit.ts'
import { failureRead } from '../../terminal/output.ts'
import { spelled } from '../../terminal/times.ts'
import { backupNamed, rootOf, secretsOf, told } from './backups.ts'

export function backupCommand(): Command {
  const backup = group('backup', 'Back up the databases, and make sure that a backup can be restored')

  addCommand(backup, 'create', 'Copy every database, with the services up or down', [
    'ch202 backup create',
    'ch202 backup create --out ./copies -o json',
  ])
    .option('--out <dir>', 'where to put it (default: backups in the data directory)')
    .action(withTool(create))

  addCommand(backup, 'list', 'List the backups, newest first', [
    'ch202 backup list',
    'ch202 backup list --in ./copies --fields name,verified_at',
  ])
    .option('--in <dir>', 'where they are (default: backups in the data directory)')
    .action(withTool(list))

  addCommand(backup, 'verify', 'Restore a backup on trial, and check all of it', [
    'ch202 backup verify',
    'ch202 backup verify latest -o json',
  ])
    .argument('[backup]', 'its name, its path, or latest', 'latest')
    .option('--in <dir>', 'where it is (default: backups in the data directory)')
    .action(withTool(verify))

  return backup
}

async function create(tool: Tool, { out }: { out?: string }): Promise<void> {
  const { manifest, path } = await told(createBackup(dataDirOf(tool.env), rootOf(tool, out)))
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
    'The secrets are not in it. Keep CH202_SECRET elsewhere: without it users and passwords can be restored, what it sealed can not',
  )
}

async function list(tool: Tool, options: { in?: string }): Promise<void> {
  const { backups, unreadable } = listBackups(rootOf(tool, options.in))
  const items = backups.map((backup) => ({ ...backup, age: spelled(Date.now() - Date.parse(backup.created_at)) }))
  await tool.out.list(items, ['name', 'created_at', 'age', 'bytes', 'verified_at'])
  for (const name of unreadable) tool.out.say(`${name} is no backup that this version can read`)
}

async function verify(tool: Tool, options: { in?: string }, name: string): Promise<void> {
  const path = await backupNamed(tool, name, options.in)
  const [{ verifyBackup }, { canUnseal }] = await Promise.all([
    import('../../../db/sqlite/backup/verify.ts'),
    import('../../../services/auth/keys/sealing.ts'),
  ])
  process.umask(0o077)
  const { checks, recorded, verifiedAt } = await told(verifyBackup(path, canUnseal(secretsOf(tool)), Date.now()))
  await showChecks(tool, path, checks, verifiedAt)
  if (verifiedAt === null) process.exitCode = EXIT.checkFailed
  else if (!recorded) tool.out.say('That it was verified could not be written down beside it')
}

async function showChecks({ out }: Tool, path: string, checks: Check[], verified_at: string | null): Promise<void> {
  const items = checks.map(({ id, message, ok }) => ({ id, status: ok ? 'ok' : 'failed', message }))
  const said = { path, checks: items, verified_at }
  if (out.form.output !== 'json') await out.list(items, ['status', 'id', 'message'])
  else if (verified_at !== null) await out.record({ ok: true, ...said })
  else await out.record({ ok: false, error: failureRead(damaged(checks)), ...said })
}

function damaged(checks: Check[]): Failure {
  const failed = checks.filter(({ ok }) => !ok).map(({ message }) => message)
  return new Failure(EXIT.checkFailed, failed.join('\n'), { code: 'backup_damaged' })
}
