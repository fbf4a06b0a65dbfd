import type { Settings } from './settings.ts'

/** Milliseconds: short, because a request may be waiting for the call; longer than a poll is held. */
const CALL_TIMEOUT = 1000

/** The instance gave no usable answer. The message has our own words only, nothing that was sent or received. */
export class NoAnswer extends Error {
  override name = 'NoAnswer'
}

interface CallOptions {
  /** Makes the call a POST. */
  body?: object
  /** The id of the request that causes the call: one id for all logs. */
  requestId?: string
}

/** Calls the services of the instance with the internal key. */
export class Instance {
  /** One controller per call: a signal that all calls share would keep each of them in memory. */
  private readonly active = new Set<AbortController>()
  private closed = false

  constructor(private readonly settings: Pick<Settings, 'fetch' | 'internalKeys'>) {}

  get isClosed(): boolean {
    return this.closed
  }

  /** Aborts active calls and refuses new ones. */
  close(): void {
    this.closed = true
    for (const controller of this.active) controller.abort()
  }

  /**
   * Sends a GET, or a POST when there is a body.
   * @returns the parsed answer; its type is not checked
   * @throws NoAnswer, or the reason for which `fetch` rejects
   */
  async call<T>(url: string, { body, requestId }: CallOptions = {}): Promise<T> {
    if (this.closed) throw new NoAnswer('The guard was closed')
    const { fetch, internalKeys } = this.settings
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(new NoAnswer('It did not answer in time')), CALL_TIMEOUT)
    this.active.add(controller)
    try {
      const response = await fetch(
        new Request(url, {
          method: body === undefined ? 'GET' : 'POST',
          headers: {
            'x-api-key': internalKeys[0],
            // Auth answers from the database, not from what a node without it remembers.
            'cache-control': 'no-cache',
            ...(body ? { 'content-type': 'application/json' } : {}),
            ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
          },
          ...(body ? { body: JSON.stringify(body) } : {}),
          // A redirect would send the key to another address.
          redirect: 'error',
          signal: controller.signal,
        }),
      )
      if (response.status === 401) throw new NoAnswer('The internal key was refused')
      if (!response.ok) throw new NoAnswer(`It answered ${response.status}`)
      return (await response.json()) as T
    } finally {
      clearTimeout(timer)
      this.active.delete(controller)
    }
  }
}
