import { PostgresFailure } from '../../../db/postgres/failure.ts'
import { readDatabaseUrl } from '../../../services/kit/process/database-url.ts'
import { counted } from '../../terminal/terminal.ts'
import { humanDuration } from '../../terminal/times.ts'
import { type SeenNode, type SeenNodes, seeNodes } from '../listed-nodes.ts'
import { type Check, type DoctorContext, type Finding, failed, ok, skipped, UNREACHABLE, warning } from './check.ts'

/** Milliseconds by which clocks of nodes may differ. */
const DIFFERENCE_MAX = 2000

/** Checks of the nodes that share the PostgreSQL database. */
export const nodesChecks: Check[] = [
  check('alive', 'every node in the list renews its row; the others remove one that does not', ({ nodes }) => {
    const stopped = nodes.filter(({ renews }) => !renews)
    if (stopped.length === 0) return ok(`${counted(nodes.length, 'node')}, each renews its row`)
    const texts = stopped.map((node) => `${titleOf(node)} has not for ${humanDuration(node.silence)}`)
    const isAlone = stopped.some(({ service }) => !nodes.some((node) => node.service === service && node.renews))
    return warning(
      `Nodes must renew their rows: ${texts.join(', ')}. ${isAlone ? 'No other node of the service runs' : 'The others remove it and take over its work'}`,
      isAlone ? 'ch202 start' : 'ch202 ps',
    )
  }),
  check('ready', 'every node answers, holds its lease and reaches the database (`/health/ready`)', ({ nodes }) => {
    const answerable = nodes.filter(({ reachable }) => reachable !== null)
    if (answerable.length === 0) return skipped('The nodes listen on other machines only')
    const faults = answerable.flatMap((node) => faultOf(node) ?? [])
    if (faults.length > 0) return failed(faults.join('; '), 'ch202 logs --level warn')
    const others = nodes.length - answerable.length
    return ok(
      `${counted(answerable.length, 'node')} ready${others > 0 ? `; ${others} cannot be asked from this machine` : ''}`,
    )
  }),
  check('versions', 'all nodes have the same version', ({ nodes }) => {
    const versions = [...new Set(nodes.map(({ version }) => version))].sort()
    if (versions.length === 1) return ok(`All have version ${versions[0]}`)
    const texts = versions.map((version) => {
      const titles = nodes.filter((node) => node.version === version).map(titleOf)
      return `${version || 'unknown'}: ${titles.join(', ')}`
    })
    return warning(`Nodes have different versions (${texts.join('; ')})`, 'ch202 ps --wide')
  }),
  check('work', 'work that one node at a time does has a node that runs', ({ leases, nodes }) => {
    const abandoned = leases.filter(({ owner, service }) => {
      const others = nodes.filter((node) => node.service === service && node.renews)
      return others.length > 0 && !others.some(({ id }) => id === owner)
    })
    if (abandoned.length === 0) return ok(`${counted(leases.length, 'lease')}, each of a node that runs`)
    const texts = abandoned.map(({ service, work }) => `${work} of ${service}`)
    return warning(`No node that runs has ${texts.join(', ')}`, 'ch202 logs --level warn')
  }),
  check('clocks', 'the clocks of the nodes differ by less than 2 s', ({ nodes }) => {
    const running = nodes.filter(({ renews }) => renews).sort((a, b) => a.ahead - b.ahead)
    const [first, last] = [running[0], running.at(-1)]
    if (!first || !last) return skipped('No node renews its row')
    const difference = last.ahead - first.ahead
    const database = Math.max(...running.map(({ ahead }) => Math.abs(ahead)))
    if (difference <= DIFFERENCE_MAX)
      return ok(`They differ by at most ${seconds(difference)}, and from that of the database by ${seconds(database)}`)
    return warning(
      `The clock of ${titleOf(last)} is ${seconds(difference)} ahead of that of ${titleOf(first)}`,
      'timedatectl',
    )
  }),
]

function check(id: string, describes: string, examine: (seen: SeenNodes) => Finding): Check {
  return {
    id: `nodes.${id}`,
    describes,
    only: 'postgres',
    async run(context) {
      const seen = await seenOf(context)
      if (seen === null) return skipped(UNREACHABLE)
      if (seen.nodes.length > 0) return examine(seen)
      return skipped(
        seen.withoutList.length > 0
          ? `There is no list of nodes yet: see db.${seen.withoutList[0]}.schema`
          : 'No node runs on the database',
      )
    },
  }
}

const lists = new WeakMap<DoctorContext, Promise<SeenNodes | null>>()

/** Reads the nodes once for all checks; null: the database cannot be read. */
function seenOf(context: DoctorContext): Promise<SeenNodes | null> {
  let seen = lists.get(context)
  if (!seen) {
    seen = read(context.databaseUrl ?? '')
    lists.set(context, seen)
  }
  return seen
}

async function read(url: string): Promise<SeenNodes | null> {
  if (typeof readDatabaseUrl(url) === 'string') return null
  try {
    return await seeNodes(url, false)
  } catch (error) {
    if (error instanceof PostgresFailure) return null
    throw error
  }
}

function titleOf({ name, service }: SeenNode): string {
  return `${service} of ${name}`
}

/** Why a node gets no requests from a balancer; undefined if it does. */
function faultOf(node: SeenNode): string | undefined {
  const { address, ready } = node
  if (ready === undefined || ready.status === 200) return node.reachable === false ? notThere(node) : undefined
  if (ready.status === 0) return `${titleOf(node)} (${address}): ${ready.failure}`
  // A version without this path.
  if (ready.status === 404) return node.reachable === false ? notThere(node) : undefined
  const { code, message } = ready.body
  return `${titleOf(node)} (${address}) is not ready: ${String(message ?? code ?? `status ${ready.status}`)}`
}

function notThere(node: SeenNode): string {
  return `${titleOf(node)}: another program answers at ${node.address}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 100 ? 3 : 1)} s`
}
