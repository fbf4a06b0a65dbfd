import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

/**
 * End of a connection at a COMMIT: before the server gets it, so that nothing was done; or after the server has answered,
 * so that all was done but the client does not learn it.
 */
export type Cut = 'before' | 'after'

export interface PostgresProxyOptions {
  /** Milliseconds that bytes take in each direction. */
  delay?: number
  /** Decides the fate of the next COMMIT; undefined lets it pass. */
  atCommit?(): Cut | undefined
}

/** A proxy before a PostgreSQL server, on the level of its wire protocol. */
export interface PostgresProxy {
  /** The address of a database by way of the proxy. @param address its address at the server */
  addressOf(address: string): string
  stop(): void
}

/** @param port of the server */
export async function startPostgresProxy(
  port: number,
  { atCommit = () => undefined, delay = 0 }: PostgresProxyOptions,
): Promise<PostgresProxy> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    const isCommit = commitDetector()
    let isCut = false
    let answersAreHeldBack = false
    const cut = () => {
      isCut = true
      client.destroy()
      upstream.destroy()
    }
    const later = (work: () => void) => (delay > 0 ? setTimeout(work, delay) : work())
    client.on('data', (bytes: Buffer) => {
      const fate = !isCut && isCommit(bytes) ? atCommit() : undefined
      if (fate === 'before') return cut()
      if (fate === 'after') answersAreHeldBack = true
      later(() => upstream.writable && upstream.write(bytes))
    })
    upstream.on('data', (bytes) => {
      if (answersAreHeldBack) return cut()
      later(() => client.writable && client.write(bytes))
    })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('end', () => later(() => to.end()))
      from.on('close', () => {
        sockets.delete(from)
        later(() => to.destroy())
      })
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    addressOf(address) {
      const url = new URL(address)
      url.port = String((server.address() as AddressInfo).port)
      return url.href
    },
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/**
 * Reads the messages of a client: a first one without a type, then a letter and a length each. A COMMIT is a query (`Q`) of
 * that text, or the execution (`B`) of a prepared statement (`P`) of that text.
 * @returns a function that takes the next bytes and says whether a COMMIT is among them
 */
function commitDetector(): (bytes: Buffer) => boolean {
  let rest: Buffer = Buffer.alloc(0)
  let isFirst = true
  const commits = new Set<string>()
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    let seen = false
    for (;;) {
      const head = isFirst ? 0 : 1
      if (rest.length < head + 4) return seen
      const end = head + rest.readInt32BE(head)
      if (rest.length < end) return seen
      const type = isFirst ? '' : String.fromCharCode(rest[0] ?? 0)
      const fields = rest
        .subarray(head + 4, end)
        .toString('latin1')
        .split('\0')
      const isText = (text = '') => /^\s*commit\b/i.test(text)
      if (type === 'Q') seen ||= isText(fields[0])
      if (type === 'P') {
        if (isText(fields[1])) commits.add(fields[0] ?? '')
        else commits.delete(fields[0] ?? '')
      }
      if (type === 'B') seen ||= commits.has(fields[1] ?? '')
      rest = rest.subarray(end)
      isFirst = false
    }
  }
}
