import { createHash } from 'node:crypto'
import { call, form } from '../http.ts'
import type { System } from '../system.ts'
import { createClient, type OAuthClient } from './clients.ts'

type AtAuth = Pick<System, 'url'>

const VERIFIER = 'a-verifier-of-pkce-that-has-at-least-43-characters'
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')

export interface GrantedTokens {
  access_token: string
  refresh_token?: string
  id_token: string
  scope: string
}

/** An app on this machine that people sign in to: a public client, and a server for the browsers that come back. */
export class RelyingParty {
  /** The addresses at which browsers came back, the last one at the end. */
  readonly got: URL[] = []
  /** A page of the app, at `/page`. */
  page = ''

  private constructor(
    private readonly system: AtAuth,
    private readonly server: { stop(force: boolean): Promise<void> },
    readonly origin: string,
    readonly client: OAuthClient,
  ) {}

  /** @param fields settings of the client. @throws Error if it is refused */
  static async start(system: AtAuth, fields: Record<string, unknown> = {}): Promise<RelyingParty> {
    let party: RelyingParty | undefined
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch({ url }) {
        const at = new URL(url)
        if (at.pathname !== '/favicon.ico' && at.pathname !== '/page') party?.got.push(at)
        const html = at.pathname === '/page' ? (party?.page ?? '') : '<title>The app</title><h1>The app</h1>'
        return new Response(`<!doctype html>${html}`, { headers: { 'content-type': 'text/html; charset=utf-8' } })
      },
    })
    const origin = `http://127.0.0.1:${server.port}`
    const client = await createClient(system, {
      kind: 'public',
      token_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [`${origin}/callback`],
      post_logout_redirect_uris: [`${origin}/bye`],
      scopes: ['openid', 'profile', 'email', 'offline_access', 'roles', 'modules'],
      require_pkce: true,
      ...fields,
    })
    party = new RelyingParty(system, server, origin, client)
    return party
  }

  /** The parameters of an authorization. @param more others, or in their place; undefined leaves one out */
  parameters(more: Record<string, string | undefined> = {}): Record<string, string> {
    const all = {
      response_type: 'code',
      client_id: this.client.id,
      redirect_uri: `${this.origin}/callback`,
      scope: 'openid email',
      state: 'a state',
      nonce: 'a nonce',
      code_challenge: CHALLENGE,
      code_challenge_method: 'S256',
      ...more,
    }
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined))
  }

  /** The path of an authorization at the pages. */
  authorize(more: Record<string, string | undefined> = {}): string {
    return `/oauth/authorize?${new URLSearchParams(this.parameters(more))}`
  }

  /** The parameters with which the last browser came back. */
  get answer(): Record<string, string> {
    return Object.fromEntries(this.got.at(-1)?.searchParams ?? [])
  }

  /** Redeems a code, by default that of the last browser. @throws Error if it is refused */
  async redeem(code = this.answer.code ?? ''): Promise<GrantedTokens> {
    const answer = await this.requestToken({
      grant_type: 'authorization_code',
      code,
      code_verifier: VERIFIER,
      redirect_uri: `${this.origin}/callback`,
    })
    if (answer.status !== 200) throw new Error(`token: ${answer.status} ${answer.text}`)
    return answer.body
  }

  /** Sends a request to the token endpoint. */
  requestToken(fields: Record<string, string>) {
    return call(this.system.url.auth, 'POST /oauth/token', form({ client_id: this.client.id, ...fields }))
  }

  stop(): Promise<void> {
    return this.server.stop(true)
  }
}

/** The claims of a JWT, unchecked. */
export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
