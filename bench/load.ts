import { parseArgs } from 'node:util'
import { type Requests, scripts } from './scripts.ts'

/**
 * A generator of load in a process of its own, so that it can have a core of its own: clients on connections that stay,
 * each sending its next request when the last one is answered. Over raw sockets, because `fetch` costs more than most of
 * the answers that are measured.
 *
 *   bun bench/load.ts <script> --url http://127.0.0.1:3000 --clients 8 --seconds 5 < data.json
 */

export interface Load {
  /** Which requests: a name in `scripts`. */
  script: keyof typeof scripts
  url: string
  clients: number
  /** Sends for so long; or, with `requests`, so many. */
  seconds?: number
  requests?: number
  /** Only keeps the server busy while another measures: it leaves that one the core. */
  background?: boolean
  /** What the script needs to know: tokens, ids. */
  data: unknown
}

export interface Measured {
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
/** Of the latencies, in steps of 10 µs up to ten seconds. */
const STEP = 0.01
const STEPS = 1_000_000

class Latencies {
  private readonly counts = new Uint32Array(STEPS)
  count = 0

  add(ms: number): void {
    const step = Math.min(STEPS - 1, Math.floor(ms / STEP))
    this.counts[step] = (this.counts[step] ?? 0) + 1
    this.count++
  }

  quantile(part: number): number {
    let left = Math.ceil(this.count * part)
    for (let step = 0; step < STEPS; step++) {
      left -= this.counts[step] ?? 0
      if (left <= 0) return (step + 0.5) * STEP
    }
    return Number.NaN
  }
}

async function run({ background = false, clients, data, requests, script, seconds, url }: Load): Promise<Measured> {
  const { hostname, port } = new URL(url)
  const make = scripts[script] as (data: unknown, host: string) => Requests
  const source = make(data, `${hostname}:${port}`)
  const latencies = new Latencies()
  const statuses: Record<string, number> = {}
  const began = performance.now()
  const end = seconds === undefined ? Number.POSITIVE_INFINITY : began + seconds * 1000
  let left = requests ?? Number.POSITIVE_INFINITY

  const one = (client: number) =>
    new Promise<void>((resolve, reject) => {
      let sentAt = 0
      let got = ''
      const sendNext = (socket: Bun.Socket, answer: string | null) => {
        const request = performance.now() < end && left-- > 0 ? source(client, answer) : null
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
          open: (socket) => sendNext(socket, null),
          data(socket, chunk) {
            got += chunk.toString('latin1')
            const head = got.indexOf(CRLF)
            if (head < 0) return
            const length = Number(/content-length: *(\d+)/i.exec(got.slice(0, head))?.[1] ?? 0)
            if (got.length < head + CRLF.length + length) return
            latencies.add(performance.now() - sentAt)
            const status = got.slice(9, 12)
            statuses[status] = (statuses[status] ?? 0) + 1
            const body = got.slice(head + CRLF.length)
            got = ''
            sendNext(socket, body)
          },
          close: () => resolve(),
          error: (_, error) => reject(error),
          connectError: (_, error) => reject(error),
        },
      }).catch(reject)
    })

  let running = !background
  // It never sleeps: to wake it would be the server's work, and the more so the slower the server is.
  const spin = () => {
    if (running) setImmediate(spin)
  }
  spin()
  await Promise.all(Array.from({ length: clients }, (_, client) => one(client)))
  running = false
  const took = (performance.now() - began) / 1000
  return {
    requests: latencies.count,
    seconds: took,
    rate: latencies.count / took,
    p50: latencies.quantile(0.5),
    p99: latencies.quantile(0.99),
    statuses,
  }
}

if (import.meta.main) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      url: { type: 'string', default: '' },
      clients: { type: 'string', default: '1' },
      seconds: { type: 'string' },
      requests: { type: 'string' },
      background: { type: 'boolean' },
    },
  })
  const measured = await run({
    script: positionals[0] as keyof typeof scripts,
    url: values.url,
    clients: Number(values.clients),
    background: values.background === true,
    ...(values.seconds === undefined ? {} : { seconds: Number(values.seconds) }),
    ...(values.requests === undefined ? {} : { requests: Number(values.requests) }),
    data: await Bun.stdin.json(),
  })
  console.log(JSON.stringify(measured))
}
