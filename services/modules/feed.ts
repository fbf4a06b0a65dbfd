import type { ModulePage } from '../kit/access/module-gate.ts'
import type { Clock } from '../kit/clock.ts'
import { FeedPublisher, type Poll, unknownLeasesUntil } from '../kit/feed/publisher.ts'
import { Problem } from '../kit/problem.ts'
import type { ModulesStore } from './store.ts'

const PAGE = 2000

/**
 * The feed of the modules: a follower follows one of them, and so decides by itself for whom it is on (see `Followers`).
 * It begins with all that was chosen, in pages, and goes on with what changes: both are the choices in the order in which
 * they last changed, each as it is now.
 */
export class ModuleFeed {
  private readonly followed = new Map<string, FeedPublisher>()
  /** Followers of the run before, of whichever module. */
  private readonly strangersUntil: number
  private closed = false

  constructor(private readonly options: { store: ModulesStore; clock: Clock }) {
    const { clock, store } = options
    this.strangersUntil = unknownLeasesUntil(clock, store.servedBefore)
  }

  /** Answers a poll about a module, whether there is one or not. @throws Problem `modules_unavailable` in a stop */
  async poll(id: string, poll: Poll): Promise<ModulePage> {
    const { store } = this.options
    const followers = await this.followersOf(id)
    if (this.closed) throw new Problem('modules_unavailable')
    return await followers.answer(poll, store.epoch, async (from, upTo) => {
      const known = poll.epoch === store.epoch && poll.after === from
      const told = await this.news(id, known, from)
      // Where the last change was one of the module alone, the follower is past the last choice all the same.
      return { ...told, seq: told.complete ? Math.max(told.seq, upTo) : told.seq }
    })
  }

  /** What was changed of a module is known to every follower of it when this resolves. */
  async announce(id: string): Promise<void> {
    // Also where nothing was left to change: another request has just done it, and its answer and this one say the same.
    const followers = await this.followersOf(id)
    await followers.waitForAcks(followers.lastSeq)
  }

  /** The same of all modules. */
  async announceAll(): Promise<void> {
    await Promise.all([...this.followed.keys()].map((id) => this.announce(id)))
  }

  /** Answers the polls that are held, so that a server can stop. */
  close(): void {
    this.closed = true
    for (const followers of this.followed.values()) followers.answerHeldPolls()
  }

  /** Forgets followers that have not polled for long. */
  prune(): void {
    for (const [id, followers] of this.followed) {
      followers.prune()
      if (followers.isEmpty) this.followed.delete(id)
    }
  }

  private async news(id: string, known: boolean, from: number): Promise<ModulePage> {
    const { store } = this.options
    const news = await store.changesAfter(id, from, PAGE)
    const reset = !known || from < news.begun
    const { choices, module, seq } = reset && from > 0 ? await store.changesAfter(id, 0, PAGE) : news
    return {
      epoch: store.epoch,
      seq,
      complete: choices.length < PAGE,
      reset,
      module: module && { default: module.defaultEnabled, roles: module.requiredRoles },
      choices: choices.map(({ enabled, userId }) => ({ user: userId, enabled })),
    }
  }

  /** Those of a module, who can hear of all that was written so far. */
  private async followersOf(id: string): Promise<FeedPublisher> {
    const last = await this.options.store.lastChange(id)
    let followers = this.followed.get(id)
    if (!followers) {
      followers = new FeedPublisher(this.options.clock, this.strangersUntil)
      this.followed.set(id, followers)
    }
    followers.advance(last)
    return followers
  }
}
