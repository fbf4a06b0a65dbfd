import { connect } from '../client/connection.ts'
import { type Health, healthOfAll } from '../client/instance/health.ts'
import { EXIT } from '../exit.ts'
import { duration } from '../terminal/times.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const COLUMNS = ['service', 'status', 'version', 'uptime_s', 'latency_ms', 'address']
const POLL_MS = 250

export function healthCommand() {
  return command('health', 'Check the health of every service and its database', [
    'ch202 health',
    'ch202 health --wait 60s -o json',
  ])
    .option('--wait <duration>', 'wait up to this long until every service is healthy, such as 60s', duration)
    .action(withTool(health))
}

async function health(tool: Tool, { wait = 0 }: { wait?: number }): Promise<void> {
  const { debug = false, url } = tool.globals
  // Looks up the addresses each time, because a service registers its address only when it has started.
  const check = async () => healthOfAll((await connect(url, tool.env)).addresses, debug)
  const items = await waitUntilHealthy(tool, check, wait)
  const ok = isHealthy(items)
  await tool.out.checks(ok, items, ok ? COLUMNS : [...COLUMNS, 'message'])
  if (ok) return
  process.exitCode = EXIT.checkFailed
  tool.out.say(`✗ Not healthy: ${unhealthyNames(items)}\n→ ch202 doctor`)
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
