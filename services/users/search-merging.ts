import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../kit/log.ts'
import type { UsersStore } from './store.ts'

/** Milliseconds between two looks at whether there is anything to do. */
const EVERY = 5000
/** After each part, for whoever else wants to write. */
const PAUSE = 10

/**
 * Keeps the index of the search in few pieces, beside the requests: each change adds one, and a search looks into all of
 * them. After an import of a million users it is a few seconds' work.
 */
export class SearchMerging {
  private timer: ReturnType<typeof setInterval> | undefined
  private working: Promise<void> | undefined
  private stopped = false
  private failed = false

  constructor(
    private readonly store: Pick<UsersStore, 'mergeSearch'>,
    private readonly log: Log,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      this.working ??= this.work().finally(() => {
        this.working = undefined
      })
    }, EVERY)
  }

  /** Resolves when the part that is under way is done. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    await this.working
  }

  private async work(): Promise<void> {
    try {
      while (!this.stopped && (await this.store.mergeSearch())) await sleep(PAUSE)
      this.failed = false
    } catch (error) {
      // Once: it is tried again, and a disk may be full for long.
      if (!this.failed) this.log.warn({ event: 'search.merging_failed', err: error })
      this.failed = true
    }
  }
}
