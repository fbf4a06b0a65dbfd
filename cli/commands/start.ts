import { EXIT, usage } from '../exit.ts'
import { type AuthAddressSetting, refuseUnreachable } from '../runner/issuer.ts'
import { printNextSteps } from '../runner/next-steps.ts'
import { type Line, Runner } from '../runner/runner.ts'
import { settingsToServe } from '../runner/serve-settings.ts'
import { onStop } from '../terminal/signals.ts'
import { note } from '../terminal/terminal.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import { ownArguments, procfileLines, runnable } from './package/procfile.ts'

export function startCommand() {
  return command('start', 'Run every service of the Procfile, each in a process of its own', [
    'ch202 start',
    'ch202 start --only auth,users',
  ])
    .option('--only <names>', 'only these, separated by commas')
    .action(withTool(start))
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
  const ready = awaited(wanted, (addresses) => void printNextSteps(config.dataDir, addresses))
  const runner = new Runner(wanted.map(runnable), undefined, globals.color, ready)
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

/** Listens to what the lines print, and calls `all` once with where they are, when each that runs services is ready. */
function awaited(lines: readonly Line[], all: (addresses: Map<string, string>) => void) {
  const waiting = new Set(
    lines.filter(({ command }) => ownArguments(command)?.startsWith('serve')).map(({ name }) => name),
  )
  const addresses = new Map<string, string>()
  return (name: string, text: string) => {
    const [, url] = READY.exec(text) ?? []
    if (url === undefined || !waiting.delete(name)) return
    addresses.set(name, url)
    // In the order of the Procfile, whichever was ready first.
    const order = lines.flatMap((line) => [...addresses].filter(([one]) => one === line.name))
    if (waiting.size === 0) all(new Map(order))
  }
}

/** What a process of services prints when it takes requests. */
const READY = /^[a-z, -]+ ready at (https?:\/\/\S+)$/

/** Where auth is to be, if a line of the Procfile runs it: alone, or with all others. */
function addressOfAuthIn({ command }: Line): AuthAddressSetting | undefined {
  const [verb, ...names] = ownArguments(command)?.split(/\s+/) ?? []
  if (verb !== 'serve') return undefined
  if (names.length === 0) return 'CH202_URL'
  return names.includes('auth') ? 'AUTH_URL' : undefined
}
