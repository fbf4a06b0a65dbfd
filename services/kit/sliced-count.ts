import type { Clock } from './clock.ts'

/** A part of a large table, in the order of its keys. */
export interface CountedSlice {
  /** How many of its rows are counted. */
  count: number
  /** How many rows it has. */
  seen: number
  /** The key of its last row; null: it has none. */
  last: string | null
}

/** Rows of one slice: reading them takes some milliseconds, between which other requests are answered. */
export const SLICE = 2000
/** Milliseconds between two slices. */
const BETWEEN = 2
/** How many times as long as a count of several slices took no other begins. */
const REST = 20

/**
 * Counts rows of a table that may have millions, without an index for it. A table of one slice is counted whenever someone
 * asks. A larger one is counted in the background, in a twentieth of the time: whoever asks gets the last number.
 */
export class SlicedCount {
  private number: number | undefined
  private isCounting = false
  /** The slices of the last count. */
  private slices = 0
  /** Monotonic milliseconds. */
  private notBefore = Number.NEGATIVE_INFINITY

  /** @param readSlice reads the first `limit` rows after a key */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly readSlice: (after: string, limit: number) => Promise<CountedSlice>,
  ) {}

  /** Gives the number; undefined: it is not known yet, or the database is away. */
  async read(): Promise<number | undefined> {
    if (this.isCounting || this.clock.monotonic() < this.notBefore) return this.number
    const { promise, resolve } = Promise.withResolvers<void>()
    void this.count(resolve)
    await promise
    return this.number
  }

  /** @param afterFirst is called after the first slice */
  private async count(afterFirst: () => void): Promise<void> {
    const startedAt = this.clock.monotonic()
    this.isCounting = true
    try {
      this.number = await this.sum(afterFirst)
    } catch {
      this.number = undefined
    }
    const now = this.clock.monotonic()
    if (this.slices > 1) this.notBefore = now + REST * (now - startedAt)
    this.isCounting = false
    afterFirst()
  }

  private async sum(afterFirst: () => void): Promise<number> {
    let total = 0
    this.slices = 0
    for (let after = ''; ; ) {
      this.slices++
      const { count, last, seen } = await this.readSlice(after, SLICE)
      total += count
      if (seen < SLICE || last === null) return total
      after = last
      afterFirst()
      await Bun.sleep(BETWEEN)
    }
  }
}
