import { Problem } from '../problem.ts'

/** What waits for its turn. */
interface Waiting {
  long: boolean
  begin(): void
}

/**
 * Turns at the cores: as many at once as there are, the others in a bounded line that sheds load. Work that takes long
 * has at most half of the turns, and half of the line (but one at least), so that a flood of it leaves the other half
 * to what is quick.
 */
export class HashQueue {
  private line: Waiting[] = []
  private running = { all: 0, long: 0 }

  /** @param most how many may wait */
  constructor(
    private readonly cores: number,
    private readonly most: number,
  ) {}

  /** How many wait. */
  get waiting(): number {
    return this.line.length
  }

  /**
   * Does the work when its turn comes.
   * @throws Problem `overloaded` when too many wait already, and what the work throws
   */
  async take<T>(long: boolean, work: () => Promise<T>): Promise<T> {
    if (this.free(long)) this.count(long, 1)
    else await this.wait(long)
    try {
      return await work()
    } finally {
      this.count(long, -1)
      this.handOver(long)
    }
  }

  private wait(long: boolean): Promise<void> {
    const longOnes = this.line.filter((waiting) => waiting.long).length
    if (this.line.length >= this.most || (long && longOnes >= half(this.most)))
      throw new Problem('overloaded', { retryAfter: 2 })
    return new Promise((begin) => this.line.push({ long, begin }))
  }

  /** In order of arrival; but after long work the quick goes first, which matters where there is one core. */
  private handOver(afterLong: boolean): void {
    const quick = afterLong ? this.line.find(({ long }) => !long) : undefined
    const next = quick ?? this.line.find(({ long }) => this.free(long))
    if (!next) return
    this.line = this.line.filter((waiting) => waiting !== next)
    this.count(next.long, 1)
    next.begin()
  }

  private free(long: boolean): boolean {
    return this.running.all < this.cores && !(long && this.running.long >= half(this.cores))
  }

  private count(long: boolean, change: 1 | -1): void {
    this.running.all += change
    if (long) this.running.long += change
  }
}

function half(of: number): number {
  return Math.max(1, Math.floor(of / 2))
}
