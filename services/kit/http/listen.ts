import type { Server } from 'bun'
import { SECOND } from '../clock.ts'
import { SERVER_BODY_MAX } from './app.ts'
import { completeUrl } from './request-url.ts'

type RequestHandler = (request: Request) => Response | Promise<Response>

export interface Listening {
  server: Server<undefined>
  /** Sets the handler. Requests that came before are answered now. */
  answerWith(handler: RequestHandler): void
  /** Closes each connection after its next response, so that clients send no request that would be lost. */
  closeConnections(): void
}

/** Seconds. The server checks for idle connections at this interval, and may close one that much too early. */
const SWEEP = 4
/** Seconds: the maximum of Bun. */
const IDLE_MAX = 255
/** Seconds: the minimum for an active request, even if idle connections close sooner: it may wait in the queue of hashes. */
const ACTIVE_MIN = 75

/**
 * Listens on an address, before the services open their databases: a second instance on the same address must not touch
 * them. Requests that come before the services are ready wait.
 * @param address `http://host:port`
 * @param idleTimeout milliseconds after which an idle connection is closed
 * @throws Error with a message for the operator when the server cannot listen there
 */
export function listen(address: string, idleTimeout: number): Listening {
  const { hostname, port, protocol } = new URL(address)
  const ready = Promise.withResolvers<RequestHandler>()
  let handler: RequestHandler | undefined
  let isClosing = false
  const idle = Math.min(Math.ceil(idleTimeout / SECOND) + SWEEP, IDLE_MAX)
  const finish = (server: Server<undefined>, request: Request, response: Response) => {
    if (isClosing) response.headers.set('connection', 'close')
    if (idle < ACTIVE_MIN && !closesConnection(response)) server.timeout(request, idle)
    return response
  }
  try {
    const server = Bun.serve({
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port: port || (protocol === 'https:' ? 443 : 80),
      maxRequestBodySize: SERVER_BODY_MAX,
      idleTimeout: idle,
      fetch(request, bunServer) {
        completeUrl(request)
        if (idle < ACTIVE_MIN) bunServer.timeout(request, ACTIVE_MIN)
        const response = handler ? handler(request) : ready.promise.then((handle) => handle(request))
        return response instanceof Promise
          ? response.then((awaited) => finish(bunServer, request, awaited))
          : finish(bunServer, request, response)
      },
    })
    return {
      server,
      closeConnections() {
        isClosing = true
      },
      answerWith(requestHandler) {
        handler = requestHandler
        ready.resolve(requestHandler)
      },
    }
  } catch (error) {
    const isInUse = (error as { code?: unknown }).code === 'EADDRINUSE'
    throw new Error(
      isInUse
        ? `${address} is in use: another program, or another Ch202, listens there. Stop it, or set another address`
        : `Cannot listen on ${address}: ${error instanceof Error ? error.message : 'unknown error'}`,
      { cause: error },
    )
  }
}

/** Whether the connection closes after the response. Such a connection is never idle, and its client may read slowly. */
function closesConnection(response: Response): boolean {
  return response.headers.get('connection') === 'close'
}
