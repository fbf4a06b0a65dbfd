import { fromBase32, NEW_TOTP, totpCode, totpStep } from '../services/auth/factors/totp.ts'
import { Authenticator, type SavedAuthenticator } from '../tests/support/browser/authenticator.ts'

/** Returns the complete next request of a client; null at the end. `answer` is the body of its last response. */
export type Requests = (client: number, answer: string | null) => string | null

interface Bearers {
  tokens: string[]
}

/** An account with an app that shows codes: one login in 30 seconds. */
export interface AppLogin {
  email: string
  password: string
  /** The secret of the app, in Base32. */
  secret: string
}

/** The code of an app at this moment. */
function codeOf(secret: string): string {
  return totpCode(fromBase32(secret) ?? new Uint8Array(), NEW_TOTP, totpStep(NEW_TOTP, Date.now()))
}

const secondFactor = (host: string, challenge_id: string, secret: string) =>
  request('POST /api/v1/auth/second-factor', host, {}, { challenge_id, code: codeOf(secret) })
const passkeyLogin = (host: string, passkey: Authenticator, options: Parameters<Authenticator['get']>[0]) =>
  request('POST /api/v1/auth/passkeys/login', host, {}, { credential: passkey.get(options) })

function request(line: string, host: string, headers: Record<string, string>, body?: unknown): string {
  const text = body === undefined ? '' : JSON.stringify(body)
  const bodyHeaders =
    body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(text.length) }
  const lines = Object.entries({ host, ...headers, ...bodyHeaders }).map(([name, value]) => `${name}: ${value}`)
  return `${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${text}`
}

/** An app that uses OAuth. */
export interface App {
  /** The header by which it authenticates. */
  authorization: string
  /** The parameters of an authorization request. */
  request: { redirect_uri: string }
  verifier: string
}

function tokenRequest(host: string, { authorization }: App, fields: Record<string, string>): string {
  const text = new URLSearchParams(fields).toString()
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }
  return request('POST /oauth/token', host, { ...headers, 'content-length': String(text.length) }) + text
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

  /** Each client logs in by a password and then a code, each account once. */
  loginByCode({ accounts }: { accounts: AppLogin[] }, host: string): Requests {
    const remaining = [...accounts]
    const current = new Map<number, AppLogin>()
    return (client, answer) => {
      const begun = current.get(client)
      current.delete(client)
      if (begun && answer) return secondFactor(host, JSON.parse(answer).challenge_id, begun.secret)
      const account = remaining.pop()
      if (!account) return null
      current.set(client, account)
      const { email, password } = account
      return request('POST /api/v1/auth/login', host, {}, { email, password })
    }
  },

  /** Completes logins that wait for a code, each once. */
  codes({ logins }: { logins: { challengeId: string; secret: string }[] }, host: string): Requests {
    const remaining = [...logins]
    return () => {
      const login = remaining.pop()
      return login ? secondFactor(host, login.challengeId, login.secret) : null
    }
  },

  /** Each client logs in by a passkey of its own, again and again: asks for a challenge, and signs it. */
  loginByPasskey({ passkeys }: { passkeys: SavedAuthenticator[] }, host: string): Requests {
    const authenticators = passkeys.map((saved) => Authenticator.from(saved))
    const waiting = new Set<number>()
    return (client, answer) => {
      if (waiting.delete(client) && answer)
        return passkeyLogin(host, authenticators[client % authenticators.length] as Authenticator, JSON.parse(answer))
      waiting.add(client)
      return request('POST /api/v1/auth/passkeys/login-options', host, {}, {})
    }
  },

  /** Logs in by passkeys with challenges that were asked for before, each once. */
  passkeys(
    { challenges, passkeys }: { passkeys: SavedAuthenticator[]; challenges: { challenge: string; rpId: string }[] },
    host: string,
  ): Requests {
    const next = inTurn(passkeys.map((saved) => Authenticator.from(saved)))
    const remaining = [...challenges]
    return () => {
      const options = remaining.pop()
      return options ? passkeyLogin(host, next(), options) : null
    }
  },

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

  /** Each client asks for a code, and redeems it. */
  codeFlow({ app, tokens }: { app: App } & Bearers, host: string): Requests {
    const next = inTurn(tokens)
    const waiting = new Set<number>()
    return (client, answer) => {
      if (waiting.delete(client) && answer) {
        const code = new URL(JSON.parse(answer).redirect_to).searchParams.get('code') ?? ''
        const { redirect_uri } = app.request
        return tokenRequest(host, app, {
          grant_type: 'authorization_code',
          code,
          redirect_uri,
          code_verifier: app.verifier,
        })
      }
      waiting.add(client)
      const headers = { authorization: `Bearer ${next()}` }
      return request('POST /api/v1/auth/authorizations', host, headers, app.request)
    }
  },

  /** Each client continues with the token of its last response. */
  grantRefresh({ app, refreshTokens }: { app: App; refreshTokens: string[] }, host: string): Requests {
    return (client, answer) => {
      const refresh_token = answer ? (JSON.parse(answer).refresh_token as string) : refreshTokens[client]
      if (refresh_token === undefined) throw new Error('The client has no refresh token')
      return tokenRequest(host, app, { grant_type: 'refresh_token', refresh_token })
    }
  },

  userInfo: ({ tokens }: Bearers, host: string) =>
    repeated(tokens.map((token) => request('GET /oauth/userinfo', host, { authorization: `Bearer ${token}` }))),

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

  /** The same form, again and again. */
  form: ({ headers, path, text }: { path: string; headers: Record<string, string>; text: string }, host: string) =>
    repeated([request(`POST ${path}`, host, { ...headers, 'content-length': String(text.length) }) + text]),

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
