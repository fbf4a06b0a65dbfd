import { afterAll } from 'bun:test'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { as, call } from '../http.ts'
import type { System } from '../system.ts'

/** A logout token as an app got it. */
export interface ReceivedLogout {
  path: string
  contentType: string | null
  token: string
  claims: Record<string, unknown>
}

type Answers = (received: ReceivedLogout) => Response | Promise<Response>

/** The server of apps that are told of the end of sessions. Tests change its answers. */
export class LogoutReceiver {
  readonly received: ReceivedLogout[] = []
  answers: Answers = () => new Response(null, { status: 200 })
  private readonly server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const token = new URLSearchParams(await request.text()).get('logout_token') ?? ''
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString() || '{}')
      const contentType = request.headers.get('content-type')
      const received = { path: new URL(request.url).pathname, contentType, token, claims }
      this.received.push(received)
      return this.answers(received)
    },
  })

  get url(): string {
    return `http://127.0.0.1:${this.server.port}`
  }

  /** The tokens that arrived about a user. */
  about(userId: string): ReceivedLogout[] {
    return this.received.filter(({ claims }) => claims.sub === userId)
  }

  close(): Promise<void> {
    return this.server.stop(true)
  }
}

/** Opens a receiver for the tests of the `describe` that calls it, and closes it after them. */
export function logoutReceiver(): LogoutReceiver {
  const receiver = new LogoutReceiver()
  afterAll(() => receiver.close())
  return receiver
}

/** Verifies a logout token as an app does (OpenID Connect Back-Channel Logout, 2.6). @throws when it is invalid */
export async function verifyLogout({ url }: Pick<System, 'url'>, token: string, issuer: string, audience: string) {
  const keys = createRemoteJWKSet(new URL(`${url.auth}/.well-known/jwks.json`))
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'logout+jwt',
    requiredClaims: ['sub', 'sid', 'iat', 'exp', 'jti', 'events'],
  })
  return { payload, header: protectedHeader }
}

/** The rows of the audit about notices to apps, for a user. */
export async function logoutRows({ url }: Pick<System, 'url'>, userId: string) {
  const { body } = await call(url.auth, `GET /api/v1/admin/audit?user_id=${userId}&size=100`, { headers: as.operator })
  const rows: { type: string; detail: Record<string, unknown> }[] = body.items
  return rows.filter(({ type }) => type.startsWith('client.logout_'))
}
