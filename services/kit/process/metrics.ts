import { withTimeout } from '../timeout.ts'
import { RequestHistograms, type Sample } from './request-histograms.ts'

/** A value with labels besides that of its service. */
export interface LabelledValue {
  labels: Record<string, string>
  value: number
}

/** The value that a read gives at a scrape; undefined: it is not known at this moment. */
type Value = number | undefined | readonly LabelledValue[]
type Read = () => Value | Promise<Value>

interface ReadMetric {
  type: 'gauge' | 'counter'
  help: string
  by: Map<string, Read>
}

/** The service that a value of the whole process has as its label. */
const PROCESS = 'ch202'
/** Milliseconds that a scrape waits for one value. Prometheus waits ten seconds for all. */
const PATIENCE = 5000

/**
 * The metrics of a process and all its services, in the text format of Prometheus. The library only writes the text, so it
 * is loaded at the first scrape.
 */
export class MetricsRegistry {
  readonly requests = new RequestHistograms()
  private readonly reads = new Map<string, ReadMetric>()
  private readonly counts = new Map<string, { help: string; samples: Sample[] }>()

  constructor() {
    const name = 'ch202_process_resident_memory_bytes'
    this.read('gauge', PROCESS, { name, help: 'Resident memory in bytes' }, () => process.memoryUsage.rss())
    const uptime = { name: 'ch202_process_uptime_seconds', help: 'Seconds since the start' }
    this.read('gauge', PROCESS, uptime, () => process.uptime())
  }

  /** Adds a value that is read at each scrape. */
  read(type: ReadMetric['type'], service: string, { help, name }: { name: string; help: string }, read: Read): void {
    const metric = this.reads.get(name) ?? { type, help, by: new Map() }
    this.reads.set(name, metric)
    metric.by.set(service, read)
  }

  /** Adds one line of a counter, which starts at 0. @returns the line, to increment its value */
  count({ help, name }: { name: string; help: string }, labels: Sample['labels']): Sample {
    const metric = this.counts.get(name) ?? { help, samples: [] }
    this.counts.set(name, metric)
    const sample = { labels, value: 0 }
    metric.samples.push(sample)
    return sample
  }

  /** Reads all metrics, except values that cannot be read in time. @returns the text of a scrape */
  async text(): Promise<string> {
    const { Registry } = await import('prom-client')
    const registry = new Registry()
    const add = (name: string, type: string, help: string, get: () => Promise<Sample[]> | Sample[]) =>
      registry.registerMetric({ name, get: async () => ({ name, help, type, values: await get() }) } as never)
    const { requests } = this
    add(requests.name, 'histogram', requests.help, () => requests.samples())
    for (const [name, { help, samples }] of this.counts) add(name, 'counter', help, () => samples)
    for (const [name, { by, help, type }] of this.reads)
      add(name, type, help, async () => (await Promise.all([...by].map(readSamples))).flat())
    return await registry.metrics()
  }
}

async function readSamples([service, read]: [string, Read]): Promise<Sample[]> {
  const value = await withTimeout(
    Promise.resolve()
      .then(read)
      // The database is away: `ch202_ready` shows it.
      .catch(() => undefined),
    PATIENCE,
  )
  if (value === undefined) return []
  if (typeof value === 'number') return [{ labels: { service }, value }]
  return value.map(({ labels, value }) => ({ labels: { service, ...labels }, value }))
}

/** The metrics of one service. Labels are patterns and codes, never ids or emails. */
export class Metrics {
  private readonly polls = new Map<string, Sample>()

  constructor(
    private readonly service: string,
    private readonly all: MetricsRegistry,
  ) {}

  /** Counts a request. @param ms its duration in milliseconds */
  request(method: string, route: string, status: number, ms: number): void {
    this.all.requests.add({ service: this.service, method, route: route || 'none', status }, ms)
  }

  /** Counts a poll that was held until there was something to answer: how long that took says nothing about the service. */
  poll(route: string, status: number): void {
    const key = `${status} ${route}`
    let sample = this.polls.get(key)
    if (!sample) {
      const metric = { name: 'ch202_feed_polls_total', help: 'Polls of a feed, which are held until there is a change' }
      sample = this.all.count(metric, { service: this.service, route, status })
      this.polls.set(key, sample)
    }
    sample.value++
  }

  /**
   * Adds a counter with one label, whose values all start at 0.
   * @param fixed further labels. Counters of one name have the same ones
   * @returns a function that increments a value
   */
  counter<Outcome extends string>(
    metric: { name: string; help: string },
    label: string,
    values: readonly Outcome[],
    fixed: Record<string, string> = {},
  ): (value: Outcome) => void {
    const { service } = this
    const samples = new Map(
      values.map((value) => [value, this.all.count(metric, { service, ...fixed, [label]: value })]),
    )
    return (value) => {
      const sample = samples.get(value)
      if (sample) sample.value++
    }
  }

  /** Adds a value that is read at each scrape. */
  gauge(name: string, help: string, read: Read): void {
    this.all.read('gauge', this.service, { name, help }, read)
  }

  /** Reads the metrics of all services of the process, because a scrape is of a process. */
  text(): Promise<string> {
    return this.all.text()
  }
}

/** The queue of password hashes, which all services of a process share. */
interface HashQueueLoad {
  readonly waiting: number
  readonly running: number
  readonly shed: number
}

/** Adds the metrics of the queue of password hashes. */
export function addHashQueueMetrics(all: MetricsRegistry, queue: HashQueueLoad): void {
  const add = (type: 'gauge' | 'counter', name: string, help: string, read: Read) =>
    all.read(type, PROCESS, { name: `ch202_hash_queue_${name}`, help }, read)
  add('gauge', 'waiting', 'Password hashes that wait for a core', () => queue.waiting)
  add('gauge', 'running', 'Password hashes that a core works on', () => queue.running)
  add('counter', 'shed_total', 'Password hashes that were refused, because too many waited', () => queue.shed)
}
