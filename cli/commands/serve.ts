import { isWholeApi, SERVICE_NAMES } from '../../services/registry.ts'
import { EXIT, usage } from '../exit.ts'
import { refuseUnreachable } from '../runner/issuer.ts'
import { printNextSteps } from '../runner/next-steps.ts'
import { settingsToServe } from '../runner/serve-settings.ts'
import { onRunnerGone } from '../runner/under-runner.ts'
import { onStop } from '../terminal/signals.ts'
import { write } from '../terminal/terminal.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

export function serveCommand() {
  return command('serve', 'Run all services, or the named ones, in this process', ['ch202 serve', 'ch202 serve auth'])
    .argument('[services...]', 'only these services (default: all)')
    .action(withTool(serve))
}

/** Runs the services in this process until a signal stops it. */
async function serve({ env }: Tool, _: object, names: string[]): Promise<void> {
  const selected = SERVICE_NAMES.filter((name) => names.length === 0 || names.includes(name))
  const unknown = names.find((name) => !SERVICE_NAMES.some((service) => service === name))
  if (unknown !== undefined) throw usage(`There is no service ${unknown}: the services are ${SERVICE_NAMES.join(', ')}`)
  const { serve: serveServices } = await import('../../services/serve.ts')

  const stopped = Promise.withResolvers<void>()
  onStop(stopped.resolve, () => process.exit(EXIT.interrupted))
  onRunnerGone(stopped.resolve)

  const config = await settingsToServe(env)
  if (selected.includes('auth')) await refuseUnreachable(config, isWholeApi(selected) ? 'CH202_URL' : 'AUTH_URL')
  const running = await serveServices(config, selected)
  await write(`${running.services.join(', ')} ready at ${running.url}`)
  if (isWholeApi(selected)) await printNextSteps(config, new Map(selected.map((name) => [name, running.url])))
  giveBackWhenIdle()
  await stopped.promise
  await running.stop()
  process.exitCode = EXIT.done
  // A timer or connection that a library keeps open must not keep the process alive.
  setTimeout(() => process.exit(), 200).unref()
}

/** Milliseconds after which a process shows whether it was idle. */
const IDLE_AFTER = 5000
/** How often that is looked at: in the first minute. */
const LOOKS = 12
/** The part of a core that a process uses in this time, at most, if it is idle: health checks, and polls of the feeds. */
const IDLE_CPU = 0.03

/**
 * Gives back the compiled code that only the start needed, 6 MB, if no load comes. Under load it stays: what requests use would
 * be compiled again, and in the first seconds the slowest of a hundred would take 20 ms instead of 4. One look is not enough: on
 * a busy machine the start itself may still use the core.
 * @param looks how often this may look
 */
function giveBackWhenIdle(looks = LOOKS): void {
  const before = process.cpuUsage()
  setTimeout(() => {
    const { system, user } = process.cpuUsage(before)
    if ((system + user) / 1000 < IDLE_AFTER * IDLE_CPU) Bun.shrink()
    else if (looks > 1) giveBackWhenIdle(looks - 1)
  }, IDLE_AFTER).unref()
}
