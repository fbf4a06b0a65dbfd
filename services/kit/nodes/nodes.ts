import { hostname } from 'node:os'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { withTimeout } from '../timeout.ts'

/** A node as operators see it. Nothing is decided by it. */
export interface NodeDescription {
  /** Its host and the id of its process. */
  process: string
  /** The address at which it listens. */
  address: string
  version: string
}

/** Names a process of this machine, or of another one, for operators. */
export function processName(pid: number, host = hostname()): string {
  return `${host}:${pid}`
}

/** The list of the nodes that run, and the work that one of them at a time does. */
export interface NodeStore {
  /** Whether other nodes may use the database. */
  readonly isShared: boolean
  /**
   * Adds this node to the list of nodes, with a new name: what it owned with the previous one is not its own any more.
   * @param clock what the clock of this node shows (ms since the epoch), for operators: `doctor` compares clocks
   */
  registerNode(description: NodeDescription, clock: number): Promise<void>
  /** Renews the row of this node, and reads those of all. @param clock as for `registerNode` */
  renewNode(clock: number): Promise<NodesSeen>
  /**
   * Removes a node that has not renewed its row since `renewals` was read. @returns false if it did, or another node
   * removed it
   */
  removeNode(name: string, renewals: number): Promise<boolean>
  /** Removes this node, and gives up its leases. */
  leaveNodes(): Promise<void>
  /** Takes leases that no running node has. @returns the names of those that this node has now */
  claimLeases(names: readonly string[]): Promise<string[]>
  releaseLease(name: string): Promise<void>
}

export interface NodesSeen {
  /** False: the others removed this node. */
  isRegistered: boolean
  others: { name: string; renewals: number }[]
  /** The names of the leases that this node has. */
  leases: string[]
  /** The names of the leases that another running node has. */
  foreignLeases: string[]
}

/** Milliseconds between two renewals. */
const RENEW_EVERY = 300
/** Milliseconds without a renewal after which the others remove a node. */
const DEAD_AFTER = 2000
/**
 * Milliseconds after which a node that could not renew its row stops its work. The others count from when they see a
 * renewal, this node from when it sent it: so it stops first.
 */
const SURE_FOR = 1500
/** Milliseconds without an answer of the database, or without running, after which a node forgets what it saw of the others. */
const BLIND_AFTER = 1000
/** Milliseconds between two searches for the work of nodes that are gone. */
const SEARCH_EVERY = 5000

interface OtherNode {
  renewals: number
  /** When this node saw that number first; monotonic milliseconds. */
  since: number
}

/**
 * The nodes of a service that share a database. Each renews a row; one whose row stood still for two seconds is removed by
 * the others, which then take over its work. No clock of another node or of the database is compared.
 *
 * A node may freeze or lose the database while it works. So it checks `isSure` before each thing that it must do once, and
 * has lost everything that it owned when it finds that it was removed.
 */
export class Nodes {
  private isRunning = false
  private readonly stopping = Promise.withResolvers<void>()
  private loop: Promise<void> = Promise.resolve()
  /** When the last renewal that succeeded was sent; monotonic milliseconds. */
  private renewedAt = Number.NEGATIVE_INFINITY
  /** When the rows of the nodes were last read; monotonic milliseconds. */
  private seenAt = Number.NEGATIVE_INFINITY
  private isFailing = false
  private searchedAt = Number.NEGATIVE_INFINITY
  private readonly others = new Map<string, OtherNode>()
  private readonly leases = new Set<string>()
  /** Leases that this node takes when they are free. */
  private readonly claims = new Set<string>()
  private readonly listeners = new Set<() => void>()

  constructor(private readonly options: { store: NodeStore; description: NodeDescription; clock: Clock; log: Log }) {}

  /** Whether other nodes may use the database. */
  get isShared(): boolean {
    return this.options.store.isShared
  }

  /** Adds this node to the list. Without an answer of the database it is added later. */
  async start(): Promise<void> {
    if (!this.isShared) return
    this.isRunning = true
    await this.attempt(() => this.register())
    this.loop = this.run()
  }

  /** Removes this node from the list, so that the others take over its work at once. */
  async stop(): Promise<void> {
    if (!this.isRunning) return
    this.isRunning = false
    this.stopping.resolve()
    await this.loop
    this.renewedAt = Number.NEGATIVE_INFINITY
    await this.attempt(() => this.options.store.leaveNodes())
  }

