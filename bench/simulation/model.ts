import { READ_EVERY, RENEW_EVERY } from '../../services/kit/feed/node-subscription.ts'
import { READ_EVERY as SUBSCRIBERS_READ_EVERY } from '../../services/kit/feed/stored-subscribers.ts'
import { FEED_HOLD, FEED_LEASE } from '../../services/kit/feed/subscriber.ts'
import { Cores, type Process, SimulatedSignal, Simulation } from './engine.ts'

/** Milliseconds of CPU of a node and of the server, for a statement or a transaction. */
interface Cost {
  node: number
  server: number
}

/** The cost of each statement, measured by `bun bench/simulation/measure.ts`. Milliseconds. */
export interface Costs {
  /** Reads the feed, when there is nothing new; also stands for other small reads. */
  read: Cost
  /** A transaction that acknowledges a poll, and each further poll in it. */
  acknowledge: Cost
  furtherAcknowledgement: Cost
  /** Reads the rows of the subscribers: for the statement, and for each row. */
  readSubscribers: Cost
  eachSubscriber: Cost
  /** A transaction that ends sessions, and each session in it. */
  end: Cost
  eachEnd: Cost
  /** A transaction that rotates sessions, and each request to refresh. */
  rotate: Cost
  eachRefresh: Cost
  /** A poll over HTTP, for each side. */
  poll: number
  /** Until a commit is on the disk. */
  flush: number
  /** A statement on its way to the server and back. */
  roundTrip: number
}

export interface ClusterSettings {
  /** Machines, each with one node of auth, users and modules: the last two subscribe to the revocation feed. */
  nodes: number
  /** Cores of the database server. */
  serverCores: number
  /** Whether the nodes run on the cores of the server, as on a machine of a developer. */
  shared?: boolean
  /** Logouts a second over all nodes. */
  logouts?: number
  /** Clients at each node that log out again and again. */
  loggingOut?: number
  /** Clients at each node that refresh again and again. */
  refreshing?: number
  costs: Costs
  seed?: number
}

export interface Measurement {
  /** Milliseconds from a logout's arrival to its answer, in order. */
  latencies: number[]
  logouts: number
  refreshes: number
  /** Transactions and single statements. */
  statements: number
  /** The share of the server's cores that worked. */
  serverLoad: number
  /** The tries of transactions that conflicted. */
  conflicts: number
}

/** Milliseconds between two renewals of the row of a node (`services/kit/nodes/nodes.ts`). */
export const NODE_RENEW_EVERY = 300
/** Statements of a transaction that ends sessions, before it takes the counter of the feed. */
const STATEMENTS_BEFORE_COUNTER = 3
/** Statements from there to the commit: the entries, the rows of the audit, the commit itself. */
const STATEMENTS_WITH_COUNTER = 3
/** Statements of a transaction that rotates sessions. */
const STATEMENTS_OF_ROTATION = 5
/** Calls that share a transaction at most. */
export const GROUP = 200
/** Milliseconds that a transaction waits at most before it is tried again. */
export const LONGEST_WAIT = 50
/** Milliseconds between a poll that was not held and the next. */
const NOT_HELD = 20
/** Milliseconds after the start that are not measured. */
const WARM_UP = 1000

/**
 * Simulates the revocation feed of several nodes (`services/kit/feed`) with the intervals of the real code: polls are
 * written before they are held, nodes look for new entries, and a logout looks at the subscribers until all have
 * acknowledged. Nothing is killed or lost.
 * @param seconds that are measured
 */
export function simulate(settings: ClusterSettings, seconds: number): Measurement {
  const simulation = new Simulation(settings.seed ?? 1)
  const cluster = new Cluster(simulation, settings)
  cluster.start()
  simulation.run(WARM_UP)
  const before = cluster.counts()
  simulation.run(WARM_UP + seconds * 1000)
  const after = cluster.counts()
  return {
    latencies: cluster.latencies.sort((a, b) => a - b),
    logouts: after.logouts - before.logouts,
    refreshes: after.refreshes - before.refreshes,
    statements: after.statements - before.statements,
    serverLoad: (after.busy - before.busy) / (seconds * 1000 * settings.serverCores),
    conflicts: after.conflicts - before.conflicts,
  }
}

