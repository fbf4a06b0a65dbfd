import { does, type Tool, verb } from '../command.ts'
import { EXIT, usage } from '../exit.ts'
import { type AddressOfAuth, refuseUnreachable } from '../issuer.ts'
import { ownArguments, procfileLines, runnable } from '../package/procfile.ts'
import { type Line, Runner } from '../runner.ts'
import { settingsToServe } from '../settings.ts'
import { onStop } from '../signals.ts'
import { note } from '../terminal.ts'

export function startCommand() {
  return verb('start', 'Run every service of the Procfile, each in a process of its own', [
    'ch202 start',
    'ch202 start --only auth,users',
  ])
    .option('--only <names>', 'only these, separated by commas')
    .action(does(start))
}

/** Runs the lines of the Procfile, those named or all, until SIGINT or SIGTERM. */
async function start({ env, globals }: Tool, { only }: { only?: string }): Promise<void> {
  // Once for all of them: a wrong setting is said once, and the secrets are there before three look for them.
  const config = await settingsToServe(env)
  const lines = procfileLines()
  const names = only?.split(',').map((name) => name.trim())
  const unknown = names?.find((name) => !lines.some((line) => line.name === name))
  if (unknown !== undefined)
    throw usage(`The Procfile has no ${unknown}: it has ${lines.map(({ name }) => name).join(', ')}`)

  const wanted = lines.filter(({ name }) => names === undefined || names.includes(name))
  const at = wanted.map(addressOfAuthIn).find((setting) => setting !== undefined)
  if (at) await refuseUnreachable(config, at)
  const runner = new Runner(wanted.map(runnable), undefined, globals.color)
  const stop = () => runner.stop()
  onStop(stop, stop)
  // Whoever read the output has gone: the services must not stay behind without it.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => runner.stop())
  const failed = await runner.run()
  if (failed !== undefined) {
    note(`✗ ${failed} does not stay up; all were stopped`)
    process.exitCode = EXIT.failed
  }
}

/** Where auth is to be, if a line of the Procfile runs it: alone, or with all others. */
function addressOfAuthIn({ command }: Line): AddressOfAuth | undefined {
  const [verb, ...names] = ownArguments(command)?.split(/\s+/) ?? []
  if (verb !== 'serve') return undefined
  if (names.length === 0) return 'CH202_URL'
  return names.includes('auth') ? 'AUTH_URL' : undefined
}