  /** Whether the others cannot have taken over the work of this node. To be asked right before the work. */
  isSure(): boolean {
    return !this.isShared || this.options.clock.monotonic() - this.renewedAt < SURE_FOR
  }

  /** Whether this node is the one that does the work `name`. To be asked right before the work. */
  holds(name: string): boolean {
    return !this.isShared || (this.isSure() && this.leases.has(name))
  }

  /** Takes the work `name` as soon as no other node does it. @returns whether this node has it now */
  async claim(name: string): Promise<boolean> {
    if (!this.isShared) return true
    this.claims.add(name)
    if (this.isSure()) await this.attempt(() => this.take([name]))
    return this.holds(name)
  }

  /** Leaves the work `name` to the other nodes. */
  async release(name: string): Promise<void> {
    this.claims.delete(name)
    if (this.leases.delete(name)) await this.attempt(() => this.options.store.releaseLease(name))
  }

  /**
   * Calls `listener` when this node may have more work: another node is gone, or this one got a lease.
   * @returns a function that ends that
   */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private async run(): Promise<void> {
    while (this.isRunning) {
      await withTimeout(this.stopping.promise, RENEW_EVERY)
      if (this.isRunning) await this.attempt(() => this.renew())
    }
  }

  private async register(): Promise<void> {
    const { clock, description, store } = this.options
    const sentAt = clock.monotonic()
    this.leases.clear()
    // What was seen of the others before is as old as the last renewal.
    this.others.clear()
    await store.registerNode(description, clock.now())
    this.renewedAt = sentAt
  }

  private async renew(): Promise<void> {
    const { clock, log, store } = this.options
    const sentAt = clock.monotonic()
    const seen = await store.renewNode(clock.now())
    if (!seen.isRegistered) {
      log.warn({ event: 'node.removed' })
      await this.register()
      this.notify()
      return
    }
    const now = clock.monotonic()
    const wasBlind = now - this.seenAt > BLIND_AFTER
    this.renewedAt = sentAt
    this.seenAt = now
    this.leases.clear()
    for (const name of seen.leases) this.leases.add(name)
    const isGone = this.compare(seen.others, now, wasBlind)
    const removed = await this.removeDead(now)
    const free = [...this.claims].filter((name) => !this.leases.has(name) && !seen.foreignLeases.includes(name))
    const gained = free.length > 0 && (await this.take(free))
    const isSearch = clock.monotonic() - this.searchedAt > SEARCH_EVERY
    if (isSearch) this.searchedAt = clock.monotonic()
    if (isGone || removed || gained || isSearch) this.notify()
  }

  /**
   * Compares the rows of the other nodes with those of the last time.
   * @param now when they were read; monotonic milliseconds
   * @param wasBlind their rows may have been renewed, and stood still, while this node saw nothing
   * @returns whether a node is gone
   */
  private compare(seen: NodesSeen['others'], now: number, wasBlind: boolean): boolean {
    const names = new Set(seen.map(({ name }) => name))
    const goneNames = [...this.others.keys()].filter((name) => !names.has(name))
    for (const name of goneNames) this.others.delete(name)
    for (const { name, renewals } of seen)
      if (wasBlind || this.others.get(name)?.renewals !== renewals) this.others.set(name, { renewals, since: now })
    return goneNames.length > 0
  }

  /** Removes the nodes whose rows stood still for too long. @returns whether there was one */
  private async removeDead(now: number): Promise<boolean> {
    const { log, store } = this.options
    let removed = false
    for (const [name, { renewals, since }] of this.others) {
      if (now - since < DEAD_AFTER) continue
      this.others.delete(name)
      if (!(await store.removeNode(name, renewals))) continue
      log.warn({ event: 'node.dead', target: name })
      removed = true
    }
    return removed
  }

  /** @returns whether this node got one of the leases */
  private async take(names: readonly string[]): Promise<boolean> {
    const got = await this.options.store.claimLeases(names)
    const gained = got.filter((name) => this.claims.has(name) && !this.leases.has(name))
    for (const name of gained) this.leases.add(name)
    return gained.length > 0
  }

  private notify(): void {
    for (const listener of this.listeners) listener()
  }

  /** Runs work with the database. While it fails, the first failure is logged: others follow several times a second. */
  private async attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
      this.isFailing = false
    } catch (error) {
      if (!this.isFailing) this.options.log.error({ event: 'node.not_renewed', err: error })
      this.isFailing = true
    }
  }
}
