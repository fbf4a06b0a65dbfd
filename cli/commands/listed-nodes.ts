import { hostname } from 'node:os'
import type { ListedNode, NodeList } from '../../db/postgres/inspect/nodes.ts'
import type { ConnectedNode } from '../../db/postgres/inspect/server.ts'
import { hasWildcardHost } from '../../services/kit/outgoing.ts'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { isLocal } from '../client/connection.ts'
import { isService, type ProbeResult, probe } from '../client/instance/probe.ts'

/** Milliseconds without a renewal after which the other nodes remove a node. */
const DEAD_AFTER = 2000

/** A node in the list of the database, as this machine sees it. */
export interface SeenNode extends ListedNode {
  /** Whether it renews its row. */
  renews: boolean
  /** Its response to `/health/ready`; undefined if this machine cannot ask it, because it listens on another one only. */
  ready: ProbeResult | undefined
  /** Whether the service answers where it listens; null if this machine cannot ask. */
  reachable: boolean | null
}

/** The nodes of all services on a database. */
export interface SeenNodes extends Pick<NodeList, 'leases' | 'withoutList'> {
  nodes: SeenNode[]
  /** Processes that are connected, among them those that are not in the list. */
  connected: ConnectedNode[]
}

/**
 * Reads the list of nodes, and asks each node whether it answers.
 * @throws PostgresFailure
 */
export async function seeNodes(databaseUrl: string, debug: boolean): Promise<SeenNodes> {
  const [{ listNodes }, { connectedNodes, inspecting }] = await Promise.all([
    import('../../db/postgres/inspect/nodes.ts'),
    import('../../db/postgres/inspect/server.ts'),
  ])
  const [list, connected] = await inspecting(databaseUrl, async (tx) => [
    await listNodes(tx, SERVICES_WITH_DATABASE),
    await connectedNodes(tx),
  ])
  return { ...list, connected, nodes: await Promise.all(list.nodes.map((node) => see(node, debug))) }
}

async function see(node: ListedNode, debug: boolean): Promise<SeenNode> {
  const renews = node.silence <= DEAD_AFTER
  if (!canAsk(node)) return { ...node, renews, ready: undefined, reachable: null }
  const [health, ready] = await Promise.all(
    ['/health', '/health/ready'].map((path) => probe(node.address + path, debug)),
  )
  return { ...node, renews, ready, reachable: isService(node.service, health) }
}

/** Whether the address of a node leads from this machine to it: that of another machine's loopback would lead here. */
function canAsk({ address, process }: ListedNode): boolean {
  if (!URL.canParse(address)) return false
  return process.replace(/:\d+$/, '') === hostname() || !(isLocal(address) || hasWildcardHost(address))
}
