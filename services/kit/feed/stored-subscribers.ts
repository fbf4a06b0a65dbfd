import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { DatabaseUnavailable } from '../database-unavailable.ts'
import { Signal, withTimeout } from '../timeout.ts'
import { FEED_LEASE } from './subscriber.ts'

/** A subscriber of a feed that several nodes publish, as it is stored. */
export interface StoredSubscriber {
  /** Identifies one run of one service. */
  name: string
  /** The last change that the subscriber has acknowledged. */
  acked: number
  /** A number that each poll of the subscriber changes. */
  renewal: number
}

/**
 * A poll that is stored. A server that has it is up to date with everything that was committed before it: an old primary,
 * from which a node still reads after a failover, lacks the polls that the new one has.
 */
export type Acknowledgement = Pick<StoredSubscriber, 'name' | 'renewal'>

/** The subscribers of a feed, in the database that its nodes share. Each method is one transaction. */
export interface SubscriberStore {
  /** Records a poll: what it acknowledges, and that its subscriber is running. */
  acknowledge(name: string, acked: number): Promise<Acknowledgement>
  /** Reads the subscribers, with the number of the last change of the feed that the same server has. */
  subscribers(): Promise<{ lastSeq: number; rows: StoredSubscriber[] }>
  /** Removes a subscriber, unless it has polled since it had this `renewal`. @param renewal null: in any case */
  removeSubscriber(name: string, renewal: number | null): Promise<void>
}

/** Milliseconds between two reads of the subscribers while a writer waits. */
export const READ_EVERY = 4
/** Milliseconds between two checks of the leases: the end of a lease notifies nobody. */
const LEASE_CHECK = 20
/** Milliseconds without an answer of the database after which it counts as lost while a writer waits. */
const SILENT_AFTER = 300
/** Milliseconds without a poll after which a subscriber is removed; its lease ended long before. */
const REMOVED_AFTER = 10_000

/**
 * Waits for the subscribers of a feed that several nodes publish. A poll is written before it is answered, so the rows
 * show who may hold a lease. Only this node's monotonic clock is read: the times of two machines are never compared.
 */
export class StoredSubscribers {
  /** For each subscriber, when this node first read its current `renewal`; monotonic milliseconds. */
  private readonly renewals = new Map<string, { renewal: number; since: number }>()
  private readonly reads = new Signal()
  /** How many reads have begun. */
  private begun = 0
  /** The newest result, with the number of its read. */
  private latest: { read: number; lastSeq: number; rows: readonly StoredSubscriber[] } = {
    read: 0,
    lastSeq: 0,
    rows: [],
  }
  /** When the newest result arrived; monotonic milliseconds. */
  private readAt = Number.NEGATIVE_INFINITY
  private waiting = 0
  private isReading = false

  constructor(
    private readonly store: SubscriberStore,
    private readonly clock: Clock,
  ) {}

  /** Records a poll. A page for it must be read after this resolves, from a server that has the acknowledgement. */
  acknowledge(name: string, acked: number): Promise<Acknowledgement> {
    return this.store.acknowledge(name, acked)
  }

  /** Removes a subscriber that checks nothing any more: no writer waits for it. @throws when the store fails */
  leave(name: string): Promise<void> {
    return this.store.removeSubscriber(name, null)
  }

  /**
   * Resolves when all subscribers have acknowledged `seq` or lost their leases. Call it after the commit of the change:
   * then a poll that the rows do not show yet is answered with the change, and a lease that was granted without it ends
   * within `FEED_LEASE`.
   * @param concerns selects the subscribers of one feed, by their names
   * @throws DatabaseUnavailable when the database was lost meanwhile: no node can tell of the change, and subscribers without
   * a lease decide by what they know
   */
  async waitForAcks(seq: number, concerns: (name: string) => boolean): Promise<void> {
    const [since, before] = [this.clock.monotonic(), this.begun]
    this.waiting++
    if (!this.isReading) void this.readWhileAwaited()
    try {
      while (this.clock.monotonic() - since < FEED_LEASE) {
        // A read that had begun earlier may not show a subscriber whose lease covers the change.
        if (this.latest.read > before && this.isAcknowledged(seq, concerns)) return
        await this.reads.next(LEASE_CHECK)
      }
      if (this.clock.monotonic() - this.readAt > SILENT_AFTER && !(await this.isReadable()))
        throw new DatabaseUnavailable('PostgreSQL was lost before every subscriber knew of the change', 'NOT_CONFIRMED')
    } finally {
      this.waiting--
    }
  }

  /** Reads the subscribers, and removes those that have stopped polling. @throws when the store fails */
  async read(): Promise<readonly StoredSubscriber[]> {
    const read = ++this.begun
    const { lastSeq, rows } = await this.store.subscribers()
    const now = this.clock.monotonic()
    const names = new Set(rows.map(({ name }) => name))
    for (const name of this.renewals.keys()) if (!names.has(name)) this.renewals.delete(name)
    for (const { name, renewal } of rows)
      if (this.renewals.get(name)?.renewal !== renewal) this.renewals.set(name, { renewal, since: now })
    if (read > this.latest.read) {
      this.latest = { read, lastSeq, rows }
      this.readAt = now
    }
    this.reads.notify()
    for (const { name, renewal } of rows)
      if (this.idleTime(name) >= REMOVED_AFTER) await this.store.removeSubscriber(name, renewal)
    return rows
  }

  private async isReadable(): Promise<boolean> {
    const reading = this.read().then(
      () => true,
      () => false,
    )
    return (await withTimeout(reading, SILENT_AFTER)) ?? false
  }

  private async readWhileAwaited(): Promise<void> {
    this.isReading = true
    while (this.waiting > 0) {
      await this.read().catch(() => undefined)
      await sleep(READ_EVERY)
    }
    this.isReading = false
  }

  private isAcknowledged(seq: number, concerns: (name: string) => boolean): boolean {
    // Without the change, the rows are those of an old primary: subscribers may have polled the new one since.
    if (this.latest.lastSeq < seq) return false
    return this.latest.rows.every(
      ({ acked, name }) => acked >= seq || !concerns(name) || this.idleTime(name) >= FEED_LEASE,
    )
  }

  /** Milliseconds for which the subscriber is certain not to have polled. */
  private idleTime(name: string): number {
    return this.clock.monotonic() - (this.renewals.get(name)?.since ?? Number.POSITIVE_INFINITY)
  }
}