class Cluster {
  readonly latencies: number[] = []
  logouts = 0
  refreshes = 0
  statements = 0
  conflicts = 0
  /** The last number of the feed that was committed. */
  seq = 0
  /** Acknowledgements as they are committed, by the place of the subscriber: nodes first. */
  readonly acked: Float64Array
  readonly server: Cores
  /** The row of the counter: who locked it, and how often it was changed. */
  private readonly counter: { isLocked: boolean; version: number; released: SimulatedSignal }
  private flushEnds = Number.NEGATIVE_INFINITY
  readonly nodes: AuthNode[]

  constructor(
    readonly simulation: Simulation,
    readonly settings: ClusterSettings,
  ) {
    const { nodes, serverCores, shared } = settings
    this.server = new Cores(simulation, serverCores)
    this.acked = new Float64Array(3 * nodes)
    this.counter = { isLocked: false, version: 0, released: new SimulatedSignal(simulation) }
    this.nodes = Array.from(
      { length: nodes },
      (_, place) => new AuthNode(this, place, shared ? this.server : new Cores(simulation, 1)),
    )
  }

  start(): void {
    const { simulation } = this
    for (const node of this.nodes) {
      simulation.start(node.subscribe())
      // Each service of the machine renews its row.
      for (let service = 0; service < 3; service++) simulation.start(node.renew())
      for (const place of [1, 2]) simulation.start(this.subscriber(place * this.nodes.length + node.place, node.cpu))
      for (let client = 0; client < (this.settings.loggingOut ?? 0); client++) simulation.start(this.logOutAgain(node))
      const { refreshing = 0 } = this.settings
      // While the transaction of one half runs, the requests of the other are read.
      for (let half = 0; half < 2 && refreshing > 0; half++) simulation.start(node.refresh(refreshing / 2))
    }
    if (this.settings.logouts) simulation.start(this.arrivals(this.settings.logouts))
  }

  counts() {
    const { conflicts, logouts, refreshes, server, statements } = this
    return { conflicts, logouts, refreshes, statements, busy: server.busy }
  }

  /** Runs a statement of a node on the server. */
  *statement(node: Cores, cost: Cost): Process {
    const { simulation } = this
    const { roundTrip } = this.settings.costs
    yield* node.use(cost.node)
    yield simulation.sleep(roundTrip / 2)
    // Other work of the machine delays some more than others.
    yield* this.server.use(simulation.exponential(cost.server))
    yield simulation.sleep(roundTrip / 2)
  }

  /** Runs a single statement. */
  *query(node: Cores, cost: Cost): Process {
    this.statements++
    yield* this.statement(node, cost)
  }

  /** Waits until the log is on the disk. Commits that arrive during a flush share the next one. */
  *flush(): Process {
    const { simulation } = this
    const { flush } = this.settings.costs
    const begins = Math.max(this.flushEnds, simulation.now)
    if (begins === simulation.now) this.flushEnds = begins + flush
    yield simulation.sleep((begins === simulation.now ? 0 : begins - simulation.now) + flush)
    this.flushEnds = Math.max(this.flushEnds, simulation.now)
  }

  /** Ends sessions in one transaction, again from its start when another one changed the counter. @returns the last number */
  *end(node: Cores, sessions: number): Process<number> {
    const { counter, settings, simulation } = this
    const { costs } = settings
    const steps = STATEMENTS_BEFORE_COUNTER + STATEMENTS_WITH_COUNTER
    const step = {
      node: (costs.end.node + sessions * costs.eachEnd.node) / steps,
      server: (costs.end.server + sessions * costs.eachEnd.server) / steps,
    }
    for (let tries = 1; ; tries++) {
      this.statements++
      const { version } = counter
      for (let n = 0; n < STATEMENTS_BEFORE_COUNTER; n++) yield* this.statement(node, step)
      let isFree = counter.version === version
      if (isFree && counter.isLocked) {
        yield counter.released.next(FEED_LEASE)
        isFree = false
      }
      if (!isFree) {
        this.conflicts++
        yield simulation.sleep(simulation.random() * Math.min(2 ** tries, LONGEST_WAIT))
        continue
      }
      counter.isLocked = true
      for (let n = 0; n < STATEMENTS_WITH_COUNTER; n++) yield* this.statement(node, step)
      yield* this.flush()
      counter.isLocked = false
      counter.version++
      this.seq += sessions
      counter.released.notify()
      return this.seq
    }
  }

