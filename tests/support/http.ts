import { eventually } from './eventually.ts'
import { INTERNAL_KEY, OPERATOR_KEY } from './settings.ts'

/** The headers with the credentials of a request: `{ headers: as.operator }`. */
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

/** The body and the headers of a request. */
export interface Options {
  body?: unknown
  headers?: Record<string, string>
}

/** Sends requests such as `GET /users` to one service. */
export type Client = (request: string, options?: Options) => Promise<Answer>

/**
 * Sends one request over HTTP. A body that is neither a string, bytes nor a stream is sent as JSON.
 * @param request the method and the path, such as `GET /users`
 */
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

/** Waits until a service has received the requests sent before: it reads the sockets in the order of their data. */
export async function arrived(base: string): Promise<void> {
  await Bun.sleep(100)
  for (let n = 0; n < 3; n++) await call(base, 'GET /health')
}

/** Waits until a balancer may send requests to every service. */
export async function awaitReadiness({ url }: { url: Record<string, string> }): Promise<void> {
  for (const base of Object.values(url))
    await eventually(async () => (await call(base, 'GET /health/ready')).status === 200)
}

/** A client that sends each request to its path under `/api/v1`. @param base gives the address of the service */
export function clientOf(base: () => string): Client {
  return (request, options) => call(base(), request.replace(' ', ' /api/v1'), options)
}

/** A request of the operator, by their key. */
export function byOperator(body?: unknown): Options {
  return { headers: as.operator, ...(body === undefined ? {} : { body }) }
}

/** A request with lines of JSON, as the import takes them. A string is sent unchanged. */
export function jsonLines(lines: readonly unknown[], headers: Record<string, string> = as.operator): Options {
  return {
    body: lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    headers: { 'content-type': 'application/x-ndjson', ...headers },
  }
}

/** Parses the lines of an answer of JSON lines. */
export function parseLines({ text }: Pick<Answer, 'text'>) {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** A body as a form sends it (RFC 7009 and RFC 7662 ask for one). */
export function form(fields: Record<string, string>, headers: Record<string, string> = {}): Options {
  return {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  }
}
