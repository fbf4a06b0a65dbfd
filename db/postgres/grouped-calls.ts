import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'

/** Calls that share a transaction at most. */
const MOST = 200

interface Waiting<Call, Result> {
  call: Call
  /** When it was added, by the monotonic clock. */
  since: number
  resolve(result: Result): void
  reject(error: unknown): void
}

/** Calls of one write. Those that arrive while earlier ones run wait for them, and then run together. */
export class GroupedCalls<Call, Result> {
  private waiting: Waiting<Call, Result>[] = []
  private isRunning = false

  /**
   * @param run runs calls in one transaction, and gives a result for each; `since`: when the first was added
   * @param keyOf calls with the same key run one after another
   */
  constructor(
    private readonly run: (calls: readonly Call[], since: number) => Promise<readonly Result[]>,
    private readonly keyOf: (call: Call) => string,
  ) {}

  add(call: Call): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ call, since: performance.now(), resolve, reject })
      if (this.isRunning) return
      this.isRunning = true
      // Other requests of this turn of the event loop join.
      setImmediate(() => void this.runAll())
    })
  }

  private async runAll(): Promise<void> {
    while (this.waiting.length > 0) await this.runTogether(this.takeGroup())
    this.isRunning = false
  }

  /** Takes calls in their order, each key once. */
  private takeGroup(): Waiting<Call, Result>[] {
    const keys = new Set<string>()
    const group: Waiting<Call, Result>[] = []
    const others: Waiting<Call, Result>[] = []
    for (const each of this.waiting) {
      const key = this.keyOf(each.call)
      if (group.length < MOST && !keys.has(key)) group.push(each)
      else others.push(each)
      keys.add(key)
    }
    this.waiting = others
    return group
  }

  private async runTogether(group: readonly Waiting<Call, Result>[]): Promise<void> {
    try {
      const results = await this.run(
        group.map(({ call }) => call),
        group[0]?.since ?? performance.now(),
      )
      for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result)
    } catch (error) {
      if (error instanceof DatabaseUnavailable || group.length === 1) {
        for (const { reject } of group) reject(error)
        return
      }
      // One of the calls failed, and none was stored: each runs alone, so that only that one fails.
      for (const each of group) await this.runTogether([each])
    }
  }
}
