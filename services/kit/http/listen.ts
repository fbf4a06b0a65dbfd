import type { Server } from 'bun'
import { SECOND } from '../clock.ts'
import { SERVER_BODY_MAX } from './app.ts'
import { completeUrl } from './request-url.ts'

type Answering = (request: Request) => Response | Promise<Response>

export interface Listening {
  server: Server<undefined>
  answerWith(answer: Answering): void
  /** From now on each answer is the last of its connection, and says so: no client sends what would not be taken. */
  lastAnswers(): void
}

/** Seconds. The server looks for idle connections that often, and closes one that much too early. */
const SWEEP = 4
/** Seconds: the longest that Bun takes. */
const IDLE_MAX = 255
/** Seconds that a request under way has at least, however soon an idle connection is closed: a hash may wait for its turn. */
const UNDER_WAY = 75

/**
 * Listens on an address. The port is taken first: of two instances on one address the second must not touch the
 * databases. Requests that come before the services are there wait for them.
 * @param address `http://host:port`
 * @param idleTimeout milliseconds that a connection is kept on which nothing is under way
 * @throws Error with a message for the operator when the port can't be had
 */
export function listen(address: string, idleTimeout: number): Listening {
  const { hostname, port, protocol } = new URL(address)
  const ready = Promise.withResolvers<Answering>()
  let answer: Answering | undefined
  let last = false
  const idle = Math.min(Math.ceil(idleTimeout / SECOND) + SWEEP, IDLE_MAX)
  const answered = (server: Server<undefined>, request: Request, response: Response) => {
    if (last) response.headers.set('connection', 'close')
    if (idle < UNDER_WAY && !isLast(response)) server.timeout(request, idle)
    return response
  }
  try {
    const server = Bun.serve({
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port: port || (protocol === 'https:' ? 443 : 80),
      maxRequestBodySize: SERVER_BODY_MAX,
      idleTimeout: idle,
      fetch(request, own) {
        completeUrl(request)
        if (idle < UNDER_WAY) own.timeout(request, UNDER_WAY)
        const answering = answer ? answer(request) : ready.promise.then((one) => one(request))
        return answering instanceof Promise
          ? answering.then((response) => answered(own, request, response))
          : answered(own, request, answering)
      },
    })
    return {
      server,
      lastAnswers() {
        last = true
      },
      answerWith(answering) {
        answer = answering
        ready.resolve(answering)
      },
    }
  } catch (error) {
    const busy = (error as { code?: unknown }).code === 'EADDRINUSE'
    throw new Error(
      busy
        ? `${address} is in use: another program, or another Ch202, listens there. Stop it, or set another address`
        : `${address} cannot be listened on: ${error instanceof Error ? error.message : 'unknown error'}`,
      { cause: error },
    )
  }
}

/** Whether the connection ends with the answer: it is never idle again, and may take as long as its reader does. */
function isLast(response: Response): boolean {
  return response.headers.get('connection') === 'close'
}
