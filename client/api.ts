import { Ch202Error } from './error.ts'
import type { FieldError } from './types.ts'

/** A body of the API. The caller knows which fields to expect. */
export interface Body {
  code?: string
  message?: string | string[]
  requestId?: string
  errors?: FieldError[]
  challenge_id?: string | null
  expires_in?: number
  methods?: string[]
  access_token?: string
  refresh_token?: string
  session_id?: string
  device_token?: string
  tokens?: Body | null
}

export interface Answer {
  status: number
  headers: Headers
  body: Body
  /** When the request was sent, by the clock of this device. */
  sentAt: number
}

export interface SendOptions {
  /** Milliseconds after which the request is given up. */
  timeout?: number
  /** Whether the request is sent even if its page is closed now. */
  keepalive?: boolean
}

export interface Api {
  /** The address of Ch202 without a slash at its end. */
  readonly base: string
  /** Sends a request with a JSON body. @throws Ch202Error `network_error` without an answer */
  ask(path: string, body: object, options?: SendOptions): Promise<Answer>
  /** The same. @returns the body of an answer below 400 @throws Ch202Error of any other answer too */
  send(path: string, body: object, options?: SendOptions): Promise<Body>
}

/** @param url the address of Ch202 @throws TypeError if it is not an address */
export function openApi(url: string): Api {
  const { origin, pathname } = new URL(url)
  const base = origin + pathname.replace(/\/+$/, '')
  const ask: Api['ask'] = async (path, body, { keepalive = false, timeout } = {}) => {
    const giveUp = new AbortController()
    const timer = timeout && setTimeout(() => giveUp.abort(), timeout)
    const sentAt = Date.now()
    try {
      const response = await fetch(`${base}/api/v1/auth/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        // No cookie of the server's origin belongs to these requests.
        credentials: 'omit',
        keepalive,
        signal: giveUp.signal,
      })
      // The headers alone are no answer: the connection may break before the tokens.
      const text = await response.text()
      return { status: response.status, headers: response.headers, body: parsed(text), sentAt }
    } catch (cause) {
      throw new Ch202Error('The server cannot be reached', { code: 'network_error', status: 0 }, cause)
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    base,
    ask,
    async send(path, body, options) {
      const answer = await ask(path, body, options)
      if (answer.status >= 400) throw errorOf(answer)
      return answer.body
    },
  }
}

/** The error of an answer. */
export function errorOf({ body, headers, status }: Pick<Answer, 'status' | 'headers' | 'body'>): Ch202Error {
  const { code = 'unexpected_answer', errors, message, requestId } = body
  const retryAfter = Number(headers.get('retry-after') ?? Number.NaN)
  return new Ch202Error([message ?? `The server answered with status ${status}`].flat().join(', '), {
    code,
    status,
    errors,
    requestId: requestId ?? headers.get('x-request-id') ?? undefined,
    retryAfter: Number.isNaN(retryAfter) ? undefined : retryAfter,
  })
}

/** The object in a JSON text; an empty one if the text has none, such as the page of a proxy. */
export function parsed(text: string): Body {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}
