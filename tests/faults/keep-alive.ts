import { connect, type Socket } from 'node:net'

/** Outcome of one request. */
export interface Outcome {
  /** `refused`: there was no connection. `closed`: not a byte of an answer came. `cut`: an answer began and did not end. */
  kind: 'answered' | 'refused' | 'closed' | 'cut'
  status: number
  headers: Map<string, string>
  text: string
}

const NOTHING = { status: 0, headers: new Map<string, string>(), text: '' }

interface Head {
  method: string
  path: string
  headers?: Record<string, string>
  body?: string
}

/** One persistent connection, read byte by byte: `fetch` would retry by itself after a closed connection. */
export class KeepAlive {
  private socket: Socket | undefined
  private received = ''
  private ended = false
  private news = Promise.withResolvers<void>()

  constructor(private readonly base: string) {}

  /** Connects if there is no connection. */
  async open(): Promise<boolean> {
    if (this.socket) return !this.ended
    const { hostname, port } = new URL(this.base)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.received += chunk
      this.tell()
    })
    const end = () => {
      this.ended = true
      this.tell()
    }
    socket.on('end', end)
    socket.on('close', end)
    socket.on('error', end)
    const connected = Promise.withResolvers<boolean>()
    socket.on('connect', () => connected.resolve(true))
    socket.on('close', () => connected.resolve(false))
    return await connected.promise
  }

  async ask(request: Head): Promise<Outcome> {
    if (!(await this.open())) return { kind: this.received === '' ? 'refused' : 'cut', ...NOTHING }
    this.send(KeepAlive.bytes(request))
    return await this.answer()
  }

  static bytes({ body, headers = {}, method, path }: Head): string {
    const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}`)
    if (body !== undefined) lines.push('content-type: application/json', `content-length: ${Buffer.byteLength(body)}`)
    return [`${method} ${path} HTTP/1.1`, ...lines, '', body ?? ''].join('\r\n')
  }

  send(bytes: string): void {
    this.socket?.write(bytes)
  }

  /** Reads no more until `resume`. */
  pause(): void {
    this.socket?.pause()
  }

  resume(): void {
    this.socket?.resume()
  }

  /** The next complete answer, or the reason why it is missing. */
  async answer(): Promise<Outcome> {
    for (;;) {
      const outcome = this.parsed()
      if (outcome) return outcome
      if (this.ended) return { kind: this.received === '' ? 'closed' : 'cut', ...NOTHING, text: this.received }
      this.news = Promise.withResolvers()
      await this.news.promise
    }
  }

  close(): void {
    this.socket?.destroy()
  }

  private tell(): void {
    this.news.resolve()
  }

  private parsed(): Outcome | undefined {
    const end = this.received.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const [line = '', ...rest] = this.received.slice(0, end).split('\r\n')
    const headers = new Map(
      rest.map((header) => [
        header.slice(0, header.indexOf(':')).toLowerCase(),
        header.slice(header.indexOf(':') + 1).trim(),
      ]),
    )
    const status = Number(line.slice(9, 12))
    const start = end + 4
    if (headers.get('transfer-encoding') === 'chunked') {
      // One answer at a time: the last chunk ends the received text.
      if (!this.received.endsWith('\r\n0\r\n\r\n')) return undefined
      const text = joined(this.received.slice(start))
      this.received = ''
      return { kind: 'answered', status, headers, text }
    }
    const length = Number(headers.get('content-length') ?? 0)
    if (this.received.length < start + length) return undefined
    const text = this.received.slice(start, start + length)
    this.received = this.received.slice(start + length)
    return { kind: 'answered', status, headers, text }
  }
}

/** Joins the chunks of a body. @throws Error when a chunk is shorter than its length */
function joined(body: string): string {
  const parts: string[] = []
  for (let at = 0; ; ) {
    const line = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.slice(at, line), 16)
    if (size === 0) return parts.join('')
    const part = body.slice(line + 2, line + 2 + size)
    if (part.length !== size || body.slice(line + 2 + size, line + 4 + size) !== '\r\n')
      throw new Error(`A chunk of ${size} bytes has ${part.length}`)
    parts.push(part)
    at = line + 4 + size
  }
}
