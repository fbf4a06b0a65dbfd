import { ClientTokens, type Scope } from './client-tokens.ts'
import type { Received, Sent } from './exchange.ts'
import { NoAnswer } from './no-answer.ts'
import type { Settings } from './settings.ts'

/** Milliseconds: short, because a request may be waiting for the call; longer than a poll is held. */
const CALL_TIMEOUT = 1000

interface CallOptions {
  /** The scope that opens the route to a client; undefined: the route is open to everyone. */
  scope?: Scope
  /** Makes the call a POST. */
  body?: object
  /** The id of the request that causes the call: one id for all logs. */
  requestId?: string
}

/** Calls the services of the instance with the internal key, or with tokens of a client. */
export class Instance {
  /** One controller per call: a signal that all calls share would keep each of them in memory. */
  private readonly active = new Set<AbortController>()
  private readonly tokens: ClientTokens | undefined
  private closed = false

  constructor(private readonly settings: Pick<Settings, 'client' | 'fetch' | 'internalKeys' | 'url'>) {
    const { client, url } = settings
    this.tokens = client && new ClientTokens(client, url, (address, sent) => this.send(address, sent))
  }

  get isClosed(): boolean {
    return this.closed
  }

  /** Whether auth refuses the client of this guard: it is disabled or deleted, or its credentials or scopes are wrong. */
  get isRefused(): boolean {
    return this.tokens?.isRefused('introspect') ?? false
  }

  /** Aborts active calls and refuses new ones. */
  close(): void {
    this.closed = true
    for (const controller of this.active) controller.abort()
  }

  /**
   * Sends a GET, or a POST when there is a body. If a service refuses the token of a client, sends it again with a new one.
   * @returns the parsed answer; its type is not checked
   * @throws NoAnswer, or the reason for which `fetch` rejects
   */
  async call<T>(url: string, { body, requestId, scope }: CallOptions = {}): Promise<T> {
    const attempt = async () =>
      this.send(url, {
        headers: {
          ...(await this.credentials(scope)),
          // Auth answers from the database, not from what a node without it remembers.
          'cache-control': 'no-cache',
          ...(body ? { 'content-type': 'application/json' } : {}),
          ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    let answer = await attempt()
    if (answer.status === 401 && this.tokens && scope) {
      this.tokens.forget(scope)
      answer = await attempt()
    }
    if (answer.status === 401) throw new NoAnswer(this.tokens ? TOKEN_REFUSED : KEY_REFUSED)
    if (answer.body === undefined) throw new NoAnswer(`It answered ${answer.status}`)
    return answer.body as T
  }

  private async credentials(scope: Scope | undefined): Promise<Record<string, string>> {
    const { tokens } = this
    if (!tokens) return { 'x-api-key': this.settings.internalKeys[0] ?? '' }
    return scope ? { authorization: `Bearer ${await tokens.token(scope)}` } : {}
  }

  /** @throws NoAnswer, or the reason for which `fetch` rejects */
  private async send(url: string, { body, headers }: Sent): Promise<Received> {
    if (this.closed) throw new NoAnswer('The guard was closed')
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(new NoAnswer('It did not answer in time')), CALL_TIMEOUT)
    this.active.add(controller)
    try {
      const response = await this.settings.fetch(
        new Request(url, {
          method: body === undefined ? 'GET' : 'POST',
          headers,
          ...(body === undefined ? {} : { body }),
          // A redirect would send the credentials to another address.
          redirect: 'error',
          signal: controller.signal,
        }),
      )
      return { status: response.status, body: response.ok ? await response.json() : undefined }
    } finally {
      clearTimeout(timer)
      this.active.delete(controller)
    }
  }
}

const KEY_REFUSED = 'The internal key was refused'
const TOKEN_REFUSED = 'The token of the client was refused'
