import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listenSetting } from '../../services/kit/process/service-address.ts'
import { ofEachService, SERVICE_NAMES, SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { type PostgresLine, startPostgresLine } from '../faults/postgres-line.ts'
import { newSystemDatabase, type SystemDatabase } from '../support/postgres/system-database.ts'
import { freePort } from '../support/servers/ports.ts'
import { addressSettings, type Name, newAddresses, systemSettings } from '../support/settings.ts'
import type { System } from '../support/system.ts'
import { type Balancer, startBalancer } from './balancer.ts'
import { startCaddy } from './caddy.ts'
import { ClusterNode } from './node.ts'

/** Several nodes of each service on one database, behind a balancer for each service. `url` is those of the balancers. */
export interface Cluster extends System {
  database: SystemDatabase
  /** The nodes of each service: those that run and those that have stopped. */
  nodes: Record<Name, ClusterNode[]>
  /** The nodes of all services. */
  all(): ClusterNode[]
  node(service: Name, number: number): ClusterNode
  /** The addresses of the nodes with this number, in place of those of the balancers. */
  at(number: number): { url: Record<Name, string> }
  /** Starts one more node of a service, and sends requests to it. */
  add(service: Name): Promise<ClusterNode>
  /** Sends no more requests to a node, as a balancer that finds it unhealthy. The node keeps running. */
  withdraw(node: ClusterNode): Promise<void>
  /** Sends requests to a node again. */
  restore(node: ClusterNode): Promise<void>
}

export interface ClusterOptions {
  /** How many nodes of each service. */
  nodes?: number
  /** Whether each node has a line of its own to the database, which `cutOff` interrupts. */
  lines?: boolean
  /** The database, in place of an empty one on the server that the tests share. It is not removed. */
  database?: SystemDatabase
  /**
   * How nodes call other services: by way of the balancers, each request at another node, or always the node of the same
   * number, as behind a balancer that keeps to one.
   */
  calls?: 'balanced' | 'same number'
  /** A module that each process loads before the program. */
  preload?: string
  /** More settings of the nodes of a service, read at each of their starts. */
  settingsOf?(service: Name): Partial<Record<string, string>>
}

/**
 * Starts a cluster: every node at once, on an empty database. The balancer is that of the tests, or with
 * `CH202_TEST_BALANCER=caddy` Debian's Caddy.
 * @param env settings of all nodes
 * @throws Error with the output of a node that ends before it is ready
 */
export async function cluster(
  env: Record<string, string> = {},
  { calls = 'balanced', lines = false, nodes: count = 3, settingsOf = () => ({}), ...options }: ClusterOptions = {},
): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'ch202-cluster-'))
  const mails = join(directory, 'mail')
  mkdirSync(mails, { mode: 0o700 })
  const addresses = newAddresses('apart')
  const database = options.database ?? (await newSystemDatabase('apart'))
  const balancers = await startBalancers(addresses.url, directory)
  const openLines: PostgresLine[] = []
  const withdrawn = new Set<ClusterNode>()
  const nodes = ofEachService((): ClusterNode[] => [])
  let printed = ''

  const newNode = async (service: Name) => {
    const number = nodes[service].length + 1
    const url = `http://127.0.0.1:${freePort()}`
    const line =
      lines && hasDatabase(service)
        ? await startPostgresLine(Number(new URL(database.addressOf(service)).port))
        : undefined
    if (line) openLines.push(line)
    const dataDir = join(directory, `${service}-${number}`)
    const node = new ClusterNode({
      service,
      number,
      url,
      directory: dataDir,
      mails,
      line,
      preload: options.preload,
      env: () => ({
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? '',
        // Without it the first start of auth would store the address of one node.
        ...(calls === 'balanced' ? {} : { ISSUER: addresses.url.auth }),
        ...systemSettings(dataDir, addresses, env),
        ...(calls === 'balanced' ? {} : addressSettings((name) => system.node(name, number).url)),
        NODE_NAME: `${service}-${number}`,
        DATABASE_URL: (line ?? { addressOf: String }).addressOf(database.addressOf(service)),
        // The address of a service is that of its balancer.
        [listenSetting(service)]: new URL(url).host,
        ...settingsOf(service),
      }),
      print: (text) => {
        printed += text
      },
    })
    nodes[service].push(node)
    return node
  }
  const balance = (service: Name) =>
    balancers[service].use(nodes[service].filter((node) => !withdrawn.has(node)).map((node) => node.port))

  const system: Cluster = {
    layout: 'apart',
    database,
    dataDir: directory,
    url: addresses.url,
    nodes,
    output: () => printed,
    all: () => SERVICES_WITH_DATABASE.flatMap((service) => nodes[service]),
    node(service, number) {
      const node = nodes[service][number - 1]
      if (!node) throw new Error(`There is no node ${service}-${number}`)
      return node
    },
    at: (number) => ({
      url: ofEachService((service) => system.node(service, hasDatabase(service) ? number : 1).url),
    }),
    async add(service) {
      const node = await newNode(service)
      await node.start()
      await balance(service)
      return node
    },
    async withdraw(node) {
      withdrawn.add(node)
      await balance(node.service)
    },
    async restore(node) {
      withdrawn.delete(node)
      await balance(node.service)
    },
    async kill(service) {
      await Promise.all(nodes[service].map((node) => node.kill()))
    },
    async terminate(service) {
      await Promise.all(nodes[service].map((node) => node.terminate()))
    },
    async start(service) {
      await Promise.all(nodes[service].map((node) => node.start()))
    },
    async stop() {
      for (const node of system.all()) if (lines) node.rejoin()
      await Promise.all(SERVICE_NAMES.map(system.terminate))
      await Promise.all(Object.values(balancers).map((balancer) => balancer.stop()))
      for (const line of openLines) line.stop()
      if (!options.database) await database.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    for (const service of SERVICE_NAMES)
      for (let n = 0; n < (hasDatabase(service) ? count : 1); n++) await newNode(service)
    await Promise.all(SERVICE_NAMES.map(balance))
    await Promise.all(SERVICE_NAMES.map((service) => system.start(service)))
  } catch (error) {
    await system.stop()
    throw error
  }
  return system
}

/** A service without a database keeps nothing that nodes could disagree on: here it has one node, outside of `all`. */
function hasDatabase(service: Name): boolean {
  return SERVICES_WITH_DATABASE.includes(service)
}

async function startBalancers(url: Record<Name, string>, directory: string): Promise<Record<Name, Balancer>> {
  const start = process.env.CH202_TEST_BALANCER === 'caddy' ? startCaddy : startBalancer
  const balancers: Partial<Record<Name, Balancer>> = {}
  for (const service of SERVICE_NAMES) balancers[service] = await start(Number(new URL(url[service]).port), directory)
  return balancers as Record<Name, Balancer>
}
