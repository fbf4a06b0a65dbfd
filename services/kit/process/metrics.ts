type Read = () => number | Promise<number>

interface Sample {
  labels: Record<string, string | number>
  value: number
  metricName?: string
}

/** A histogram of the durations of one kind of request. */
interface RequestHistogram {
  labels: { service: string; method: string; route: string; status: number }
  /** Requests by the first bucket that each falls into; the last bucket has no upper bound. */
  buckets: number[]
  /** Seconds. */
  sum: number
}

const REQUESTS = 'http_request_duration_seconds'
/** Seconds. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2]

/**
 * The metrics of a process and all its services, in the text format of Prometheus. The library only writes the text, so it
 * is loaded at the first scrape.
 */
export class MetricsRegistry {
  private readonly requests: RequestHistogram[] = []
  private readonly reads = new Map<string, { help: string; by: Map<string, Read> }>()
  private readonly counts = new Map<string, { help: string; samples: Sample[] }>()

  constructor() {
    this.gauge('ch202', 'process_resident_memory_bytes', 'Resident memory in bytes', () => process.memoryUsage.rss())
    this.gauge('ch202', 'process_uptime_seconds', 'Seconds since the start', () => process.uptime())
  }

  /** Creates the histogram of one kind of request. */
  histogram(labels: RequestHistogram['labels']): RequestHistogram {
    const histogram = { labels, buckets: new Array<number>(BUCKETS.length + 1).fill(0), sum: 0 }
    this.requests.push(histogram)
    return histogram
  }

  /** Adds a value of a service that is read at each scrape. */
  gauge(service: string, name: string, help: string, read: Read): void {
    const gauge = this.reads.get(name)
    if (gauge) gauge.by.set(service, read)
    else this.reads.set(name, { help, by: new Map([[service, read]]) })
  }

  /** Adds a counter with one label, whose values all start at 0. @returns a function that increments a value */
  counter<Value extends string>(
    { service, name, help, label }: { service: string; name: string; help: string; label: string },
    values: readonly Value[],
  ): (value: Value) => void {
    const all = this.counts.get(name) ?? { help, samples: [] }
    this.counts.set(name, all)
    const samples = new Map(values.map((value) => [value, { labels: { service, [label]: value }, value: 0 }]))
    all.samples.push(...samples.values())
    return (value) => {
      const sample = samples.get(value)
      if (sample) sample.value++
    }
  }

  /** Reads all metrics. @returns the text of a scrape */
  async text(): Promise<string> {
    const { Registry } = await import('prom-client')
    const registry = new Registry()
    const add = (name: string, type: string, help: string, get: () => Promise<Sample[]> | Sample[]) =>
      registry.registerMetric({ name, get: async () => ({ name, help, type, values: await get() }) } as never)
    add(REQUESTS, 'histogram', 'Time to answer requests, in seconds', () => this.requests.flatMap(samplesOf))
    for (const [name, { help, samples }] of this.counts) add(name, 'counter', help, () => samples)
    for (const [name, { by, help }] of this.reads)
      add(name, 'gauge', help, () =>
        Promise.all([...by].map(async ([service, read]) => ({ labels: { service }, value: await read() }))),
      )
    return await registry.metrics()
  }
}

/** The samples of a Prometheus histogram: each bucket includes the buckets below it. */
function samplesOf({ buckets, labels, sum }: RequestHistogram): Sample[] {
  let count = 0
  const cumulative = buckets.map((requests, index) => {
    count += requests
    return { metricName: `${REQUESTS}_bucket`, labels: { le: BUCKETS[index] ?? '+Inf', ...labels }, value: count }
  })
  return [
    ...cumulative,
    { metricName: `${REQUESTS}_sum`, labels, value: sum },
    { metricName: `${REQUESTS}_count`, labels, value: count },
  ]
}

/** The metrics of one service. Labels are patterns and codes, never ids or emails. */
export class Metrics {
  private readonly byRoute = new Map<string, RequestHistogram[]>()

  constructor(
    private readonly service: string,
    private readonly all: MetricsRegistry,
  ) {}

  /** Counts a request. @param ms its duration in milliseconds */
  request(method: string, route: string, status: number, ms: number): void {
    let histograms = this.byRoute.get(route)
    if (!histograms) {
      histograms = []
      this.byRoute.set(route, histograms)
    }
    let histogram = histograms.find(({ labels }) => labels.method === method && labels.status === status)
    if (!histogram) {
      histogram = this.all.histogram({ service: this.service, method, route: route || 'none', status })
      histograms.push(histogram)
    }
    const seconds = ms / 1000
    const bounded = BUCKETS.findIndex((most) => seconds <= most)
    const bucket = bounded < 0 ? BUCKETS.length : bounded
    histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1
    histogram.sum += seconds
  }

  /** Adds a counter with one label. @returns a function that increments a value */
  counter<Value extends string>(name: string, help: string, label: string, values: readonly Value[]) {
    return this.all.counter({ service: this.service, name, help, label }, values)
  }

  /** Adds a value that is read at each scrape. */
  gauge(name: string, help: string, read: Read): void {
    this.all.gauge(this.service, name, help, read)
  }

  /** Reads the metrics of all services of the process, because a scrape is of a process. */
  text(): Promise<string> {
    return this.all.text()
  }
}
