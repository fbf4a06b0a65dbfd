import { connect, createServer, type Socket } from 'node:net'
import { HttpFraming } from './http-framing.ts'

/** A balancer before the nodes of a service. */
export interface Balancer {
  /**
   * Sends requests to these nodes from now on. The balancer of the tests also ends requests that another node has not
   * answered yet, with 502.
   * @param ports on this machine
   */
  use(ports: readonly number[]): Promise<void>
  stop(): Promise<void>
}

const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'
const BAD_GATEWAY = 'HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'

/**
 * Starts a balancer that sends each request to another node than the one before, also the requests of one connection. It
 * passes all bytes as they are and when they come. A node that refuses the connection is passed over.
 * @param port to listen at
 */
export async function startBalancer(port: number): Promise<Balancer> {
  let nodes: readonly number[] = []
  let turn = 0
  const clients = new Set<Socket>()
  const exchanges = new Set<Exchange>()
  /** The nodes in the order in which the next request tries them. */
  const inTurn = () => {
    const first = turn++ % Math.max(nodes.length, 1)
    return [...nodes.slice(first), ...nodes.slice(0, first)]
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client))
    passRequests(client, inTurn, exchanges)
  })
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', listening)
  })
  return {
    async use(ports) {
      nodes = [...ports]
      for (const exchange of exchanges) if (!nodes.includes(exchange.port())) exchange.fail()
    },
    async stop() {
      server.close()
      for (const client of clients) client.destroy()
    },
  }
}

/** A request and its answer, on a connection to one node. */
interface Exchange {
  request: HttpFraming
  /** The port of the node that has the request now. */
  port(): number
  /** Answers 502, or ends the connection if an answer has begun. */
  fail(): void
  send(bytes: Buffer): void
  /** Passes on that the client sends no more. */
  end(): void
  abort(): void
}

/**
 * Passes the requests of a connection on, one after the other.
 * @param inTurn gives the ports of the nodes to try
 * @param exchanges has those that are under way
 */
function passRequests(client: Socket, inTurn: () => number[], exchanges: Set<Exchange>): void {
  let waiting: Buffer = Buffer.alloc(0)
  let exchange: Exchange | undefined
  /** Whether the last answer of this connection is sent: what still comes is dropped. */
  let isOver = false
  const pump = () => {
    while (waiting.length > 0 && !isOver) {
      if (!exchange) {
        exchange = passRequest(client, inTurn(), (isLast) => {
          if (exchange) exchanges.delete(exchange)
          exchange = undefined
          isOver = isLast
          if (isLast) client.end()
          else pump()
        })
        exchanges.add(exchange)
      }
      // A request that is sent before the answer to the one before waits for it.
      if (exchange.request.isDone) return
      const count = exchange.request.take(waiting)
      exchange.send(waiting.subarray(0, count))
      waiting = waiting.subarray(count)
    }
  }
  client.on('data', (bytes: Buffer) => {
    if (isOver) return
    waiting = waiting.length === 0 ? bytes : Buffer.concat([waiting, bytes])
    pump()
  })
  client.on('end', () => (exchange ? exchange.end() : client.end()))
  client.on('error', () => undefined)
  client.on('close', () => {
    isOver = true
    exchange?.abort()
    if (exchange) exchanges.delete(exchange)
  })
}

/** @param onEnd called when the answer is complete, with whether the connection of the client ends with it */
function passRequest(client: Socket, ports: number[], onEnd: (isLast: boolean) => void): Exchange {
  const request = new HttpFraming('request')
  let answer: HttpFraming | undefined
  let node: Socket | undefined
  let current = 0
  let isConnected = false
  let isOver = false
  let clientHasEnded = false
  /** Bytes that came before the node was connected. */
  let early: Buffer[] = []

  const finish = (isLast: boolean) => {
    isOver = true
    node?.destroy()
    onEnd(isLast)
  }
  const fail = (text: string) => {
    if (isOver) return
    if (answer) client.destroy()
    // A node may close the connection of a malformed request without a word.
    else if (!request.endsWithConnection) client.write(text)
    finish(true)
  }
  const tryNext = () => {
    const port = ports.shift()
    if (port === undefined) return fail(UNAVAILABLE)
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    node = socket
    current = port
    socket.on('connect', () => {
      isConnected = true
      for (const bytes of early) socket.write(bytes)
      early = []
      if (clientHasEnded) socket.end()
    })
    socket.on('data', (bytes: Buffer) => {
      if (isOver) return
      answer ??= new HttpFraming(request.method === 'HEAD' ? 'answer to HEAD' : 'answer')
      answer.take(bytes)
      pass(bytes, socket, client)
      if (answer.isDone) finish(!request.isDone || request.closes || answer.closes)
    })
    socket.on('error', () => undefined)
    socket.on('end', () => {
      if (isOver) return
      if (answer?.endsWithConnection) finish(true)
      else fail(BAD_GATEWAY)
    })
    socket.on('close', () => {
      if (isOver || socket !== node) return
      if (isConnected) fail(BAD_GATEWAY)
      else tryNext()
    })
  }
  tryNext()
  return {
    request,
    port: () => current,
    fail: () => fail(BAD_GATEWAY),
    send(bytes) {
      if (isConnected && node) return pass(bytes, client, node)
      early.push(bytes)
    },
    end() {
      clientHasEnded = true
      if (isConnected) node?.end()
    },
    abort() {
      isOver = true
      node?.destroy()
    },
  }
}

/** Writes bytes, and reads no more of them while the receiver is slower. */
function pass(bytes: Buffer, from: Socket, to: Socket): void {
  if (!to.writable || to.write(bytes)) return
  from.pause()
  to.once('drain', () => from.resume())
}
