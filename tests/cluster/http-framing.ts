/** The part of a message that comes next. `rest`: everything until the connection closes. */
type State = 'head' | 'bytes' | 'size' | 'chunk' | 'trailers' | 'rest' | 'done'

const NEWLINE = 10
/** Matches the first line of a request with a method that the services have. All others are left to the node. */
const REQUEST_LINE = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP\/1\.[01]$/

/** Finds the end of one HTTP/1.1 message (RFC 9112) in the bytes of a connection, which it does not change. */
export class HttpFraming {
  private state: State = 'head'
  private line = ''
  private head: string[] = []
  private remaining = 0

  /** @param kind `answer to HEAD` has the headers of a body, but none */
  constructor(private readonly kind: 'request' | 'answer' | 'answer to HEAD') {}

  get isDone(): boolean {
    return this.state === 'done'
  }

  /** Whether the message ends with the connection: also one that is malformed, whose end nobody can find. */
  get endsWithConnection(): boolean {
    return this.state === 'rest'
  }

  /** The method of a request, once its first line is complete. */
  get method(): string {
    return this.head[0]?.split(' ')[0] ?? ''
  }

  /** Whether the sender closes the connection after this message. */
  get closes(): boolean {
    const connection = this.header('connection').join().toLowerCase()
    return /\bclose\b/.test(connection) || (/\bHTTP\/1\.0\b/.test(this.head[0] ?? '') && !/keep-alive/.test(connection))
  }

  /** @returns how many of the bytes belong to this message */
  take(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length && this.state !== 'done') at = this.step(bytes, at)
    return at
  }

  private step(bytes: Buffer, at: number): number {
    if (this.state === 'rest') return bytes.length
    if (this.state === 'bytes' || this.state === 'chunk') {
      const count = Math.min(this.remaining, bytes.length - at)
      this.remaining -= count
      if (this.remaining === 0) this.state = this.state === 'bytes' ? 'done' : 'size'
      return at + count
    }
    const end = bytes.indexOf(NEWLINE, at)
    this.line += bytes.toString('latin1', at, end < 0 ? bytes.length : end)
    if (end < 0) return bytes.length
    const line = this.line.replace(/\r$/, '')
    this.line = ''
    this.read(line)
    return end + 1
  }

  private read(line: string): void {
    if (this.state === 'trailers') {
      if (line === '') this.state = 'done'
    } else if (this.state === 'size') {
      const [, size] = /^([\da-f]+)\s*(;.*)?$/i.exec(line) ?? []
      // The end of line after a chunk belongs to it.
      this.remaining = Number.parseInt(size ?? '', 16) + 2
      if (size === undefined) this.state = 'rest'
      else this.state = this.remaining === 2 ? 'trailers' : 'chunk'
    } else if (line !== '') this.head.push(line)
    else if (this.head.length > 0) this.state = this.kind === 'request' ? this.afterRequest() : this.afterAnswer()
  }

  private afterRequest(): State {
    return REQUEST_LINE.test(this.head[0] ?? '') ? this.body('done') : 'rest'
  }

  private afterAnswer(): State {
    const status = Number(/^HTTP\/1\.[01] (\d{3})\b/.exec(this.head[0] ?? '')?.[1])
    if (status >= 100 && status < 200 && status !== 101) {
      // The answer itself follows.
      this.head = []
      return 'head'
    }
    if (this.kind === 'answer to HEAD' || status === 204 || status === 304) return 'done'
    return this.body('rest')
  }

  /** @param without the state of a message whose head names no body */
  private body(without: State): State {
    const encodings = this.header('transfer-encoding')
    const lengths = this.header('content-length')
    if (encodings.length > 0) return encodings.join() === 'chunked' && lengths.length === 0 ? 'size' : 'rest'
    if (lengths.length === 0) return without
    if (lengths.length > 1 || !/^\d+$/.test(lengths[0] ?? '')) return 'rest'
    this.remaining = Number(lengths[0])
    return this.remaining === 0 ? 'done' : 'bytes'
  }

  private header(name: string): string[] {
    const start = `${name}:`
    return this.head
      .filter((line) => line.toLowerCase().startsWith(start))
      .map((line) => line.slice(start.length).trim())
  }
}
