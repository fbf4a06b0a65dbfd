import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../kit/log.ts'
import type { UsersStore } from './store.ts'

/** Milliseconds between two checks. */
const INTERVAL_MS = 5000
/** Milliseconds between two parts of the work, in which others can write. */
const PAUSE_MS = 10

/**
 * Merges the segments of the search index in the background: each change adds a segment, and a search reads all of
 * them. After an import of a million users this takes a few seconds.
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
    }, INTERVAL_MS)
  }

  /** Resolves when the current part of the work is done. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    await this.working
  }

  private async work(): Promise<void> {
    try {
      while (!this.stopped && (await this.store.mergeSearch())) await sleep(PAUSE_MS)
      this.failed = false
    } catch (error) {
      // Logged once: the work is retried, and a disk may stay full for hours.
      if (!this.failed) this.log.warn({ event: 'search.merging_failed', err: error })
      this.failed = true
    }
  }
}
