import { direct } from '../../services/kit/outgoing.ts'
import { note, plain } from '../terminal/terminal.ts'

const PATIENCE = 30_000
const TRIES = 4
const FIRST_PAUSE = 100
/** Whoever says to come back later than this is not waited for: a person waits for the answer. */
const LONGEST_WAIT = 30
const READS = ['GET', 'HEAD', 'OPTIONS']
const BUSY = [429, 502, 503, 504]
/** Nobody took the connection; Bun's name for it has changed with its versions. */
const NOBODY = ['ECONNREFUSED', 'ConnectionRefused']

export interface RequestOptions {
  /** Says each request on standard error; nothing secret stands in an address. */
  debug?: boolean
  /** Milliseconds until an answer must begin; how long it then goes on, or takes where there is a signal, is not limited. */
  patience?: number
  /** To do it twice is to do it once, whatever the method says. */
  repeatable?: boolean
}

/**
 * A request that is tried again where that is safe. A read, whenever it failed for a reason that may pass; anything else
 * only where it was not done: nobody took the connection, or the service refused it unread for want of room.
 * @throws what fetch throws
 */
export async function request(
  url: string,
  init: RequestInit,
  { debug = false, patience = PATIENCE, repeatable = false }: RequestOptions = {},
): Promise<Response> {
  const method = (init.method ?? 'GET').toUpperCase()
  const read = repeatable || READS.includes(method)
  for (let tries = 1; ; tries++) {
    const began = performance.now()
    const tell = (said: string) =>
      debug && note(plain(`${method} ${url} → ${said} in ${Math.round(performance.now() - began)} ms`))
    let pause = FIRST_PAUSE * 2 ** (tries - 1)
    try {
      const answer = await once(url, init, read, patience)
      tell(`${answer.status}, request ${answer.headers.get('x-request-id') ?? 'unknown'}`)
      const wait = await waitWanted(answer, read)
      if (wait === undefined || tries === TRIES || isOnce(init.body)) return answer
      pause = Math.max(pause, wait * 1000)
      await answer.body?.cancel()
    } catch (error) {
      const { code, name } = error as { code?: string; name: string }
      tell(code ?? name)
      const again = NOBODY.includes(code ?? '') || (read && name !== 'TimeoutError' && name !== 'AbortError')
      if (!again || tries === TRIES || isOnce(init.body)) throw error
    }
    await Bun.sleep(pause)
  }
}

async function once(url: string, init: RequestInit, read: boolean, patience: number): Promise<Response> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException('No answer in time', 'TimeoutError')), patience)
  try {
    return await direct(url, {
      ...init,
      signal: init.signal ?? late.signal,
      redirect: 'manual',
      // Bun's own cuts an answer whose reader pauses for five minutes; how long it takes is for the signal to say.
      timeout: false,
      // On a connection that was used before, Bun sends a DELETE or a PUT again by itself when the connection is cut.
      ...(read ? {} : { keepalive: false }),
    })
  } finally {
    clearTimeout(timer)
  }
}

/** Seconds until another try; undefined where there should be none. */
async function waitWanted(answer: Response, read: boolean): Promise<number | undefined> {
  if (!BUSY.includes(answer.status)) return undefined
  const wait = secondsOf(answer.headers.get('retry-after') ?? '0')
  if (!(wait <= LONGEST_WAIT)) return undefined
  if (read || answer.status === 429) return wait
  const problem = (await answer
    .clone()
    .json()
    .catch(() => ({}))) as { code?: string }
  return problem.code === 'overloaded' ? wait : undefined
}

/** `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). NaN where it is neither. */
function secondsOf(text: string): number {
  return /^\d+$/.test(text.trim()) ? Number(text) : Math.max(0, (Date.parse(text) - Date.now()) / 1000)
}

/** What can be sent but once. */
function isOnce(body: RequestInit['body']): boolean {
  return body instanceof ReadableStream
}
