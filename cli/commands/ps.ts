import { processName } from '../../services/kit/nodes/nodes.ts'
import { checkedDatabaseUrl } from '../client/database-url.ts'
import { isService, probe } from '../client/instance/probe.ts'
import { type RunningService, runningServices } from '../client/instance/running.ts'
import { dataDirOf } from '../client/settings.ts'
import { usage } from '../exit.ts'
import { command, type Tool, withTool } from '../tool/command.ts'
import type { SeenNode, SeenNodes } from './listed-nodes.ts'

const COLUMNS = ['service', 'state', 'pid', 'address', 'started_at', 'rss_mb', 'cpu_s']
/** With a PostgreSQL database, the nodes on other machines are listed too. */
const NODE_COLUMNS = 'node service state reachable renewed_at started_at address version clock_ahead_ms pid'.split(' ')

export function psCommand() {
  return command(
    'ps',
    'Show the services running on this machine’s data directory; with a DATABASE_URL, every node of every service on it',
    ['ch202 ps', 'ch202 ps -o json --fields service,state,pid'],
  ).action(withTool(ps))
}

async function ps({ env, globals, out }: Tool): Promise<void> {
  if (globals.url !== undefined) throw usage('ps lists processes on the local machine; --url does not apply')
  const dataDir = dataDirOf(env)
  const debug = globals.debug ?? false
  const running = await Promise.all(runningServices(dataDir).map((service) => rowOf(service, debug)))
  const databaseUrl = checkedDatabaseUrl(env)
  const items = databaseUrl === undefined ? running : await listNodes(out, running, databaseUrl, debug)
  if (databaseUrl === undefined) await out.list(items, COLUMNS, { omitEqual: 'none' })
  if (items.length === 0) out.say(`No service is running on ${dataDir}\n→ ch202 start`)
  const deadNames = namesOf(items, 'dead')
  if (deadNames.length > 0) out.say(`Ended unexpectedly: ${deadNames.join(', ')}\n→ ch202 start`)
  const silentNames = namesOf(items, 'silent')
  if (silentNames.length > 0)
    out.say(`Running but not responding: ${silentNames.join(', ')}\n→ ch202 logs --level warn`)
}

type ServiceRow = Awaited<ReturnType<typeof rowOf>>

/** A row of `ps` with a DATABASE_URL. */
type NodeRow = typeof EMPTY

function namesOf(items: readonly (ServiceRow | NodeRow)[], state: string): string[] {
  return items
    .filter((item) => item.state === state)
    .map((item) => ('node' in item ? `${item.service} of ${item.node}` : item.service))
}

/** Prints the nodes of the database, and the services of this machine that are not in its list. */
async function listNodes(
  out: Tool['out'],
  running: readonly ServiceRow[],
  databaseUrl: string,
  debug: boolean,
): Promise<NodeRow[]> {
  const [{ seeNodes }, { PostgresFailure }] = await Promise.all([
    import('./listed-nodes.ts'),
    import('../../db/postgres/failure.ts'),
  ])
  let seen: SeenNodes = { nodes: [], connected: [], leases: [], withoutList: [] }
  let failure: Error | undefined
  try {
    seen = await seeNodes(databaseUrl, debug)
  } catch (error) {
    if (!(error instanceof PostgresFailure)) throw error
    failure = error
  }
  const rows = nodeRows(seen, running)
  await out.list(rows, NODE_COLUMNS, { omitEqual: 'none' })
  if (failure) out.say(`Other nodes are not known: ${failure.message}\n→ ch202 doctor --only database`)
  return rows
}

function nodeRows({ connected, nodes }: SeenNodes, running: readonly ServiceRow[]): NodeRow[] {
  const now = Date.now()
  const isOf = (node: SeenNode, row: ServiceRow) =>
    node.service === row.service && row.pid !== null && node.process === processName(row.pid)
  const listed = nodes.map((node) => ({
    ...EMPTY,
    ...running.find((row) => row.state !== 'dead' && isOf(node, row)),
    node: node.name,
    service: node.service,
    state: stateOf(node),
    reachable: node.reachable,
    address: node.address || null,
    version: node.version || null,
    started_at: timeBefore(now, node.age),
    renewed_at: timeBefore(now, node.silence),
    clock_ahead_ms: node.ahead,
  }))
  const local = running
    .filter((row) => !nodes.some((node) => isOf(node, row)))
    .map((row) => ({ ...EMPTY, node: processName(row.pid), ...row }))
  const others = connected
    .filter(({ node }) => ![...listed, ...local].some((row) => row.node === node))
    .map(({ address, node, since }) => ({
      ...EMPTY,
      node,
      service: null,
      state: 'connected',
      address,
      started_at: new Date(since).toISOString(),
    }))
  return [...listed, ...local, ...others]
}

/** Every field, in the order of the output. */
const EMPTY = {
  node: '',
  service: null as string | null,
  state: '',
  reachable: null as boolean | null,
  address: null as string | null,
  version: null as string | null,
  started_at: null as string | null,
  renewed_at: null as string | null,
  clock_ahead_ms: null as number | null,
  pid: null as number | null,
  rss_bytes: null as number | null,
  rss_mb: null as number | null,
  cpu_s: null as number | null,
}

function stateOf({ reachable, renews }: SeenNode): string {
  if (!renews) return 'dead'
  return reachable === false ? 'silent' : 'up'
}

function timeBefore(now: number, ms: number): string {
  return new Date(now - ms).toISOString()
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
