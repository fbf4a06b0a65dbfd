/** Suspends a process: calls `resume` when it continues. */
export type Wait = (resume: () => void) => void
/** The steps of a process, which yields where it waits. */
export type Process<Result = void> = Generator<Wait, Result, void>

interface Entry {
  time: number
  /** Entries of the same time run in the order in which they were added. */
  order: number
  run: () => void
}

/** Runs processes in simulated time. Two runs with the same seed are equal. Times are milliseconds. */
export class Simulation {
  now = 0
  private order = 0
  private readonly heap: Entry[] = []

  constructor(private seed: number) {}

  /** A number from 0 to 1. */
  random(): number {
    // mulberry32
    this.seed = (this.seed + 0x6d2b79f5) | 0
    let bits = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** A duration around a mean, as the times between independent events. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.random())
  }

  start(process: Process<unknown>): void {
    const step = () => {
      const { done, value } = process.next()
      if (!done) value(step)
    }
    step()
  }

  sleep(ms: number): Wait {
    return (resume) => this.at(this.now + ms, resume)
  }

  at(time: number, run: () => void): void {
    this.push({ time, order: this.order++, run })
  }

  run(until: number): void {
    for (let first = this.heap[0]; first && first.time <= until; first = this.heap[0]) {
      this.pop()
      this.now = first.time
      first.run()
    }
    this.now = until
  }

  private push(entry: Entry): void {
    const { heap } = this
    let index = heap.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent] as Entry
      if (!isBefore(entry, above)) break
      heap[index] = above
      index = parent
    }
    heap[index] = entry
  }

  private pop(): void {
    const { heap } = this
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (!isBefore(heap[child] as Entry, last)) break
      heap[index] = heap[child] as Entry
      index = child
    }
    heap[index] = last
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order)
}

/** Cores that processes share, first come, first served. */
export class Cores {
  /** Milliseconds of work done. */
  busy = 0
  private free: number
  private readonly queue: (() => void)[] = []

  constructor(
    private readonly simulation: Simulation,
    readonly count: number,
  ) {
    this.free = count
  }

  *use(ms: number): Process {
    if (this.free > 0) this.free--
    else yield (resume) => this.queue.push(resume)
    yield this.simulation.sleep(ms)
    this.busy += ms
    const next = this.queue.shift()
    if (next) next()
    else this.free++
  }
}

/** Lets processes wait for the next time something happens. */
export class SimulatedSignal {
  private waiting: (() => void)[] = []

  constructor(private readonly simulation: Simulation) {}

  /** Waits for the next `notify`, but no longer than `ms`. */
  next(ms: number): Wait {
    return (resume) => {
      let isOver = false
      const wake = () => {
        if (isOver) return
        isOver = true
        resume()
      }
      this.waiting.push(wake)
      this.simulation.at(this.simulation.now + ms, wake)
    }
  }

  notify(): void {
    const woken = this.waiting
    this.waiting = []
    for (const wake of woken) wake()
  }
}
