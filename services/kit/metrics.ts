import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What a service counts, in the text format of Prometheus. Labels are patterns and codes, never ids or emails. */
export class Metrics {
  private readonly registry = new Registry()
  private readonly requests: Histogram<'method' | 'route' | 'status'>

  constructor(service: string) {
    this.registry.setDefaultLabels({ service })
    this.requests = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Requests by method, route and status',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2],
      registers: [this.registry],
    })
    this.gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
    this.gauge('process_uptime_seconds', 'Seconds since the start', () => process.uptime())
  }

  /** @param ms how long the answer took, in milliseconds */
  request(method: string, route: string, status: number, ms: number): void {
    this.requests.observe({ method, route: route || 'none', status }, ms / 1000)
  }

  /** A counter by one label: `name{label="…"}`. */
  counter(name: string, help: string, label: string): (value: string) => void {
    const counter = new Counter({ name, help, labelNames: [label], registers: [this.registry] })
    return (value) => counter.inc({ [label]: value })
  }

  /** A value that is read when it is asked for. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      async collect() {
        this.set(await read())
      },
    })
  }

  /** Those of others of the same process beside these. */
  text(others: readonly Metrics[] = []): Promise<string> {
    if (others.length === 0) return this.registry.metrics()
    return Registry.merge([this, ...others].map((metrics) => metrics.registry)).metrics()
  }
}
