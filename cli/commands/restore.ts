import { basename, resolve } from 'node:path'
import type { Check } from '../../db/sqlite/backup/checks.ts'
import { runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { command, type Tool, withTool } from '../command.ts'
import { EXIT, Failure } from '../exit.ts'
import { confirm } from '../terminal/terminal.ts'
import { backupNamed, secretsOf, told } from './backup/backups.ts'

interface Options {
  to?: string
  confirm?: string
  newSecret?: boolean
}

export function restoreCommand() {
  return command('restore', 'Put a backup in the place of the databases; every session ends', [
    'ch202 restore latest --to ./restored',
    'ch202 restore "$(ch202 backup create -o ids)" --to ./rehearsal -o json',
  ])
    .argument('<backup>', 'its name, its path, or latest')
    .option('--to <dir>', 'the data directory to restore into (default: CH202_DATA_DIR)')
    .option('--confirm <name>', 'the name of the backup, in place of --yes')
    .option('--new-secret', 'restore although CH202_SECRET is not that of the backup')
    .action(withTool(restore))
}

async function restore(tool: Tool, options: Options, name: string): Promise<void> {
  const { env, globals, out } = tool
  const target = options.to === undefined ? dataDirOf(env) : resolve(options.to)
  const path = backupNamed(tool, name)
  const [{ holdsData, restoreBackup }, { interruptedRestore }, { signingKeyOpener }] = await Promise.all([
    import('../../db/sqlite/backup/restore.ts'),
    import('../../db/sqlite/backup/interrupted.ts'),
    import('../../services/auth/keys/can-unseal.ts'),
  ])
  process.umask(0o077)
  refuseWhileRunning(target)
  const unfinished = interruptedRestore(target)
  if (unfinished) out.say(`A restore of ${unfinished.backup} was cut short here: this one takes its place`)
  if (holdsData(target))
    await confirm(`Put ${basename(path)} in the place of the databases in ${target}? Every session ends.`, {
      yes: globals.yes,
      confirm: options.confirm,
      name: basename(path),
    })

  const opens = options.newSecret ? null : signingKeyOpener(secretsOf(tool))
  const { aside, checks } = await told(restoreBackup(path, target, opens, Date.now()))
  const failed = checks.filter(({ ok }) => !ok)
  if (failed.length > 0) throw refused(path, failed)
  const record = { name: basename(path), path: target, aside }
  await out.done(true, `${record.name} is restored into ${target}. Every session has ended`, record)
  if (aside !== null) out.say(`What was there before is in ${aside}`)
  if (options.to !== undefined)
    out.say('Secrets are in no backup: give the services there the CH202_SECRET of this one')
}

function refused(path: string, failed: Check[]): Failure {
  const secret = failed.every(({ id }) => id === 'signing_key')
  return new Failure(EXIT.checkFailed, `Nothing was changed. ${failed.map(({ message }) => message).join('\n')}`, {
    code: secret ? 'wrong_secret' : 'backup_damaged',
    suggestion: secret ? `ch202 restore ${basename(path)} --new-secret` : `ch202 backup verify ${path}`,
  })
}

/** @throws Failure that names who runs on the data directory */
function refuseWhileRunning(target: string): void {
  const alive = runningServices(target).filter(({ process }) => process !== undefined)
  if (alive.length === 0) return
  const names = alive.map(({ pid, service }) => `${service} (process ${pid})`).join(', ')
  throw new Failure(EXIT.conflict, `Running on ${target}: ${names}. Stop them first`, { code: 'in_use' })
}
