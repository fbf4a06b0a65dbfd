import { SERVICE_NAMES } from '../../services/registry.ts'
import { EXIT, usage } from '../exit.ts'
import { refuseUnreachable } from '../runner/issuer.ts'
import { printNextSteps } from '../runner/next-steps.ts'
import { settingsToServe } from '../runner/serve-settings.ts'
import { onRunnerGone } from '../runner/under-runner.ts'
import { onStop } from '../terminal/signals.ts'
import { write } from '../terminal/terminal.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

export function serveCommand() {
  return command('serve', 'Run all services, or those named, in this one process', ['ch202 serve', 'ch202 serve auth'])
    .argument('[services...]', 'only these (default: all)')
    .action(withTool(serve))
}

/** Runs the services in this process until it is told to stop. */
async function serve({ env }: Tool, _: object, names: string[]): Promise<void> {
  const wanted = SERVICE_NAMES.filter((name) => names.length === 0 || names.includes(name))
  const unknown = names.find((name) => !SERVICE_NAMES.some((known) => known === name))
  if (unknown !== undefined) throw usage(`There is no service ${unknown}: there are ${SERVICE_NAMES.join(', ')}`)
  const { serve: serveServices } = await import('../../services/serve.ts')

  const stopped = Promise.withResolvers<void>()
  onStop(stopped.resolve, () => process.exit(EXIT.interrupted))
  onRunnerGone(stopped.resolve)

  const config = await settingsToServe(env)
  if (wanted.includes('auth'))
    await refuseUnreachable(config, wanted.length === SERVICE_NAMES.length ? 'CH202_URL' : 'AUTH_URL')
  const served = await serveServices(config, wanted)
  await write(`${served.services.join(', ')} ready at ${served.url}`)
  if (wanted.length === SERVICE_NAMES.length) await printNextSteps(config.dataDir, new Map([['ch202', served.url]]))
  await stopped.promise
  await served.stop()
  process.exitCode = EXIT.done
  // What a library still holds open must not keep the process.
  setTimeout(() => process.exit(), 200).unref()
}
