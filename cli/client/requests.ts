import { callDirectly } from '../../services/kit/outgoing.ts'
import { note, plain } from '../terminal/terminal.ts'

/** Milliseconds until a response must begin. */
const TIMEOUT = 30_000
const TRIES = 4
/** Milliseconds before the second try; each further pause is twice as long. */
const FIRST_PAUSE = 100
/** Maximum `Retry-After` in seconds that is waited for, since a person waits for the result. */
const WAIT_MAX = 30
const READS = ['GET', 'HEAD', 'OPTIONS']
const BUSY_STATUSES = [429, 502, 503, 504]
/** Codes for a refused connection; Bun's name for it changed between versions. */
const REFUSED = ['ECONNREFUSED', 'ConnectionRefused']

export interface RequestOptions {
  /** Print each request on standard error; addresses contain no secrets. */
  debug?: boolean
  /** Milliseconds until a response must begin. The rest of the response is not limited, nor is a request with a signal. */
  timeoutMs?: number
  /** Sending the request twice has the same effect as once, whatever its method. */
  repeatable?: boolean
}

/**
 * Sends a request, with retries if they are safe: a read after any temporary failure; anything else only if the request
 * was not processed, because the connection was refused or the service was overloaded.
 * @throws the error of fetch
 */
export async function request(
  url: string,
  init: RequestInit,
  { debug = false, timeoutMs = TIMEOUT, repeatable = false }: RequestOptions = {},
): Promise<Response> {
  const method = (init.method ?? 'GET').toUpperCase()
  const isRepeatable = repeatable || READS.includes(method)
  for (let tries = 1; ; tries++) {
    const startedAt = performance.now()
    const debugLog = (result: string) =>
      debug && note(plain(`${method} ${url} → ${result} in ${Math.round(performance.now() - startedAt)} ms`))
    let pause = FIRST_PAUSE * 2 ** (tries - 1)
    try {
      const answer = await sendOnce(url, init, isRepeatable, timeoutMs)
      debugLog(`${answer.status}, request ${answer.headers.get('x-request-id') ?? 'unknown'}`)
      const wait = await secondsToWait(answer, isRepeatable)
      if (wait === undefined || tries === TRIES || isStream(init.body)) return answer
      pause = Math.max(pause, wait * 1000)
      await answer.body?.cancel()
    } catch (error) {
      const { code, name } = error as { code?: string; name: string }
      debugLog(code ?? name)
      const mayRetry =
        REFUSED.includes(code ?? '') || (isRepeatable && name !== 'TimeoutError' && name !== 'AbortError')
      if (!mayRetry || tries === TRIES || isStream(init.body)) throw error
    }
    await Bun.sleep(pause)
  }
}

async function sendOnce(url: string, init: RequestInit, isRepeatable: boolean, timeoutMs: number): Promise<Response> {
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(new DOMException('No answer in time', 'TimeoutError')), timeoutMs)
  try {
    return await callDirectly(url, {
      ...init,
      signal: init.signal ?? timeout.signal,
      redirect: 'manual',
      // Bun's own timeout would end a response whose reader pauses for five minutes; the signal is the only limit.
      timeout: false,
      // On a reused connection that is lost, Bun would resend a DELETE or PUT by itself.
      ...(isRepeatable ? {} : { keepalive: false }),
    })
  } finally {
    clearTimeout(timer)
  }
}

/** Seconds until the next try; undefined if there should be none. */
async function secondsToWait(answer: Response, isRepeatable: boolean): Promise<number | undefined> {
  if (!BUSY_STATUSES.includes(answer.status)) return undefined
  const wait = secondsOf(answer.headers.get('retry-after') ?? '0')
  if (!(wait <= WAIT_MAX)) return undefined
  if (isRepeatable || answer.status === 429) return wait
  const problem = (await answer
    .clone()
    .json()
    .catch(() => ({}))) as { code?: string }
  return problem.code === 'overloaded' ? wait : undefined
}

/** Parses `Retry-After`: seconds or a date (RFC 9110, 10.2.3). NaN if it is neither. */
function secondsOf(text: string): number {
  return /^\d+$/.test(text.trim()) ? Number(text) : Math.max(0, (Date.parse(text) - Date.now()) / 1000)
}

/** Whether a body can be sent only once. */
function isStream(body: RequestInit['body']): boolean {
  return body instanceof ReadableStream
}
