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
  /**
   * Decides the fate of a COMMIT; undefined lets it pass.
   * @param statements the texts of the statements of the transaction
   */
  atCommit?(statements: readonly string[]): Cut | undefined
  /** Called for the bytes that a client sends at once. */
  atBytes?(): void
}

/** A proxy before a PostgreSQL server, on the level of its wire protocol. */
export interface PostgresProxy {
  /** The address of a database by way of the proxy. @param address its address at the server */
  addressOf(address: string): string
  /** Ends the connections, and refuses new ones as a server does that admits nobody. */
  interrupt(): void
  /** Admits connections again. */
  resume(): void
  stop(): void
}

/** @param port of the server */
export async function startPostgresProxy(
  port: number,
  { atBytes = () => undefined, atCommit = () => undefined, delay = 0 }: PostgresProxyOptions = {},
): Promise<PostgresProxy> {
  const sockets = new Set<Socket>()
  const endAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  let isInterrupted = false
  const server = createServer({ noDelay: true }, (client) => {
    if (isInterrupted) return refuse(client)
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
    const committed = commitReader()
    let isCut = false
    let answersAreHeldBack = false
    const cut = () => {
      isCut = true
      client.destroy()
      upstream.destroy()
    }
    const later = (work: () => void) => (delay > 0 ? setTimeout(work, delay) : work())
    client.on('data', (bytes: Buffer) => {
      atBytes()
      const statements = isCut ? undefined : committed(bytes)
      const fate = statements && atCommit(statements)
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
    interrupt() {
      isInterrupted = true
      endAll()
    },
    resume() {
      isInterrupted = false
    },
    stop() {
      server.close()
      endAll()
    },
  }
}

/** Answers the first message of a client with an error. Bun's driver does not notice a connection that ends before that. */
function refuse(client: Socket): void {
  const fields = Buffer.from('SFATAL\0VFATAL\0C57P03\0Mthe connection is interrupted\0\0')
  const message = Buffer.alloc(5)
  message.write('E')
  message.writeInt32BE(4 + fields.length, 1)
  client.on('error', () => undefined)
  client.once('data', () => client.end(Buffer.concat([message, fields])))
}

/**
 * Reads the messages of a client: a first one without a type, then a letter and a length each. A statement is a query (`Q`),
 * or the execution (`B`) of a prepared one (`P`).
 * @returns a function that takes the next bytes. It gives the statements before a COMMIT that is among them
 */
function commitReader(): (bytes: Buffer) => string[] | undefined {
  let rest: Buffer = Buffer.alloc(0)
  let isFirst = true
  const prepared = new Map<string, string>()
  let statements: string[] = []
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    let committed: string[] | undefined
    const execute = (text = '') => {
      if (/^\s*commit\b/i.test(text)) {
        committed = statements
        statements = []
      } else statements.push(text)
    }
    for (;;) {
      const head = isFirst ? 0 : 1
      if (rest.length < head + 4) return committed
      const end = head + rest.readInt32BE(head)
      if (rest.length < end) return committed
      const type = isFirst ? '' : String.fromCharCode(rest[0] ?? 0)
      const [first = '', second = ''] = rest
        .subarray(head + 4, end)
        .toString('latin1')
        .split('\0')
      if (type === 'P') prepared.set(first, second)
      if (type === 'Q') execute(first)
      if (type === 'B') execute(prepared.get(second))
      rest = rest.subarray(end)
      isFirst = false
    }
  }
}
