import { setTimeout as sleep } from 'node:timers/promises'
import type { ModulePage } from '../kit/access/module-gate.ts'
import type { Clock } from '../kit/clock.ts'
import { FeedPublisher, type Poll, type Publisher, unknownLeasesUntil } from '../kit/feed/publisher.ts'
import { SharedFeedPublisher } from '../kit/feed/shared-publisher.ts'
import { type Acknowledgement, StoredSubscribers } from '../kit/feed/stored-subscribers.ts'
import type { Log } from '../kit/log.ts'
import type { ModulesStore } from './store.ts'

/** The most choices in a page. */
const PAGE_SIZE = 2000
/** Milliseconds between two reads of what other nodes published. */
const WATCH_EVERY = 25

type FeedStore = Pick<
  ModulesStore,
  'changesAfter' | 'epoch' | 'lastChange' | 'lastChangeOfAll' | 'servedBefore' | 'subscribers'
>

/**
 * The feeds of the modules. A subscriber of a module's feed knows for whom the module is on, and decides by itself (see
 * `FeedPublisher`). A feed begins with all choices that were made, in pages, and continues with those that change: each
 * choice in the order of its last change, with its current value.
 */
export class ModuleFeed {
  private readonly publishers = new Map<string, Publisher>()
  /** Null when this is the only node. */
  private readonly subscribers: StoredSubscribers | null
  private watching: Promise<void> = Promise.resolve()
  /** The last change of any module that this node has read. */
  private watchedUpTo = 0
  /** When the last lease that an earlier process granted, of any module, has ended; monotonic milliseconds. */
  private readonly unknownLeasesUntil: number
  private closed = false

  constructor(private readonly options: { store: FeedStore; clock: Clock; log: Log }) {
    const { clock, store } = options
    this.subscribers = store.subscribers && new StoredSubscribers(store.subscribers, clock)
    this.unknownLeasesUntil = unknownLeasesUntil(clock, store.servedBefore)
  }

  /** Starts to watch for changes that other nodes publish. */
  start(): void {
    if (this.subscribers) this.watching = this.watch()
  }

  /** Resolves when nothing is read any more. */
  stop(): Promise<void> {
    this.close()
    return this.watching
  }

  /** Answers a poll about a module, even one that does not exist. */
  async poll(id: string, poll: Poll): Promise<ModulePage> {
    const { epoch } = this.options.store
    const publisher = await this.publisherOf(id)
    if (this.closed) publisher.stopHolding()
    return await publisher.answer(poll, epoch, async (from, upTo, stored) => {
      const continued = poll.epoch === epoch && poll.after === from
      const page = await this.pageAfter(id, from, continued, stored)
      // The last change may have been one of the module itself, with a higher number than any choice.
      return { ...page, seq: page.complete ? Math.max(page.seq, upTo) : page.seq }
    })
  }

  /** Resolves when every subscriber of a module has acknowledged its last change, or lost its lease. */
  async announce(id: string): Promise<void> {
    // Waits even if the caller changed nothing: another request may have made the same change a moment ago, and both
    // answers say that it is in effect.
    const publisher = await this.publisherOf(id)
    await publisher.waitForAcks(publisher.lastSeq)
  }

  /** Announces the last changes of all modules that have subscribers. */
  async announceAll(): Promise<void> {
    const rows = (await this.subscribers?.read()) ?? []
    const ids = new Set([...this.publishers.keys(), ...rows.map(({ name }) => moduleIn(name))])
    await Promise.all([...ids].map((id) => this.announce(id)))
  }

  /** Answers the polls that are held, so that the server can stop. */
  close(): void {
    this.closed = true
    for (const publisher of this.publishers.values()) publisher.stopHolding()
  }

  /** Forgets subscribers that stopped polling long ago. @throws when the store fails */
  async prune(): Promise<void> {
    for (const [id, publisher] of this.publishers) {
      publisher.prune()
      if (publisher.isEmpty) this.publishers.delete(id)
    }
    await this.subscribers?.read()
  }

  /** @param continued whether the subscriber has everything up to `from`; otherwise the page starts over */
  private async pageAfter(id: string, from: number, continued: boolean, poll?: Acknowledgement): Promise<ModulePage> {
    const { store } = this.options
    const next = await store.changesAfter(id, from, PAGE_SIZE, poll)
    const reset = !continued || from < next.begun
    const { choices, module, seq } = reset && from > 0 ? await store.changesAfter(id, 0, PAGE_SIZE, poll) : next
    return {
      epoch: store.epoch,
      seq,
      complete: choices.length < PAGE_SIZE,
      reset,
      module: module && { default: module.defaultEnabled, roles: module.requiredRoles },
      choices: choices.map(({ enabled, userId }) => ({ user: userId, enabled })),
    }
  }

  /** Answers held polls when another node has published a change. Reads nothing while no subscriber polls this node. */
  private async watch(): Promise<void> {
    const { log, store } = this.options
    let isLost = false
    while (!this.closed) {
      await sleep(WATCH_EVERY)
      if (this.publishers.size === 0) continue
      try {
        const published = Math.max(...[...this.publishers.values()].map(({ lastSeq }) => lastSeq))
        const last = await store.lastChangeOfAll()
        // A failover lost changes.
        if (last < published) for (const publisher of this.publishers.values()) publisher.restart()
        if (last !== this.watchedUpTo || last < published)
          await Promise.all([...this.publishers.keys()].map((id) => this.publisherOf(id)))
        this.watchedUpTo = last
        isLost = false
      } catch (error) {
        if (!isLost) log.warn({ event: 'feed.lost', target: 'database', err: error })
        isLost = true
      }
    }
  }

  private newPublisher(id: string): Publisher {
    const { clock, store } = this.options
    const { subscribers } = this
    if (!subscribers) return new FeedPublisher(clock, this.unknownLeasesUntil)
    return new SharedFeedPublisher({
      clock,
      subscribers,
      nameOf: (subscriber) => nameIn(id, subscriber),
      concerns: (name) => moduleIn(name) === id,
      readLastSeq: () => store.lastChange(id),
    })
  }

  /** The publisher of a module, advanced to the last change that is stored. */
  private async publisherOf(id: string): Promise<Publisher> {
    const last = await this.options.store.lastChange(id)
    let publisher = this.publishers.get(id)
    if (!publisher) {
      publisher = this.newPublisher(id)
      this.publishers.set(id, publisher)
    }
    publisher.advance(last)
    return publisher
  }
}

/** Gives the name that the subscriber of a module's feed has in the store. */
function nameIn(module: string, subscriber: string): string {
  return `${module}/${subscriber}`
}

/** Gives the module of a subscriber in the store. The id of a module has no slash. */
function moduleIn(name: string): string {
  return name.slice(0, name.indexOf('/'))
}