  /** A service that polls the feed, each time at another node. */
  private *subscriber(place: number, cpu: Cores): Process {
    const { costs } = this.settings
    const { simulation } = this
    yield simulation.sleep(simulation.random() * FEED_HOLD)
    let seq = 0
    for (;;) {
      const node = this.nodes[Math.floor(simulation.random() * this.nodes.length)] as AuthNode
      const [sentAt, before] = [simulation.now, seq]
      yield* cpu.use(costs.poll)
      yield simulation.sleep(costs.roundTrip / 2)
      seq = yield* node.poll(place, seq)
      yield simulation.sleep(costs.roundTrip / 2)
      yield* cpu.use(costs.poll)
      if (simulation.now - sentAt <= NOT_HELD && seq === before) yield simulation.sleep(NOT_HELD)
    }
  }

  private *arrivals(rate: number): Process {
    for (;;) {
      yield this.simulation.sleep(this.simulation.exponential(1000 / rate))
      const node = this.nodes[Math.floor(this.simulation.random() * this.nodes.length)] as AuthNode
      this.simulation.start(this.logOut(node))
    }
  }

  private *logOutAgain(node: AuthNode): Process {
    for (;;) yield* this.logOut(node)
  }

  private *logOut(node: AuthNode): Process {
    const since = this.simulation.now
    yield* node.cpu.use(this.settings.costs.poll)
    yield* node.endSession()
    this.logouts++
    if (since >= WARM_UP) this.latencies.push(this.simulation.now - since)
  }
}

/** Calls of a node that share a transaction: those that arrive while one runs wait for the next. */
class Groups {
  private waiting: (() => void)[] = []
  private isRunning = false

  constructor(
    private readonly simulation: Simulation,
    private readonly run: (calls: number) => Process<unknown>,
  ) {}

  add(): (resume: () => void) => void {
    return (resume) => {
      this.waiting.push(resume)
      if (!this.isRunning) this.simulation.start(this.runAll())
    }
  }

  private *runAll(): Process {
    this.isRunning = true
    while (this.waiting.length > 0) {
      const group = this.waiting.splice(0, GROUP)
      yield* this.run(group.length)
      for (const resume of group) resume()
    }
    this.isRunning = false
  }
}

/** A node of auth: it publishes the feed, and subscribes to what the others publish. */
class AuthNode {
  /** The last number that this node has read and published. */
  private published = 0
  private readonly changes: SimulatedSignal
  private readonly reads: SimulatedSignal
  private readonly ends: Groups
  private readonly rotations: Groups
  private readonly acknowledgements: Groups
  /** The acknowledgements that the next group writes: the place of a subscriber, and its number. */
  private readonly polled: { place: number; seq: number }[] = []
  private lastEnd = 0
  private waiting = 0
  private isReading = false
  private begun = 0
  /** The newest read of the subscribers: its number, and what all but this node have acknowledged. */
  private latest = { read: 0, least: 0 }

  constructor(
    private readonly cluster: Cluster,
    readonly place: number,
    readonly cpu: Cores,
  ) {
    const { simulation } = cluster
    this.changes = new SimulatedSignal(simulation)
    this.reads = new SimulatedSignal(simulation)
    const node = this
    this.ends = new Groups(simulation, function* (calls): Process {
      node.lastEnd = yield* cluster.end(cpu, calls)
    })
    const { refreshing = 0 } = cluster.settings
    this.rotations = new Groups(simulation, (halves) => node.rotate((halves * refreshing) / 2))
    this.acknowledgements = new Groups(simulation, (calls) => node.writePolls(calls))
  }

  /** Looks for what the others published, and acknowledges it. */
  *subscribe(): Process {
    const { simulation } = this.cluster
    yield simulation.sleep(simulation.random() * READ_EVERY)
    let acked = -1
    let renewedAt = Number.NEGATIVE_INFINITY
    for (;;) {
      let last = yield* this.catchUp()
      while (last > acked || simulation.now - renewedAt >= RENEW_EVERY) {
        const sentAt = simulation.now
        yield* this.acknowledge(this.place, last)
        acked = last
        last = yield* this.catchUp()
        renewedAt = sentAt
      }
      yield simulation.sleep(READ_EVERY)
    }
  }

