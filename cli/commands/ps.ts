import { isService, probe } from '../client/instance/probe.ts'
import { type RunningService, runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { usage } from '../exit.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const COLUMNS = ['service', 'state', 'pid', 'address', 'started_at', 'rss_mb', 'cpu_s']

export function psCommand() {
  return command('ps', 'Show the services running on this machine’s data directory', [
    'ch202 ps',
    'ch202 ps -o json --fields service,state,pid',
  ]).action(withTool(ps))
}

async function ps({ env, globals, out }: Tool): Promise<void> {
  if (globals.url !== undefined) throw usage('ps lists processes on the local machine; --url does not apply')
  const dataDir = dataDirOf(env)
  const items = await Promise.all(runningServices(dataDir).map((running) => rowOf(running, globals.debug ?? false)))
  await out.list(items, COLUMNS, { omitEqual: 'none' })
  if (items.length === 0) out.say(`No service is running on ${dataDir}\n→ ch202 start`)
  const deadNames = items.filter(({ state }) => state === 'dead').map(({ service }) => service)
  if (deadNames.length > 0) out.say(`Ended unexpectedly: ${deadNames.join(', ')}\n→ ch202 start`)
  const silentNames = items.filter(({ state }) => state === 'silent').map(({ service }) => service)
  if (silentNames.length > 0)
    out.say(`Running but not responding: ${silentNames.join(', ')}\n→ ch202 logs --level warn`)
}

async function rowOf({ pid, process, service, started_at, url }: RunningService, debug: boolean) {
  const rss = process?.rss_bytes ?? null
  return {
    service,
    state: !process ? 'dead' : isService(service, await probe(`${url}/health`, debug)) ? 'up' : 'silent',
    pid,
    address: url,
    started_at,
    rss_bytes: rss,
    rss_mb: rss === null ? null : Math.round(rss / 1e6),
    cpu_s: process?.cpu_s ?? null,
  }
}
