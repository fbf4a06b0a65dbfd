import { Problem } from '../problem.ts'

/** `slow`: a check that takes far longer than one of our own hashes. */
export type HashSpeed = 'slow' | 'fast'

interface QueuedJob {
  speed: HashSpeed
  start(): void
}

/**
 * A concurrency limiter with a bounded queue: one job per core, the others wait, and a full queue sheds load. Slow jobs
 * may use at most half of the cores and half of the queue (but at least one of each), so that a flood of them leaves the
 * other half to fast jobs.
 */
export class HashQueue {
  private queue: QueuedJob[] = []
  private active = { all: 0, slow: 0 }
  private refused = 0

  /** @param capacity how many jobs may wait */
  constructor(
    private readonly cores: number,
    private readonly capacity: number,
  ) {}

  /** The number of jobs that wait for a core. */
  get waiting(): number {
    return this.queue.length
  }

  /** The number of jobs that run. */
  get running(): number {
    return this.active.all
  }

  /** How many jobs were refused so far, because too many waited. */
  get shed(): number {
    return this.refused
  }

  /**
   * Runs a job as soon as a core is free for it.
   * @throws Problem `overloaded` when the queue is full; whatever the job throws
   */
  async run<T>(speed: HashSpeed, job: () => Promise<T>): Promise<T> {
    if (this.hasCoreFor(speed)) this.count(speed, 1)
    else await this.enqueue(speed)
    try {
      return await job()
    } finally {
      this.count(speed, -1)
      this.startNext(speed)
    }
  }

  private enqueue(speed: HashSpeed): Promise<void> {
    const slowJobs = this.queue.filter((queued) => queued.speed === 'slow').length
    if (this.queue.length >= this.capacity || (speed === 'slow' && slowJobs >= half(this.capacity))) {
      this.refused++
      throw new Problem('overloaded', { retryAfter: 2 })
    }
    return new Promise((start) => this.queue.push({ speed, start }))
  }

  /** Starts jobs in order of arrival. After a slow job a fast one goes first, which matters on a single core. */
  private startNext(finished: HashSpeed): void {
    const fast = finished === 'slow' ? this.queue.find(({ speed }) => speed === 'fast') : undefined
    const next = fast ?? this.queue.find(({ speed }) => this.hasCoreFor(speed))
    if (!next) return
    this.queue = this.queue.filter((queued) => queued !== next)
    this.count(next.speed, 1)
    next.start()
  }

  private hasCoreFor(speed: HashSpeed): boolean {
    return this.active.all < this.cores && !(speed === 'slow' && this.active.slow >= half(this.cores))
  }

  private count(speed: HashSpeed, change: 1 | -1): void {
    this.active.all += change
    if (speed === 'slow') this.active.slow += change
  }
}

function half(total: number): number {
  return Math.max(1, Math.floor(total / 2))
}
