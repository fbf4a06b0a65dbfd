import { isService, probe } from '../client/instance/probe.ts'
import { type RunningService, runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { usage } from '../exit.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const COLUMNS = ['service', 'state', 'pid', 'address', 'started_at', 'rss_mb', 'cpu_s']

export function psCommand() {
  return command('ps', 'Show what runs on the data directory of this machine', [
    'ch202 ps',
    'ch202 ps -o json --fields service,state,pid',
  ]).action(withTool(ps))
}

async function ps({ env, globals, out }: Tool): Promise<void> {
  if (globals.url !== undefined) throw usage('Processes are looked for on this machine: --url has none')
  const dataDir = dataDirOf(env)
  const items = await Promise.all(runningServices(dataDir).map((running) => rowOf(running, globals.debug ?? false)))
  await out.list(items, COLUMNS, 'none')
  if (items.length === 0) out.say(`Nothing runs on ${dataDir}\n→ ch202 start`)
  const dead = items.filter(({ state }) => state === 'dead').map(({ service }) => service)
  if (dead.length > 0) out.say(`Ended without a word, and not there any more: ${dead.join(', ')}\n→ ch202 start`)
  const silent = items.filter(({ state }) => state === 'silent').map(({ service }) => service)
  if (silent.length > 0) out.say(`There, but without an answer: ${silent.join(', ')}\n→ ch202 logs --level warn`)
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
