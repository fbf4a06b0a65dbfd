type Read = () => number | Promise<number>

interface Sample {
  labels: Record<string, string | number>
  value: number
  metricName?: string
}

/** How long requests of one kind took. */
interface Counted {
  labels: { service: string; method: string; route: string; status: number }
  /** By the first bucket that each falls into; the last is for all that took longer. */
  buckets: number[]
  /** Seconds. */
  sum: number
}

const REQUESTS = 'http_request_duration_seconds'
/** Seconds. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2]

/**
 * What a process counts, in the text format of Prometheus; the services of one process stand beside each other in it.
 * The library that writes the text is loaded when someone asks: nothing is counted in it.
 */
export class MetricsRegistry {
  private readonly requests: Counted[] = []
  private readonly reads = new Map<string, { help: string; by: Map<string, Read> }>()
  private readonly counts = new Map<string, { help: string; samples: Sample[] }>()

  constructor() {
    this.read('ch202', 'process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
    this.read('ch202', 'process_uptime_seconds', 'Seconds since the start', () => process.uptime())
  }

  /** Counts for requests of one kind. */
  counted(labels: Counted['labels']): Counted {
    const counted = { labels, buckets: new Array<number>(BUCKETS.length + 1).fill(0), sum: 0 }
    this.requests.push(counted)
    return counted
  }

  /** A value of a service that is read when it is asked for. */
  read(service: string, name: string, help: string, read: Read): void {
    const known = this.reads.get(name)
    if (known) known.by.set(service, read)
    else this.reads.set(name, { help, by: new Map([[service, read]]) })
  }

  /** A count by the values of one label, each of which is there from the start. Gives what counts one more. */
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

  async text(): Promise<string> {
    const { Registry } = await import('prom-client')
    const registry = new Registry()
    const add = (name: string, type: string, help: string, get: () => Promise<Sample[]> | Sample[]) =>
      registry.registerMetric({ name, get: async () => ({ name, help, type, values: await get() }) } as never)
    add(REQUESTS, 'histogram', 'Requests by service, method, route and status', () => this.requests.flatMap(samplesOf))
    for (const [name, { help, samples }] of this.counts) add(name, 'counter', help, () => samples)
    for (const [name, { by, help }] of this.reads)
      add(name, 'gauge', help, () =>
        Promise.all([...by].map(async ([service, read]) => ({ labels: { service }, value: await read() }))),
      )
    return await registry.metrics()
  }
}

/** As Prometheus has them: each bucket counts what those below it do, the last everything. */
function samplesOf({ buckets, labels, sum }: Counted): Sample[] {
  let count = 0
  const cumulative = buckets.map((own, index) => {
    count += own
    return { metricName: `${REQUESTS}_bucket`, labels: { le: BUCKETS[index] ?? '+Inf', ...labels }, value: count }
  })
  return [
    ...cumulative,
    { metricName: `${REQUESTS}_sum`, labels, value: sum },
    { metricName: `${REQUESTS}_count`, labels, value: count },
  ]
}

/** What one service counts. Labels are patterns and codes, never ids or emails. */
export class Metrics {
  private readonly byRoute = new Map<string, Counted[]>()

  constructor(
    private readonly service: string,
    private readonly all: MetricsRegistry,
  ) {}

  /** @param ms how long the answer took, in milliseconds */
  request(method: string, route: string, status: number, ms: number): void {
    let ofRoute = this.byRoute.get(route)
    if (!ofRoute) {
      ofRoute = []
      this.byRoute.set(route, ofRoute)
    }
    let counted = ofRoute.find(({ labels }) => labels.method === method && labels.status === status)
    if (!counted) {
      counted = this.all.counted({ service: this.service, method, route: route || 'none', status })
      ofRoute.push(counted)
    }
    const seconds = ms / 1000
    const bucket = BUCKETS.findIndex((most) => seconds <= most)
    const place = bucket < 0 ? BUCKETS.length : bucket
    counted.buckets[place] = (counted.buckets[place] ?? 0) + 1
    counted.sum += seconds
  }

  /** A count by one label. Gives what counts one more of a value. */
  counter<Value extends string>(name: string, help: string, label: string, values: readonly Value[]) {
    return this.all.counter({ service: this.service, name, help, label }, values)
  }

  /** A value that is read when it is asked for. */
  gauge(name: string, help: string, read: Read): void {
    this.all.read(this.service, name, help, read)
  }

  text(): Promise<string> {
    return this.all.text()
  }
}
