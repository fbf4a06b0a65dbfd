import { type Requests, scripts } from './scripts.ts'

// A load generator in a process of its own, so that it can have a core of its own: clients on persistent connections, each
// sending its next request after the response to the last one. It uses raw sockets, because `fetch` costs more than most
// of the responses that are measured. Its input is a list of loads, which it sends at the same time:
//
//   bun bench/load.ts < loads.json

/** The requests to send, and how. Either `seconds` or `requests` ends it. */
export interface Load {
  /** The requests to send: a name in `scripts`. */
  script: keyof typeof scripts
  url: string
  clients: number
  seconds?: number
  requests?: number
  /**
   * Requests a second of all clients together, sent when each is due, as long as a client has had its last response.
   * Without it each client sends the next one at once.
   */
  rate?: number
  /** Only keeps the server busy: sleeps between responses, and so leaves the core to another generator that measures. */
  background?: boolean
  /** The input of the script: tokens, ids. */
  data: unknown
}

export interface LoadResult {
  requests: number
  seconds: number
  /** Requests a second. */
  rate: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** By status. */
  statuses: Record<string, number>
}

const CRLF = '\r\n\r\n'
/** Milliseconds of a step of the histogram of latencies, which ends at ten seconds. */
const STEP = 0.01
const STEPS = 1_000_000

/** A histogram of latencies. */
class Latencies {
  private readonly counts = new Uint32Array(STEPS)
  count = 0

  add(ms: number): void {
    const step = Math.min(STEPS - 1, Math.floor(ms / STEP))
    this.counts[step] = (this.counts[step] ?? 0) + 1
    this.count++
  }

  quantile(part: number): number {
    let remaining = Math.ceil(this.count * part)
    for (let step = 0; step < STEPS; step++) {
      remaining -= this.counts[step] ?? 0
      if (remaining <= 0) return (step + 0.5) * STEP
    }
    return Number.NaN
  }
}

/** Returns the milliseconds after which the next request of a load is due. */
function pacer({ rate }: Load, startedAt: number): () => number {
  let sent = 0
  return () => (rate === undefined ? 0 : startedAt + (sent++ / rate) * 1000 - performance.now())
}

async function run(load: Load): Promise<LoadResult> {
  const { clients, data, requests, script, seconds, url } = load
  const { hostname, port } = new URL(url)
  const make = scripts[script] as (data: unknown, host: string) => Requests
  const source = make(data, `${hostname}:${port}`)
  const latencies = new Latencies()
  const statuses: Record<string, number> = {}
  const startedAt = performance.now()
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : startedAt + seconds * 1000
  const untilDue = pacer(load, startedAt)
  let remaining = requests ?? Number.POSITIVE_INFINITY

  const runClient = (client: number) =>
    new Promise<void>((resolve, reject) => {
      let sentAt = 0
      let received = ''
      const sendWhenDue = (socket: Bun.Socket, answer: string | null) => {
        const wait = untilDue()
        if (wait > 0) setTimeout(() => sendNext(socket, answer), wait)
        else sendNext(socket, answer)
      }
      const sendNext = (socket: Bun.Socket, answer: string | null) => {
        const request = performance.now() < end && remaining-- > 0 ? source(client, answer) : null
        if (request === null) {
          socket.end()
          resolve()
          return
        }
        sentAt = performance.now()
        socket.write(request)
      }
      Bun.connect({
        hostname,
        port: Number(port),
        socket: {
          open: (socket) => sendWhenDue(socket, null),
          data(socket, chunk) {
            received += chunk.toString('latin1')
            const head = received.indexOf(CRLF)
            if (head < 0) return
            const length = Number(/content-length: *(\d+)/i.exec(received.slice(0, head))?.[1] ?? 0)
            if (received.length < head + CRLF.length + length) return
            latencies.add(performance.now() - sentAt)
            const status = received.slice(9, 12)
            statuses[status] = (statuses[status] ?? 0) + 1
            const body = received.slice(head + CRLF.length)
            received = ''
            sendWhenDue(socket, body)
          },
          close: () => resolve(),
          error: (_, error) => reject(error),
          connectError: (_, error) => reject(error),
        },
      }).catch(reject)
    })

  await Promise.all(Array.from({ length: clients }, (_, client) => runClient(client)))
  const elapsed = (performance.now() - startedAt) / 1000
  return {
    requests: latencies.count,
    seconds: elapsed,
    rate: latencies.count / elapsed,
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
    statuses,
  }
}

if (import.meta.main) {
  const loads: Load[] = await Bun.stdin.json()
  let isSpinning = !loads.every(({ background = false }) => background)
  // Keeps the process awake: waking it for each response would take longer, the slower the server is.
  const spin = () => {
    if (isSpinning) setImmediate(spin)
  }
  spin()
  const results = await Promise.all(loads.map(run))
  isSpinning = false
  console.log(JSON.stringify(results))
}
