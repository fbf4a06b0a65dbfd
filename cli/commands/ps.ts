import { checkedDatabaseUrl } from '../client/database-url.ts'
import { isService, probe } from '../client/instance/probe.ts'
import { type RunningService, runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { usage } from '../exit.ts'
import { command, type Tool, withTool } from '../tool/command.ts'

const COLUMNS = ['service', 'state', 'pid', 'address', 'started_at', 'rss_mb', 'cpu_s']
/** With a PostgreSQL database, the nodes on other machines are listed too. */
const NODE_COLUMNS = ['node', ...COLUMNS]

export function psCommand() {
  return command(
    'ps',
    'Show the services running on this machine’s data directory, and the nodes that share their database',
    ['ch202 ps', 'ch202 ps -o json --fields service,state,pid'],
  ).action(withTool(ps))
}

async function ps({ env, globals, out }: Tool): Promise<void> {
  if (globals.url !== undefined) throw usage('ps lists processes on the local machine; --url does not apply')
  const dataDir = dataDirOf(env)
  const items = await Promise.all(runningServices(dataDir).map((running) => rowOf(running, globals.debug ?? false)))
  const databaseUrl = checkedDatabaseUrl(env)
  if (databaseUrl === undefined) await out.list(items, COLUMNS, { omitEqual: 'none' })
  else await listNodes(out, items, databaseUrl)
  if (items.length === 0) out.say(`No service is running on ${dataDir}\n→ ch202 start`)
  const deadNames = items.filter(({ state }) => state === 'dead').map(({ service }) => service)
  if (deadNames.length > 0) out.say(`Ended unexpectedly: ${deadNames.join(', ')}\n→ ch202 start`)
  const silentNames = items.filter(({ state }) => state === 'silent').map(({ service }) => service)
  if (silentNames.length > 0)
    out.say(`Running but not responding: ${silentNames.join(', ')}\n→ ch202 logs --level warn`)
}

type ServiceRow = Awaited<ReturnType<typeof rowOf>>

/** Prints the services of this machine, and every other node that is connected to the database. */
async function listNodes(out: Tool['out'], items: readonly ServiceRow[], databaseUrl: string): Promise<void> {
  const [{ connectedNodes, inspecting }, { PostgresFailure }, { nodeName }] = await Promise.all([
    import('../../db/postgres/inspect/server.ts'),
    import('../../db/postgres/failure.ts'),
    import('../../db/postgres/pools.ts'),
  ])
  const rows: Record<string, unknown>[] = items.map((item) => ({ node: nodeName(item.pid), ...item }))
  let failure: Error | undefined
  try {
    for (const { address, node, since } of await inspecting(databaseUrl, connectedNodes))
      if (!rows.some((row) => row.node === node))
        rows.push({
          node,
          service: null,
          state: 'connected',
          pid: null,
          address,
          started_at: new Date(since).toISOString(),
          rss_bytes: null,
          rss_mb: null,
          cpu_s: null,
        })
  } catch (error) {
    if (!(error instanceof PostgresFailure)) throw error
    failure = error
  }
  await out.list(rows, NODE_COLUMNS, { omitEqual: 'none' })
  if (failure) out.say(`Other nodes are not known: ${failure.message}\n→ ch202 doctor --only database`)
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
