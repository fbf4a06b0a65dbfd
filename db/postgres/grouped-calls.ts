import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'

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
   * @param keysOf calls that share a key run one after another
   * @param most calls that share a transaction at most
   */
  constructor(
    private readonly run: (calls: readonly Call[], since: number) => Promise<readonly Result[]>,
    private readonly keysOf: (call: Call) => string | readonly string[],
    private readonly most: number,
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

  /** Takes calls in their order, each key once. A call that must wait holds up later ones that share a key with it. */
  private takeGroup(): Waiting<Call, Result>[] {
    const keys = new Set<string>()
    const group: Waiting<Call, Result>[] = []
    const others: Waiting<Call, Result>[] = []
    for (const each of this.waiting) {
      const keysOfCall = [this.keysOf(each.call)].flat()
      if (group.length < this.most && !keysOfCall.some((key) => keys.has(key))) group.push(each)
      else others.push(each)
      for (const key of keysOfCall) keys.add(key)
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
      // One of the calls failed, and none was stored: each half runs by itself, until only that one fails.
      const middle = group.length >> 1
      await this.runTogether(group.slice(0, middle))
      await this.runTogether(group.slice(middle))
    }
  }
}
