import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/** The line between services and a PostgreSQL server, which a test disturbs. */
export interface PostgresLine {
  /** The address of a database by way of the line. @param address its address at the server */
  addressOf(address: string): string
  /** Milliseconds that bytes take in each direction from now on. */
  delay: number
  /** Called with what a client sends. What it returns happens before the server gets these bytes. */
  onQuery(text: string): 'silence' | 'cut' | undefined
  /** Passes nothing on, in either direction, and leaves connections open: the other side has lost its network. */
  isSilent: boolean
  stop(): void
}

/** @param port of the server */
export async function startPostgresLine(port: number): Promise<PostgresLine> {
  const sockets = new Set<Socket>()
  const line: PostgresLine = {
    addressOf(address) {
      const url = new URL(address)
      url.port = String((server.address() as AddressInfo).port)
      return url.href
    },
    delay: 0,
    isSilent: false,
    onQuery: () => undefined,
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    const pass = (bytes: Buffer, to: Socket) => {
      if (line.isSilent) return
      const send = () => !line.isSilent && to.writable && to.write(bytes)
      if (line.delay > 0) setTimeout(send, line.delay)
      else send()
    }
    client.on('data', (bytes: Buffer) => {
      const event = line.onQuery(bytes.toString('latin1'))
      if (event === 'silence') line.isSilent = true
      if (event === 'cut') client.destroy()
      pass(bytes, upstream)
    })
    upstream.on('data', (bytes: Buffer) => pass(bytes, client))
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return line
}
