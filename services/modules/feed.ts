import type { ModulePage } from '../kit/access/module-gate.ts'
import type { Clock } from '../kit/clock.ts'
import { FeedPublisher, type Poll, unknownLeasesUntil } from '../kit/feed/publisher.ts'
import { Problem } from '../kit/problem.ts'
import type { ModulesStore } from './store.ts'

/** The most choices in a page. */
const PAGE_SIZE = 2000

type FeedStore = Pick<ModulesStore, 'changesAfter' | 'epoch' | 'lastChange' | 'servedBefore'>

/**
 * The feeds of the modules. A subscriber of a module's feed knows for whom the module is on, and decides by itself (see
 * `FeedPublisher`). A feed begins with all choices that were made, in pages, and continues with those that change: each
 * choice in the order of its last change, with its current value.
 */
export class ModuleFeed {
  private readonly publishers = new Map<string, FeedPublisher>()
  /** When the last lease that an earlier process granted, of any module, has ended; monotonic milliseconds. */
  private readonly unknownLeasesUntil: number
  private closed = false

  constructor(private readonly options: { store: FeedStore; clock: Clock }) {
    const { clock, store } = options
    this.unknownLeasesUntil = unknownLeasesUntil(clock, store.servedBefore)
  }

  /** Answers a poll about a module, even one that does not exist. @throws Problem `modules_unavailable` when stopping */
  async poll(id: string, poll: Poll): Promise<ModulePage> {
    const { epoch } = this.options.store
    const publisher = await this.publisherOf(id)
    if (this.closed) throw new Problem('modules_unavailable')
    return await publisher.answer(poll, epoch, async (from, upTo) => {
      const continued = poll.epoch === epoch && poll.after === from
      const page = await this.pageAfter(id, from, continued)
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
    await Promise.all([...this.publishers.keys()].map((id) => this.announce(id)))
  }

  /** Answers the polls that are held, so that the server can stop. */
  close(): void {
    this.closed = true
    for (const publisher of this.publishers.values()) publisher.answerHeldPolls()
  }

  /** Forgets subscribers that stopped polling long ago. */
  prune(): void {
    for (const [id, publisher] of this.publishers) {
      publisher.prune()
      if (publisher.isEmpty) this.publishers.delete(id)
    }
  }

  /** @param continued whether the subscriber has everything up to `from`; otherwise the page starts over */
  private async pageAfter(id: string, from: number, continued: boolean): Promise<ModulePage> {
    const { store } = this.options
    const next = await store.changesAfter(id, from, PAGE_SIZE)
    const reset = !continued || from < next.begun
    const { choices, module, seq } = reset && from > 0 ? await store.changesAfter(id, 0, PAGE_SIZE) : next
    return {
      epoch: store.epoch,
      seq,
      complete: choices.length < PAGE_SIZE,
      reset,
      module: module && { default: module.defaultEnabled, roles: module.requiredRoles },
      choices: choices.map(({ enabled, userId }) => ({ user: userId, enabled })),
    }
  }

  /** The publisher of a module, advanced to the last change that is stored. */
  private async publisherOf(id: string): Promise<FeedPublisher> {
    const last = await this.options.store.lastChange(id)
    let publisher = this.publishers.get(id)
    if (!publisher) {
      publisher = new FeedPublisher(this.options.clock, this.unknownLeasesUntil)
      this.publishers.set(id, publisher)
    }
    publisher.advance(last)
    return publisher
  }
}
