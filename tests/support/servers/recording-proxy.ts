/** The variables that make clients use a proxy, in upper and lower case. */
export const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) => [name, name.toLowerCase()])

/**
 * A proxy that records the requests that it receives. It answers 204 in place of every http server, and refuses the
 * tunnels that https needs.
 */
export class RecordingProxy {
  /** The bytes that each connection has sent so far. */
  readonly received: string[] = []
  private readonly listener = Bun.listen<{ at: number }>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { at: this.received.push('') - 1 }
      },
      data: (socket, bytes) => {
        const text = (this.received[socket.data.at] ?? '') + bytes.toString('latin1')
        this.received[socket.data.at] = text
        const [head = '', body] = text.split('\r\n\r\n')
        if (body === undefined) return
        if (head.startsWith('CONNECT ')) return void socket.end('HTTP/1.1 502 No Tunnel\r\ncontent-length: 0\r\n\r\n')
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
        if (body.length >= length) socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n')
      },
    },
  })

  /** The address, with a user and a password, as companies have them. */
  get url(): string {
    return `http://clerk:password-of-the-proxy@127.0.0.1:${this.listener.port}`
  }

  /** The environment that makes a process use this proxy. */
  get environment(): Record<string, string> {
    return Object.fromEntries(PROXY_VARIABLES.map((name) => [name, this.url]))
  }

  /** The first lines of the requests so far. */
  get requests(): string[] {
    return this.received.map((text) => text.split(' HTTP/1.1\r\n')[0] ?? '')
  }

  forget(): void {
    this.received.length = 0
  }

  close(): void {
    this.listener.stop(true)
  }
}
