import { EXIT, Failure } from '../exit.ts'
import { alone, type Context, readContext, writeContext } from './contexts.ts'
import { request } from './requests.ts'
import type { Environment } from './settings.ts'

/** An access token is renewed when it has less than this left, or less than half of its life. */
const SPARE = 30_000

/** The answer of a login or a refresh, as much of it as is kept. */
export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
  refresh_expires_in: number
  session_id: string
}

/** What of a context the tokens are. */
export function kept({ access_token, expires_in, refresh_token, refresh_expires_in, session_id }: Tokens) {
  const now = Date.now()
  return {
    access_token,
    access_until: now + expires_in * 1000 - Math.min(SPARE, expires_in * 500),
    refresh_token,
    session_id,
    session_until: now + refresh_expires_in * 1000,
  }
}

/** Whether the access token is good for a while, so that nothing has to be renewed. */
export function isFresh({ access_until }: Context): boolean {
  return Date.now() < access_until
}

const PATIENCE = 10_000

/**
 * Ends the session of a context at its instance.
 * @returns false where it could not be ended: nothing answers, or not as it should
 */
export async function endSession({ auth, refresh_token }: Context, debug: boolean): Promise<boolean> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ refresh_token }),
  }
  const manner = { debug, patience: PATIENCE, repeatable: true }
  const answer = await request(`${auth}/api/v1/auth/logout`, init, manner).catch(() => undefined)
  // 401: it has ended before.
  return answer !== undefined && (answer.ok || answer.status === 401)
}

/** The session of a context, refreshed as needed. */
export class Session {
  private renewing: Promise<boolean> | undefined

  constructor(
    private context: Context,
    private readonly env: Environment,
    private readonly debug: boolean,
  ) {}

  /** An access token that is good for a while. @throws Failure where the session has ended */
  async token(): Promise<string> {
    if (!isFresh(this.context)) await this.renew()
    return this.context.access_token
  }

  /** Gets new tokens. False: there are none to be had now. @throws Failure where the session has ended */
  renew(): Promise<boolean> {
    this.renewing ??= alone(this.env, this.context.name, () => this.refresh()).finally(() => {
      this.renewing = undefined
    })
    return this.renewing
  }

  /** For a token that is refused, with no other to be had. */
  stuck(): Failure {
    const { auth, name } = this.context
    return new Failure(
      EXIT.tryAgain,
      `The session of the context ${name} can't be renewed: nothing answers at ${auth}`,
      {
        code: 'unreachable',
        suggestion: 'ch202 status',
        retryable: true,
      },
    )
  }

  private async refresh(): Promise<boolean> {
    // Another command may have been first: its refresh token is the one that lives.
    const latest = readContext(this.env, this.context.name)
    if (latest?.session_id === this.context.session_id && latest.access_token !== this.context.access_token) {
      this.context = latest
      if (isFresh(latest)) return true
    }
    const { auth, name, refresh_token } = this.context
    const answer = await request(
      `${auth}/api/v1/auth/refresh`,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ refresh_token }) },
      // The token spent last is answered again: a lost answer can be asked for.
      { debug: this.debug, patience: PATIENCE, repeatable: true },
    ).catch(() => undefined)
    // What there is may be good for a while yet.
    if (!answer) return false
    const body = (await answer.json().catch(() => ({}))) as Partial<Tokens> & { code?: string }
    if (!answer.ok || !body.access_token) {
      if (answer.status !== 401) return false
      throw new Failure(EXIT.notLoggedIn, `The session of the context ${name} has ended`, {
        code: body.code ?? 'invalid_refresh_token',
        suggestion: `ch202 login ${auth} --name ${name}`,
      })
    }
    this.context = { ...this.context, ...kept(body as Tokens) }
    // Who logged out meanwhile, or logged in again, has the last word.
    if (latest?.session_id === this.context.session_id) writeContext(this.env, this.context)
    return true
  }
}
