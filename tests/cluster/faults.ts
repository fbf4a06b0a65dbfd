import { seeded } from '../faults/rounds.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import type { Name } from '../support/settings.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

/** Faults of one node, or of the database. A node that is cut off loses the database and keeps the others. */
export const FAULTS = ['kill', 'freeze', 'cut', 'database restart', 'database freeze'] as const
export type Fault = (typeof FAULTS)[number]

/** Milliseconds after which a balancer that checks its nodes sends nothing more to one that does not answer. */
const NOTICED_AFTER = 1000
/** The shortest time that a node or the database is frozen or cut off, and what is added at random, in milliseconds. */
const SHORTEST = 1500
const ADDED = 3500
/** Milliseconds between two faults. */
const PAUSE = 600

interface FaultsOptions {
  kinds?: readonly Fault[]
  /** The services whose nodes are chosen. */
  services?: readonly Name[]
  seed?: number
}

/** Faults that follow one another while a test runs: one node, or the database, at a time. */
export class Faults {
  readonly counts = new Map<Fault, number>()
  private readonly random: () => number
  private current: { kind: Fault; node: ClusterNode | undefined } | undefined
  private isOver = false
  private readonly stopping = Promise.withResolvers<void>()
  private loop: Promise<void> = Promise.resolve()

  constructor(
    private readonly system: Cluster,
    private readonly options: FaultsOptions = {},
  ) {
    this.random = seeded(options.seed ?? Number(process.env.SOAK_SEED ?? Date.now()))
  }

  /** The kind of the fault that lasts now. */
  get kind(): Fault | undefined {
    return this.current?.kind
  }

  /** The node that has the fault; undefined for a fault of the database. */
  get node(): ClusterNode | undefined {
    return this.current?.node
  }

  /** The fault that lasts, for the messages of tests. */
  get happening(): string {
    return this.current ? [this.current.kind, this.current.node?.name].filter(Boolean).join(' ') : 'no fault'
  }

  /** Whether a node of auth has no database: it behaves as a service that is cut off from auth. */
  isCutOff(node: ClusterNode): boolean {
    return this.kind === 'cut' && this.node === node && node.service === 'auth'
  }

  /** A node of a service without a fault, another one each time. */
  healthy(service: Name, round: number): ClusterNode {
    const nodes = this.system.nodes[service].filter((node) => node !== this.node)
    return nodes[round % nodes.length] as ClusterNode
  }

  /** Begins: each kind of fault in turn, at a node chosen at random. */
  start(): void {
    const { kinds = FAULTS } = this.options
    this.loop = (async () => {
      for (let turn = 0; !this.isOver; turn++) {
        await this.once(kinds[turn % kinds.length] ?? 'kill')
        await this.during(PAUSE)
      }
    })()
  }

  /** Ends the fault that lasts. @returns how often each happened */
  async stop(): Promise<string> {
    this.isOver = true
    this.stopping.resolve()
    await this.loop
    return [...this.counts].map(([kind, times]) => `${times} × ${kind}`).join(', ')
  }

  /** Makes one fault, and resolves when it is over. @param node chosen at random if absent */
  async once(kind: Fault, node?: ClusterNode): Promise<void> {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    const ofDatabase = kind === 'database restart' || kind === 'database freeze'
    const { services } = this.options
    const nodes = this.system.all().filter(({ service }) => !services || services.includes(service))
    const chosen = ofDatabase ? undefined : (node ?? (nodes[Math.floor(this.random() * nodes.length)] as ClusterNode))
    this.current = { kind, node: chosen }
    try {
      if (chosen) await this.atNode(kind, chosen)
      else await this.atDatabase(kind)
    } finally {
      this.current = undefined
    }
  }

  private async atDatabase(kind: Fault): Promise<void> {
    const { server } = await sharedPostgres()
    if (kind === 'database restart') {
      await server.kill()
      await server.start()
    } else {
      server.freeze()
      await this.during(SHORTEST + this.random() * ADDED)
      server.thaw()
    }
    // Until every node has connections again.
    await Promise.all(this.system.all().map((each) => untilUsable(each)))
  }

  private async atNode(kind: Fault, node: ClusterNode): Promise<void> {
    const { system } = this
    if (kind === 'kill') {
      await node.kill()
      await this.during(this.random() * SHORTEST)
      await node.start()
      return
    }
    if (kind === 'freeze') node.freeze()
    else node.cutOff()
    await this.during(NOTICED_AFTER)
    await system.withdraw(node)
    await this.during(SHORTEST - NOTICED_AFTER + this.random() * ADDED)
    if (kind === 'freeze') node.thaw()
    else node.rejoin()
    await untilUsable(node)
    await system.restore(node)
  }

  /** Resolves after so many milliseconds, or when the faults end. */
  private async during(ms: number): Promise<void> {
    await Promise.race([Bun.sleep(ms), this.stopping.promise])
  }
}

/** Waits until a node has the database again; a node of auth, until it decides by the database. */
async function untilUsable({ service, url }: ClusterNode): Promise<void> {
  await eventually(async () => (await call(url, 'GET /health/db').catch(() => undefined))?.status === 200)
  if (service !== 'auth') return
  const headers = { ...as.internal, 'cache-control': 'no-cache' }
  const ask = () => call(url, 'POST /auth/validate-token', { headers, body: { token: 'x' } })
  await eventually(async () => (await ask().catch(() => undefined))?.status === 200)
}
