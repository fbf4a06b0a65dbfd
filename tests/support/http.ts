import { INTERNAL_KEY, OPERATOR_KEY } from './settings.ts'

/** The credentials of a request. */
export const as = {
  operator: { 'x-api-key': OPERATOR_KEY },
  internal: { 'x-api-key': INTERNAL_KEY },
  bearer: (token: string) => ({ authorization: `Bearer ${token}` }),
}

/** A response that was read to its end. `text` holds its body as sent, `body` the parsed JSON or else the text. */
export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read responses of every shape and assert what they find
  body: any
}

export interface Options {
  body?: unknown
  headers?: Record<string, string>
}

/** Sends requests such as `GET /users` to one service. */
export type Client = (request: string, options?: Options) => Promise<Answer>

/** One request over HTTP. A body that is neither a string, bytes nor a stream is sent as JSON. */
export async function call(base: string, request: string, options: Options = {}): Promise<Answer> {
  const [method = 'GET', path = '/'] = request.split(' ')
  const { body, headers = {} } = options
  const raw = typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream
  const response = await fetch(base + path, {
    method,
    headers: { ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
  })
  const text = await response.text()
  let parsed: unknown = text
  try {
    parsed = JSON.parse(text)
  } catch {
    // Not JSON.
  }
  return { status: response.status, headers: response.headers, text, body: parsed }
}

/** Resolves when a service has received what was sent before: it reads the sockets in the order in which they have data. */
export async function arrived(base: string): Promise<void> {
  await Bun.sleep(100)
  for (let n = 0; n < 3; n++) await call(base, 'GET /health')
}

/** A client of the paths under `/api/v1`. */
export function clientOf(base: () => string): Client {
  return (request, options) => call(base(), request.replace(' ', ' /api/v1'), options)
}

/** A body as a form sends it (RFC 7009 and RFC 7662 ask for one). */
export function form(fields: Record<string, string>, headers: Record<string, string> = {}): Options {
  return {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  }
}
