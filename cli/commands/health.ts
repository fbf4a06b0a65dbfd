import { SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'
import { connect } from '../client/connection.ts'
import { type Health, healthOf } from '../client/instance/health.ts'
import { EXIT, usage } from '../exit.ts'
import { duration } from '../terminal/times.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const COLUMNS = ['service', 'status', 'version', 'uptime_s', 'latency_ms', 'address']
const POLL_MS = 250

export function healthCommand() {
  return command('health', 'Check the health of every service and its database', [
    'ch202 health',
    'ch202 health --wait 60s -o json',
    'ch202 health --only auth,users,modules',
  ])
    .option('--only <names>', 'only these services, separated by commas, such as those without the pages')
    .option('--wait <duration>', 'wait up to this long until every service is healthy, such as 60s', duration)
    .action(withTool(health))
}

async function health(tool: Tool, { only, wait = 0 }: { only?: string; wait?: number }): Promise<void> {
  const services = only === undefined ? SERVICE_NAMES : named(only)
  const { debug = false, url } = tool.globals
  // Looks up the addresses each time, because a service registers its address only when it has started.
  const check = async () => healthOf(services, (await connect(url, tool.env)).addresses, debug)
  const items = await waitUntilHealthy(tool, check, wait)
  const ok = isHealthy(items)
  await tool.out.checks(ok, items, ok ? COLUMNS : [...COLUMNS, 'message'])
  if (ok) return
  process.exitCode = EXIT.checkFailed
  tool.out.say(`✗ Not healthy: ${unhealthyNames(items)}\n→ ch202 doctor`)
}

/** @throws Failure if there is no such service */
function named(names: string): ServiceName[] {
  return names.split(',').map((text) => {
    const service = SERVICE_NAMES.find((name) => name === text.trim())
    if (!service) throw usage(`There is no service ${text.trim()}: the services are ${SERVICE_NAMES.join(', ')}`)
    return service
  })
}

function isHealthy(items: readonly Health[]): boolean {
  return items.every(({ status }) => status === 'ok')
}

function unhealthyNames(items: readonly Health[]): string {
  return items
    .filter(({ status }) => status !== 'ok')
    .map(({ service }) => service)
    .join(', ')
}

/** Checks until every service is healthy or `timeout` milliseconds have passed; gives the last result. */
async function waitUntilHealthy({ globals }: Tool, check: () => Promise<Health[]>, timeout: number): Promise<Health[]> {
  const startedAt = performance.now()
  const isLive = process.stderr.isTTY === true && process.env.TERM !== 'dumb' && !globals.quiet
  const clear = () => isLive && process.stderr.write('\r\x1b[2K')
  for (;;) {
    const items = await check()
    const elapsed = performance.now() - startedAt
    clear()
    if (isHealthy(items) || elapsed >= timeout) return items
    if (isLive) process.stderr.write(`Waiting for ${unhealthyNames(items)}: ${Math.floor(elapsed / 1000)} s`)
    await Bun.sleep(Math.min(POLL_MS, timeout - elapsed))
  }
}
