import { EXIT, usage } from '../exit.ts'
import { type AuthAddressSetting, refuseUnreachable } from '../runner/issuer.ts'
import { printNextSteps } from '../runner/next-steps.ts'
import { procfileLines, runnable, toolArguments } from '../runner/procfile.ts'
import { type Line, Runner } from '../runner/runner.ts'
import { settingsToServe } from '../runner/serve-settings.ts'
import { onStop } from '../terminal/signals.ts'
import { note } from '../terminal/terminal.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

export function startCommand() {
  return command('start', 'Run every service in the Procfile, each in its own process', [
    'ch202 start',
    'ch202 start --only auth,users',
  ])
    .option('--only <names>', 'only these services, separated by commas')
    .action(withTool(start))
}

/** Runs the selected lines of the Procfile until SIGINT or SIGTERM. */
async function start({ env, globals }: Tool, { only }: { only?: string }): Promise<void> {
  // The services read the settings too. Here an error is reported once, and the secrets are created before they start.
  const config = await settingsToServe(env)
  const lines = procfileLines()
  const names = only?.split(',').map((name) => name.trim())
  const unknown = names?.find((name) => !lines.some((line) => line.name === name))
  if (unknown !== undefined)
    throw usage(`The Procfile has no ${unknown}: it has ${lines.map(({ name }) => name).join(', ')}`)

  const selected = lines.filter(({ name }) => names === undefined || names.includes(name))
  const addressSetting = selected.map(authAddressSetting).find((setting) => setting !== undefined)
  if (addressSetting) await refuseUnreachable(config, addressSetting)
  const watchLine = readinessWatcher(selected, (addresses) => void printNextSteps(config, addresses))
  const runner = new Runner(selected.map(runnable), { color: globals.color, onLine: watchLine })
  const stop = () => runner.stop()
  onStop(stop, stop)
  // Stop the services if the reader of their output is gone.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => runner.stop())
  const failed = await runner.run()
  if (failed !== undefined) {
    note(`✗ ${failed} keeps crashing; all services were stopped`)
    process.exitCode = EXIT.failed
  }
}

/**
 * Watches the output of the processes, and calls `onAllReady` with the addresses of the services once all of them are ready.
 */
function readinessWatcher(lines: readonly Line[], onAllReady: (addresses: Map<string, string>) => void) {
  const waiting = new Set(
    lines.filter(({ command }) => toolArguments(command)?.startsWith('serve')).map(({ name }) => name),
  )
  const ready = new Map<string, [service: string, url: string][]>()
  return (name: string, text: string) => {
    const [, services = '', url] = READY.exec(text) ?? []
    if (url === undefined || !waiting.delete(name)) return
    ready.set(
      name,
      services.split(', ').map((service) => [service, url]),
    )
    // In the order of the Procfile, whichever was ready first.
    if (waiting.size === 0) onAllReady(new Map(lines.flatMap((line) => ready.get(line.name) ?? [])))
  }
}

/** The line that a process prints when its services accept requests. */
const READY = /^([a-z, -]+) ready at (https?:\/\/\S+)$/

/** The setting for auth's address if a Procfile line runs auth, alone or with all others. */
function authAddressSetting({ command }: Line): AuthAddressSetting | undefined {
  const [verb, ...names] = toolArguments(command)?.split(/\s+/) ?? []
  if (verb !== 'serve') return undefined
  if (names.length === 0) return 'CH202_URL'
  return names.includes('auth') ? 'AUTH_URL' : undefined
}
