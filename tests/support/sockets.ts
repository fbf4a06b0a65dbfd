import { connect } from 'node:net'
import { PROMPT } from './eventually.ts'

/** A response as received over a socket. `fetch` normalises requests and hides parts of responses. */
export interface RawAnswer {
  /** 0 when the server closed the connection without a response. */
  status: number
  /** By lower-cased name. */
  headers: Map<string, string>
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read responses of every shape and assert what they find
  body: any
}

/** Sends the bytes unchanged, and reads until the server closes the connection, at most for `patience` milliseconds. */
export function exchange(base: string, bytes: string | Uint8Array[], patience = PROMPT): Promise<RawAnswer> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(Number(port), hostname)
    const done = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(read(received))
    }
    const timer = setTimeout(done, patience)
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      received += chunk
    })
    socket.on('end', done)
    socket.on('close', done)
    // A server that has responded may close the connection while the request is still being sent.
    socket.on('error', () => undefined)
    for (const part of typeof bytes === 'string' ? [Buffer.from(bytes, 'latin1')] : bytes) socket.write(part)
  })
}

/**
 * Sends a request with exactly this line and these headers, and the body as UTF-8. The server closes the connection after
 * its response.
 */
export function request(
  base: string,
  line: string,
  headers: string[] = ['Host: localhost'],
  body = '',
): Promise<RawAnswer> {
  const head = [line, ...headers, 'Connection: close', '', ''].join('\r\n')
  return exchange(base, [Buffer.from(head, 'latin1'), Buffer.from(body)])
}

/** Sends a request with a chunked body. */
export function sendChunked(base: string, line: string, headers: string[], chunks: string[]): Promise<RawAnswer> {
  const head = [line, 'Host: localhost', ...headers, 'Transfer-Encoding: chunked', 'Connection: close', '', ''].join(
    '\r\n',
  )
  const parts = chunks.map((chunk) => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`)
  return exchange(
    base,
    [head, ...parts, '0\r\n\r\n'].map((part) => Buffer.from(part)),
  )
}

function read(received: string): RawAnswer {
  const end = received.indexOf('\r\n\r\n')
  const [line = '', ...rest] = received.slice(0, Math.max(end, 0)).split('\r\n')
  const headers = new Map(
    rest.map((header) => {
      const colon = header.indexOf(':')
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()]
    }),
  )
  const text = end < 0 ? '' : received.slice(end + 4)
  let body: unknown = text
  try {
    body = JSON.parse(text)
  } catch {
    // Not JSON.
  }
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? 0), headers, text, body }
}
