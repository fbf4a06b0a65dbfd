import { type Context, readContext, writeContext } from './contexts.ts'
import { EXIT, Failure } from './exit.ts'
import { request } from './requests.ts'
import type { Environment } from './settings.ts'

/** An access token is renewed when it has less than this left. */
const SPARE = 30_000

/** The answer of a login or a refresh, as much of it as is kept. */
export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
  session_id: string
}

/** What of a context the tokens are. */
export function kept({ access_token, expires_in, refresh_token, session_id }: Tokens) {
  return { access_token, refresh_token, session_id, access_until: Date.now() + expires_in * 1000 }
}

/** The session of a context, refreshed as needed. */
export class Session {
  constructor(
    private context: Context,
    private readonly env: Environment,
    private readonly debug: boolean,
  ) {}

  /** An access token that is good for a while. @throws Failure where the session has ended */
  async token(): Promise<string> {
    if (this.context.access_until - Date.now() < SPARE) await this.renew()
    return this.context.access_token
  }

  /** Gets new tokens. False: the session is newer than that already. @throws Failure where the session has ended */
  async renew(): Promise<boolean> {
    // Another command may have been first: its refresh token is the one that lives.
    const latest = readContext(this.env, this.context.name)
    if (latest && latest.access_token !== this.context.access_token && latest.access_until - Date.now() > SPARE) {
      this.context = latest
      return true
    }
    const { auth, name, refresh_token } = latest ?? this.context
    const answer = await request(
      `${auth}/api/v1/auth/refresh`,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ refresh_token }) },
      { debug: this.debug },
    )
    const body = (await answer.json().catch(() => ({}))) as Partial<Tokens> & { code?: string }
    if (!answer.ok || !body.access_token) {
      if (answer.status !== 401) return false
      throw new Failure(EXIT.notLoggedIn, `The session of the context ${name} has ended`, {
        code: body.code ?? 'invalid_refresh_token',
        suggestion: `ch202 login ${auth}`,
      })
    }
    this.context = { ...(latest ?? this.context), ...kept(body as Tokens) }
    writeContext(this.env, this.context)
    return true
  }
}
