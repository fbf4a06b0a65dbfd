import type { Executor } from './server.ts'

/** A node of a service, as it stands in the list of nodes. Times are by the clock of the database, unless they say otherwise. */
export interface ListedNode {
  service: string
  /** `NODE_NAME`, or the host and the process, with letters that make it unique. */
  id: string
  /** The id without those letters. */
  name: string
  /** The host and the id of the process. */
  process: string
  /** The address at which it listens. */
  address: string
  version: string
  /** Milliseconds since it joined the list. */
  age: number
  /** Milliseconds since it last renewed its row. */
  silence: number
  /** By how many milliseconds its clock was ahead of that of the database when it sent that renewal. */
  ahead: number
}

/** Work that one node of a service at a time does, and the id of the node that has it. */
export interface ListedLease {
  service: string
  work: string
  owner: string
}

/** The nodes of all services, as the database lists them. */
export interface NodeList {
  nodes: ListedNode[]
  leases: ListedLease[]
  /** Services whose schema has no list: it is older than this program, or missing. */
  withoutList: string[]
}

const NOW = 'CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)'

/** Lists the nodes of all services, by name. @param schemas the names of the services */
export async function listNodes(executor: Executor, schemas: readonly string[]): Promise<NodeList> {
  const list: NodeList = { nodes: [], leases: [], withoutList: [] }
  for (const service of schemas) {
    const [table] = await executor.unsafe(
      `SELECT to_regclass('"${service}".nodes') IS NOT NULL AND to_regclass('"${service}".leases') IS NOT NULL AS there`,
    )
    if (!table.there) {
      list.withoutList.push(service)
      continue
    }
    const rows = await executor.unsafe(
      `SELECT name, process, address, version, ${NOW} - since AS age, ${NOW} - renewed_at AS silence,
         clock - renewed_at AS ahead
       FROM "${service}".nodes ORDER BY name`,
    )
    list.nodes.push(...[...rows].map((row) => nodeIn(service, row)))
    const leases = await executor.unsafe(`SELECT name, owner FROM "${service}".leases ORDER BY name`)
    list.leases.push(...[...leases].map((row) => ({ service, work: String(row.name), owner: String(row.owner) })))
  }
  return list
}

function nodeIn(service: string, row: Record<string, unknown>): ListedNode {
  const id = String(row.name)
  return {
    service,
    id,
    name: id.replace(/\/[^/]*$/, ''),
    process: String(row.process),
    address: String(row.address),
    version: String(row.version),
    age: Number(row.age),
    silence: Math.max(0, Number(row.silence)),
    ahead: Number(row.ahead),
  }
}
