import type { Settings } from './settings.ts'

/** A question that a waiting request hangs on, and longer than a poll is held. */
const PATIENCE = 1000

/** Why there was no answer, in words of ours: nothing of what was sent or received. */
export class Unanswered extends Error {
  override name = 'Unanswered'
}

interface Question {
  /** Makes it a POST. */
  body?: object
  /** Of the request that it is asked for: one id finds what it left in all logs. */
  requestId?: string
}

/** Calls the services of the instance with the internal key. */
export class Instance {
  /** Held here and not by a signal that all share, which would remember every one of them. */
  private readonly underWay = new Set<AbortController>()
  private closed = false

  constructor(private readonly settings: Pick<Settings, 'fetch' | 'internalKeys'>) {}

  get isClosed(): boolean {
    return this.closed
  }

  /** Ends what is under way, and asks no more. */
  close(): void {
    this.closed = true
    for (const one of this.underWay) one.abort()
  }

  /** @throws Unanswered, or what `fetch` rejects with */
  async ask<T>(url: string, { body, requestId }: Question = {}): Promise<T> {
    if (this.closed) throw new Unanswered('The guard was closed')
    const { fetch, internalKeys } = this.settings
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(new Unanswered('It did not answer in time')), PATIENCE)
    this.underWay.add(patience)
    try {
      const answer = await fetch(
        new Request(url, {
          method: body === undefined ? 'GET' : 'POST',
          headers: {
            'x-api-key': internalKeys[0],
            ...(body ? { 'content-type': 'application/json' } : {}),
            ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
          },
          ...(body ? { body: JSON.stringify(body) } : {}),
          // The key is for this address and no other.
          redirect: 'error',
          signal: patience.signal,
        }),
      )
      if (answer.status === 401) throw new Unanswered('The internal key was refused')
      if (!answer.ok) throw new Unanswered(`It answered ${answer.status}`)
      return (await answer.json()) as T
    } finally {
      clearTimeout(timer)
      this.underWay.delete(patience)
    }
  }
}