  *renew(): Process {
    const { settings, simulation } = this.cluster
    yield simulation.sleep(simulation.random() * NODE_RENEW_EVERY)
    for (;;) {
      yield* this.cluster.query(this.cpu, settings.costs.read)
      yield simulation.sleep(NODE_RENEW_EVERY)
    }
  }

  /** Answers a poll. @returns the last number of its page */
  *poll(place: number, after: number): Process<number> {
    const { costs } = this.cluster.settings
    yield* this.cpu.use(costs.poll)
    if (after > this.published) {
      yield* this.cluster.query(this.cpu, costs.read)
      this.advance(Math.max(after, this.published))
    }
    yield* this.acknowledge(place, after)
    if (after === this.published) yield this.changes.next(FEED_HOLD)
    yield* this.cluster.query(this.cpu, costs.read)
    const { seq } = this.cluster
    if (seq > this.published) yield* this.catchUp()
    yield* this.cpu.use(costs.poll)
    return seq
  }

  /** Ends a session, and waits until every subscriber has acknowledged that. */
  *endSession(): Process {
    const { simulation } = this.cluster
    yield this.ends.add()
    const seq = this.lastEnd
    yield* this.catchUp()
    const [since, before] = [simulation.now, this.begun]
    this.waiting++
    if (!this.isReading) simulation.start(this.readSubscribers())
    while (simulation.now - since < FEED_LEASE) {
      if (this.latest.read > before && this.latest.least >= seq) break
      yield this.reads.next(NOT_HELD)
    }
    this.waiting--
  }

  /** Refreshes sessions of clients that send the next request after each answer. */
  *refresh(clients: number): Process {
    for (;;) {
      yield* this.cpu.use(clients * this.cluster.settings.costs.eachRefresh.node)
      yield this.rotations.add()
      this.cluster.refreshes += clients
    }
  }

  private *rotate(sessions: number): Process {
    const { eachRefresh, rotate } = this.cluster.settings.costs
    const server = (rotate.server + sessions * eachRefresh.server) / STATEMENTS_OF_ROTATION
    this.cluster.statements++
    for (let n = 0; n < STATEMENTS_OF_ROTATION; n++)
      yield* this.cluster.statement(this.cpu, { node: rotate.node / STATEMENTS_OF_ROTATION, server })
    yield* this.cluster.flush()
  }

  /** Reads the feed to its end. @returns the last number */
  private *catchUp(): Process<number> {
    yield* this.cluster.query(this.cpu, this.cluster.settings.costs.read)
    this.advance(this.cluster.seq)
    return this.published
  }

  private advance(seq: number): void {
    if (seq <= this.published) return
    this.published = seq
    this.changes.notify()
  }

  private *acknowledge(place: number, seq: number): Process {
    this.polled.push({ place, seq })
    yield this.acknowledgements.add()
  }

  private *writePolls(calls: number): Process {
    const { cluster } = this
    const { acknowledge, furtherAcknowledgement } = cluster.settings.costs
    const written = this.polled.splice(0, calls)
    yield* cluster.query(this.cpu, {
      node: acknowledge.node + (calls - 1) * furtherAcknowledgement.node,
      server: acknowledge.server + (calls - 1) * furtherAcknowledgement.server,
    })
    yield* cluster.flush()
    for (const { place, seq } of written) cluster.acked[place] = Math.max(cluster.acked[place] ?? 0, seq)
  }

  private *readSubscribers(): Process {
    const { cluster } = this
    const { eachSubscriber, readSubscribers } = cluster.settings.costs
    const rows = cluster.acked.length
    const cost = {
      node: readSubscribers.node + rows * eachSubscriber.node,
      server: readSubscribers.server + rows * eachSubscriber.server,
    }
    this.isReading = true
    while (this.waiting > 0) {
      const read = ++this.begun
      yield* cluster.query(this.cpu, cost)
      let least = Number.POSITIVE_INFINITY
      for (let place = 0; place < rows; place++)
        if (place !== this.place) least = Math.min(least, cluster.acked[place] ?? 0)
      this.latest = { read, least }
      this.reads.notify()
      yield cluster.simulation.sleep(SUBSCRIBERS_READ_EVERY)
    }
    this.isReading = false
  }
}
