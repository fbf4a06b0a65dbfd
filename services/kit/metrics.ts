import { Gauge, Histogram, Registry } from 'prom-client'

type Read = () => number | Promise<number>

/** What a process counts, in the text format of Prometheus; the services of one process stand beside each other in it. */
export class MetricsRegistry {
  readonly registry = new Registry()
  readonly requests = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Requests by service, method, route and status',
    labelNames: ['service', 'method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2],
    registers: [this.registry],
  })
  private readonly reads = new Map<string, Map<string, Read>>()

  constructor() {
    this.read('ch202', 'process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
    this.read('ch202', 'process_uptime_seconds', 'Seconds since the start', () => process.uptime())
  }

  /** A value of a service that is read when it is asked for. */
  read(service: string, name: string, help: string, read: Read): void {
    const known = this.reads.get(name)
    if (known) {
      known.set(service, read)
      return
    }
    const reads = new Map([[service, read]])
    this.reads.set(name, reads)
    new Gauge({
      name,
      help,
      labelNames: ['service'],
      registers: [this.registry],
      async collect() {
        for (const [of, value] of reads) this.set({ service: of }, await value())
      },
    })
  }

  text(): Promise<string> {
    return this.registry.metrics()
  }
}

/** What one service counts. Labels are patterns and codes, never ids or emails. */
export class Metrics {
  constructor(
    private readonly service: string,
    private readonly all: MetricsRegistry,
  ) {}

  /** @param ms how long the answer took, in milliseconds */
  request(method: string, route: string, status: number, ms: number): void {
    this.all.requests.observe({ service: this.service, method, route: route || 'none', status }, ms / 1000)
  }

  /** A value that is read when it is asked for. */
  gauge(name: string, help: string, read: Read): void {
    this.all.read(this.service, name, help, read)
  }

  text(): Promise<string> {
    return this.all.text()
  }
}
