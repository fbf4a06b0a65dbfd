import { basename, resolve } from 'node:path'
import type { Check } from '../../db/sqlite/backup/checks.ts'
import { runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { EXIT, Failure } from '../exit.ts'
import { confirm } from '../terminal/confirm.ts'
import { quoted } from '../terminal/shell.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import { backupNamed, secretsOf, withBackupFailures } from './backup/backups.ts'

interface RestoreOptions {
  to?: string
  confirm?: string
  newSecret?: boolean
}

export function restoreCommand() {
  return command('restore', 'Replace the databases with a backup; all sessions end', [
    'ch202 restore latest --to ./restored',
    'ch202 restore "$(ch202 backup create -o ids)" --to ./rehearsal -o json',
  ])
    .argument('<backup>', 'name or path of the backup, or latest')
    .option('--to <dir>', 'the data directory to restore into (default: CH202_DATA_DIR)')
    .option('--confirm <name>', 'the name of the backup, instead of --yes')
    .option('--new-secret', 'restore even if CH202_SECRET differs from that of the backup')
    .action(withTool(restore))
}

async function restore(tool: Tool, options: RestoreOptions, name: string): Promise<void> {
  const { env, globals, out } = tool
  const target = options.to === undefined ? dataDirOf(env) : resolve(options.to)
  const path = backupNamed(tool, name)
  const [{ holdsData, restoreBackup }, { interruptedRestore }, { canUnseal }] = await Promise.all([
    import('../../db/sqlite/backup/restore.ts'),
    import('../../db/sqlite/backup/interrupted.ts'),
    import('../../services/auth/keys/sealing.ts'),
  ])
  process.umask(0o077)
  refuseWhileRunning(target)
  const interrupted = interruptedRestore(target)
  if (interrupted) out.say(`A restore of ${interrupted.backup} was interrupted here: this one replaces it`)
  if (holdsData(target))
    await confirm(`Replace the databases in ${target} with ${basename(path)}? All sessions end.`, {
      yes: globals.yes,
      confirm: options.confirm,
      name: basename(path),
    })

  const opensKey = options.newSecret ? null : canUnseal(secretsOf(tool))
  const { aside: previousPath, checks } = await withBackupFailures(restoreBackup(path, target, opensKey, Date.now()))
  const failed = checks.filter(({ ok }) => !ok)
  if (failed.length > 0) throw checkFailure(path, failed)
  const record = { name: basename(path), path: target, aside: previousPath }
  await out.done(true, `Restored ${record.name} into ${target}. All sessions have ended`, record)
  if (previousPath !== null) out.say(`The previous databases are in ${previousPath}`)
  if (options.to !== undefined)
    out.say('Backups contain no secrets: start the services there with the same CH202_SECRET')
}

function checkFailure(path: string, failed: Check[]): Failure {
  const isWrongSecret = failed.every(({ id }) => id === 'signing_key')
  return new Failure(EXIT.checkFailed, `Nothing was changed. ${failed.map(({ message }) => message).join('\n')}`, {
    code: isWrongSecret ? 'wrong_secret' : 'backup_damaged',
    suggestion: isWrongSecret
      ? `ch202 restore ${quoted(basename(path))} --new-secret`
      : `ch202 backup verify ${quoted(path)}`,
  })
}

/** @throws Failure that names the services running on the data directory */
function refuseWhileRunning(target: string): void {
  const running = runningServices(target).filter(({ process }) => process !== undefined)
  if (running.length === 0) return
  const names = running.map(({ pid, service }) => `${service} (process ${pid})`).join(', ')
  throw new Failure(EXIT.conflict, `Services are running on ${target}: ${names}. Stop them first`, { code: 'in_use' })
}
