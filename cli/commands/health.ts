import { connect } from '../client/connection.ts'
import { type Health, healthOfAll } from '../client/instance/health.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import { EXIT } from '../exit.ts'
import { duration } from '../terminal/times.ts'

const COLUMNS = ['service', 'status', 'version', 'uptime_s', 'latency_ms', 'address']
const AGAIN = 250

export function healthCommand() {
  return command('health', 'Ask every service how it does, its database too', [
    'ch202 health',
    'ch202 health --wait 60s -o json',
  ])
    .option('--wait <duration>', 'wait until all are well, but no longer than this, such as 60s', duration)
    .action(withTool(health))
}

async function health(tool: Tool, { wait = 0 }: { wait?: number }): Promise<void> {
  const { debug = false, url } = tool.globals
  // Where they are is asked anew each time: a service that is starting has yet to write it down.
  const look = async () => healthOfAll(await connect(url, tool.env), debug)
  const items = await waiting(tool, look, wait)
  const ok = isWell(items)
  await tool.out.checks(ok, items, ok ? COLUMNS : [...COLUMNS, 'message'])
  if (ok) return
  process.exitCode = EXIT.checkFailed
  const ill = items.filter(({ status }) => status !== 'ok').map(({ service }) => service)
  tool.out.say(`✗ Not well: ${ill.join(', ')}\n→ ch202 doctor`)
}

function isWell(items: readonly Health[]): boolean {
  return items.every(({ status }) => status === 'ok')
}

/** Looks until all are well, or `patience` milliseconds are over. */
async function waiting({ globals }: Tool, look: () => Promise<Health[]>, patience: number): Promise<Health[]> {
  const began = performance.now()
  const live = process.stderr.isTTY === true && process.env.TERM !== 'dumb' && !globals.quiet
  const clear = () => live && process.stderr.write('\r\x1b[2K')
  for (;;) {
    const items = await look()
    const waited = performance.now() - began
    clear()
    if (isWell(items) || waited >= patience) return items
    const ill = items.filter(({ status }) => status !== 'ok').map(({ service }) => service)
    if (live) process.stderr.write(`Waiting for ${ill.join(', ')}: ${Math.floor(waited / 1000)} s`)
    await Bun.sleep(Math.min(AGAIN, patience - waited))
  }
}
