/** One line of a scrape. */
export interface Sample {
  labels: Record<string, string | number>
  value: number
  metricName?: string
}

/** A histogram of the durations of one kind of request. */
interface RequestHistogram {
  labels: RequestLabels
  /** Requests by the first bucket that each falls into; the last bucket has no upper bound. */
  buckets: number[]
  /** Seconds. */
  sum: number
}

type RequestLabels = { service: string; method: string; route: string; status: number }

/** Seconds. */
const BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2]

/** The durations of requests, by service, route, method and status. */
export class RequestHistograms {
  readonly name = 'ch202_http_request_duration_seconds'
  readonly help = 'Time to answer requests, in seconds'
  private readonly byRoute = new Map<string, RequestHistogram[]>()

  /** Counts a request. @param ms its duration in milliseconds */
  add(labels: RequestLabels, ms: number): void {
    const seconds = ms / 1000
    const bounded = BUCKETS.findIndex((most) => seconds <= most)
    const bucket = bounded < 0 ? BUCKETS.length : bounded
    const histogram = this.histogramOf(labels)
    histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1
    histogram.sum += seconds
  }

  /** The lines of a scrape. */
  samples(): Sample[] {
    return [...this.byRoute.values()].flat().flatMap((histogram) => this.samplesOf(histogram))
  }

  private histogramOf(labels: RequestLabels): RequestHistogram {
    let histograms = this.byRoute.get(labels.route)
    if (!histograms) {
      histograms = []
      this.byRoute.set(labels.route, histograms)
    }
    let histogram = histograms.find(
      ({ labels: { method, service, status } }) =>
        method === labels.method && status === labels.status && service === labels.service,
    )
    if (!histogram) {
      histogram = { labels, buckets: new Array<number>(BUCKETS.length + 1).fill(0), sum: 0 }
      histograms.push(histogram)
    }
    return histogram
  }

  /** Each bucket of Prometheus includes the buckets below it. */
  private samplesOf({ buckets, labels, sum }: RequestHistogram): Sample[] {
    let count = 0
    const cumulative = buckets.map((requests, index) => {
      count += requests
      return { metricName: `${this.name}_bucket`, labels: { le: BUCKETS[index] ?? '+Inf', ...labels }, value: count }
    })
    return [
      ...cumulative,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: count },
    ]
  }
}
