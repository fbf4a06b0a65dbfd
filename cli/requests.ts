import { note, plain } from './terminal.ts'

const PATIENCE = 30_000
const TRIES = 4
const FIRST_PAUSE = 100
/** Whoever says to come back later than this is not waited for: a person waits for the answer. */
const LONGEST_WAIT = 30
const READS = ['GET', 'HEAD', 'OPTIONS']
const BUSY = [429, 502, 503, 504]

export interface RequestOptions {
  /** Says each request on standard error; nothing secret stands in an address. */
  debug?: boolean
  /** Milliseconds until an answer must begin. */
  patience?: number
}

/**
 * A request that is tried again where that is safe. A read, whenever it failed for a reason that may pass; anything else
 * only where it was not done: nobody took the connection, or the service refused it unread for want of room.
 * @throws what fetch throws
 */
export async function request(
  url: string,
  init: RequestInit,
  { debug = false, patience = PATIENCE }: RequestOptions = {},
): Promise<Response> {
  const method = (init.method ?? 'GET').toUpperCase()
  const read = READS.includes(method)
  for (let tries = 1; ; tries++) {
    const began = performance.now()
    const tell = (said: string) =>
      debug && note(plain(`${method} ${url} → ${said} in ${Math.round(performance.now() - began)} ms`))
    let pause = FIRST_PAUSE * 2 ** (tries - 1)
    try {
      const answer = await fetch(url, {
        ...init,
        signal: init.signal ?? AbortSignal.timeout(patience),
        redirect: 'manual',
      })
      tell(`${answer.status}, request ${answer.headers.get('x-request-id') ?? 'unknown'}`)
      const wait = await waitWanted(answer, read)
      if (wait === undefined || tries === TRIES || isOnce(init.body)) return answer
      pause = Math.max(pause, wait * 1000)
      await answer.body?.cancel()
    } catch (error) {
      const { code, name } = error as { code?: string; name: string }
      tell(code ?? name)
      const again = code === 'ConnectionRefused' || (read && name !== 'TimeoutError')
      if (!again || tries === TRIES || isOnce(init.body)) throw error
    }
    await Bun.sleep(pause)
  }
}

/** Seconds until another try; undefined where there should be none. */
async function waitWanted(answer: Response, read: boolean): Promise<number | undefined> {
  if (!BUSY.includes(answer.status)) return undefined
  const wait = Number(answer.headers.get('retry-after') ?? 0)
  if (!(wait <= LONGEST_WAIT)) return undefined
  if (read || answer.status === 429) return wait
  const problem = (await answer
    .clone()
    .json()
    .catch(() => ({}))) as { code?: string }
  return problem.code === 'overloaded' ? wait : undefined
}

/** What can be sent but once. */
function isOnce(body: RequestInit['body']): boolean {
  return body instanceof ReadableStream
}
