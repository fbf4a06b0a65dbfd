/** The next request of a client, whole; `answer`: the body it got last. Null: it is done. */
export type Requests = (client: number, answer: string | null) => string | null

interface Bearers {
  tokens: string[]
}

function request(line: string, host: string, headers: Record<string, string>, body?: unknown): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  const own = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(text.length) }
  const lines = Object.entries({ host, ...headers, ...own }).map(([name, value]) => `${name}: ${value}`)
  return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${text}`
}

/** The one after the other, for all clients together, from the beginning again at the end. */
function inTurn<T>(items: readonly T[]): () => T {
  let next = 0
  return () => items[next++ % items.length] as T
}

/** Made once, sent again and again. */
function again(requests: string[]): Requests {
  const next = inTurn(requests)
  return () => next()
}

/** What is sent, by name. All text is ASCII, so that a length in characters is one in bytes. */
export const scripts = {
  login: ({ users }: { users: { email: string; password: string }[] }, host: string) =>
    again(users.map(({ email, password }) => request('POST /api/v1/auth/login', host, {}, { email, password }))),

  validate: ({ tokens }: Bearers, host: string) =>
    again(tokens.map((token) => request('POST /api/v1/auth/validate-token', host, {}, { token }))),

  readUser: ({ users }: { users: { id: string; token: string }[] }, host: string) =>
    again(users.map(({ id, token }) => request(`GET /api/v1/users/${id}`, host, { authorization: `Bearer ${token}` }))),

  modules: ({ tokens }: Bearers, host: string) =>
    again(tokens.map((token) => request('GET /api/v1/modules/', host, { authorization: `Bearer ${token}` }))),

  /** Each client goes on with the token that its last answer brought. */
  refresh({ refreshTokens }: { refreshTokens: string[] }, host: string): Requests {
    const held = new Map<number, string>()
    return (client, answer) => {
      const token = answer ? (JSON.parse(answer).refresh_token as string) : refreshTokens[client]
      if (token === undefined) throw new Error('There is no refresh token to go on with')
      held.set(client, token)
      return request('POST /api/v1/auth/refresh', host, {}, { refresh_token: token })
    }
  },

  createUser({ key, hash, from }: { key: string; hash: string; from: string }, host: string): Requests {
    let made = 0
    return () => {
      const email = `${from}-${made++}@example.org`
      return request('POST /api/v1/users', host, { 'x-api-key': key }, { email, password_hash: hash })
    }
  },

  /** Any requests, as they are. */
  lines: ({ lines, headers }: { lines: string[]; headers: Record<string, string> }, host: string) =>
    again(lines.map((line) => request(line, host, headers))),

  posts: ({ posts }: { posts: { path: string; body: unknown }[] }, host: string) =>
    again(posts.map(({ body, path }) => request(`POST ${path}`, host, {}, body))),

  cookies: ({ cookies }: { cookies: string[] }, host: string) =>
    again(cookies.map((cookie) => request('GET /api/auth/get-session', host, { cookie }))),

  signUp({ from, password, path }: { from: string; password: string; path: string }, host: string): Requests {
    let made = 0
    return () => request(`POST ${path}`, host, {}, { email: `${from}-${made++}@example.org`, name: 'Ana', password })
  },
} satisfies Record<string, (data: never, host: string) => Requests>
