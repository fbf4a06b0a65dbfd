/** Returns the complete next request of a client; null at the end. `answer` is the body of its last response. */
export type Requests = (client: number, answer: string | null) => string | null

interface Bearers {
  tokens: string[]
}

function request(line: string, host: string, headers: Record<string, string>, body?: unknown): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  const bodyHeaders =
    body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(text.length) }
  const lines = Object.entries({ host, ...headers, ...bodyHeaders }).map(([name, value]) => `${name}: ${value}`)
  return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${text}`
}

/** Returns the items one after the other, for all clients together, and starts over at the end. */
function inTurn<T>(items: readonly T[]): () => T {
  let next = 0
  return () => items[next++ % items.length] as T
}

/** Requests that are built once and sent repeatedly. */
function repeated(requests: string[]): Requests {
  const next = inTurn(requests)
  return () => next()
}

/** The scripts by name. All text is ASCII, so that its length in characters equals that in bytes. */
export const scripts = {
  login: ({ users }: { users: { email: string; password: string }[] }, host: string) =>
    repeated(users.map(({ email, password }) => request('POST /api/v1/auth/login', host, {}, { email, password }))),

  validate: ({ tokens }: Bearers, host: string) =>
    repeated(tokens.map((token) => request('POST /api/v1/auth/validate-token', host, {}, { token }))),

  readUser: ({ users }: { users: { id: string; token: string }[] }, host: string) =>
    repeated(
      users.map(({ id, token }) => request(`GET /api/v1/users/${id}`, host, { authorization: `Bearer ${token}` })),
    ),

  modules: ({ tokens }: Bearers, host: string) =>
    repeated(tokens.map((token) => request('GET /api/v1/modules/', host, { authorization: `Bearer ${token}` }))),

  /** Each client continues with the token of its last response. */
  refresh({ refreshTokens }: { refreshTokens: string[] }, host: string): Requests {
    const current = new Map<number, string>()
    return (client, answer) => {
      const token = answer ? (JSON.parse(answer).refresh_token as string) : refreshTokens[client]
      if (token === undefined) throw new Error('The client has no refresh token')
      current.set(client, token)
      return request('POST /api/v1/auth/refresh', host, {}, { refresh_token: token })
    }
  },

  /** Each token is sent once: it is refused afterwards. */
  logout({ tokens }: Bearers, host: string): Requests {
    const remaining = [...tokens]
    return () => {
      const token = remaining.pop()
      return token === undefined
        ? null
        : request('POST /api/v1/auth/logout', host, { authorization: `Bearer ${token}` })
    }
  },

  createUser({ key, hash, from }: { key: string; hash: string; from: string }, host: string): Requests {
    let created = 0
    return () => {
      const email = `${from}-${created++}@example.org`
      return request('POST /api/v1/users', host, { 'x-api-key': key }, { email, password_hash: hash })
    }
  },

  /** Any requests without a body. */
  lines: ({ lines, headers }: { lines: string[]; headers: Record<string, string> }, host: string) =>
    repeated(lines.map((line) => request(line, host, headers))),

  posts: ({ posts }: { posts: { path: string; body: unknown }[] }, host: string) =>
    repeated(posts.map(({ body, path }) => request(`POST ${path}`, host, {}, body))),

  cookies: ({ cookies }: { cookies: string[] }, host: string) =>
    repeated(cookies.map((cookie) => request('GET /api/auth/get-session', host, { cookie }))),

  signUp({ from, password, path }: { from: string; password: string; path: string }, host: string): Requests {
    let created = 0
    return () => request(`POST ${path}`, host, {}, { email: `${from}-${created++}@example.org`, name: 'Ana', password })
  },
} satisfies Record<string, (data: never, host: string) => Requests>
