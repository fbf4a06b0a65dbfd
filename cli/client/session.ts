import { EXIT, Failure } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { type Context, readContext, withContextLock, writeContext } from './contexts.ts'
import { type Ask, type MissingProof, newProof } from './reauthentication.ts'
import { request } from './requests.ts'
import type { Environment } from './settings.ts'

/** An access token is refreshed when less than this, or less than half of its lifetime, remains. */
const SPARE_MS = 30_000

/** The stored fields of the response to a login or a refresh. */
export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
  refresh_expires_in: number
  session_id: string
}

/** The fields of a context that come from the tokens. */
export function tokenFields({ access_token, expires_in, refresh_token, refresh_expires_in, session_id }: Tokens) {
  return {
    ...accessFields({ access_token, expires_in }),
    refresh_token,
    session_id,
    session_until: Date.now() + refresh_expires_in * 1000,
  }
}

function accessFields({ access_token, expires_in }: Pick<Tokens, 'access_token' | 'expires_in'>) {
  return { access_token, access_until: Date.now() + expires_in * 1000 - Math.min(SPARE_MS, expires_in * 500) }
}

/** Whether the access token need not be refreshed yet. */
export function isFresh({ access_until }: Context): boolean {
  return Date.now() < access_until
}

/** Milliseconds to wait for a response of auth. */
const TIMEOUT = 10_000

/**
 * Ends a session at its instance.
 * @returns false if that failed, without a response or with an unexpected one
 */
export async function endSession(
  { auth, refresh_token }: Pick<Context, 'auth' | 'refresh_token'>,
  debug: boolean,
): Promise<boolean> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ refresh_token }),
  }
  const options = { debug, timeoutMs: TIMEOUT, repeatable: true }
  const answer = await request(`${auth}/api/v1/auth/logout`, init, options).catch(() => undefined)
  // 401: the session had already ended.
  return answer !== undefined && (answer.ok || answer.status === 401)
}

/** The session of a context; refreshes its tokens as needed. */
export class Session {
  private renewing: Promise<boolean> | undefined
  private reauthenticating: Promise<void> | undefined

  constructor(
    private context: Context,
    private readonly env: Environment,
    private readonly debug: boolean,
    private readonly ask: Ask | undefined,
  ) {}

  /** A valid access token. @throws Failure if the session has ended */
  async token(): Promise<string> {
    if (!isFresh(this.context)) await this.renew()
    return this.context.access_token
  }

  /** Refreshes the tokens; false if that is not possible now. @throws Failure if the session has ended */
  renew(): Promise<boolean> {
    this.renewing ??= withContextLock(this.env, this.context.name, () => this.refresh()).finally(() => {
      this.renewing = undefined
    })
    return this.renewing
  }

  /**
   * Authenticates again, for a call that refused a token because the last login was too long ago. Requests that run at the
   * same time ask once.
   * @param refused the token
   * @param missing why it was refused
   * @throws Failure if nobody can be asked, or the password or the code is wrong
   */
  async reauthenticate(refused: string, missing: MissingProof): Promise<void> {
    // Another request, or another command, may have done it meanwhile.
    const latest = readContext(this.env, this.context.name)
    if (latest?.session_id === this.context.session_id && latest.access_token !== refused) this.context = latest
    if (this.context.access_token !== refused) return
    this.reauthenticating ??= this.proveAgain(missing).finally(() => {
      this.reauthenticating = undefined
    })
    await this.reauthenticating
  }

  /** The failure for a refused token that cannot be refreshed. */
  renewalFailure(): Failure {
    const { auth, name } = this.context
    return new Failure(
      EXIT.tryAgain,
      `The session of the context ${name} cannot be refreshed: no response from ${auth}`,
      {
        code: 'unreachable',
        suggestion: 'ch202 status',
        retryable: true,
      },
    )
  }

  private async proveAgain(missing: MissingProof): Promise<void> {
    const { name } = this.context
    const { ask, debug } = this
    const renewed = await newProof(this.context, await this.token(), missing, { ask, debug, timeoutMs: TIMEOUT })
    if (!renewed) throw this.renewalFailure()
    const accessToken = accessFields(renewed)
    await withContextLock(this.env, name, async () => {
      // Another command may have refreshed the session, or ended it.
      const latest = readContext(this.env, name)
      const isSame = latest?.session_id === this.context.session_id
      this.context = { ...(isSame ? latest : this.context), ...accessToken }
      if (isSame) writeContext(this.env, this.context)
    })
  }

  private async refresh(): Promise<boolean> {
    // Another command may have refreshed first: only its refresh token is valid.
    const latest = readContext(this.env, this.context.name)
    if (latest?.session_id === this.context.session_id && latest.access_token !== this.context.access_token) {
      this.context = latest
      if (isFresh(latest)) return true
    }
    const { auth, name, refresh_token } = this.context
    const answer = await request(
      `${auth}/api/v1/auth/refresh`,
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ refresh_token }) },
      // The most recently used refresh token is accepted again, so a lost response can be requested again.
      { debug: this.debug, timeoutMs: TIMEOUT, repeatable: true },
    ).catch(() => undefined)
    // The current access token may still be valid for a while.
    if (!answer) return false
    const body = (await answer.json().catch(() => ({}))) as Partial<Tokens> & { code?: string }
    if (!answer.ok || !body.access_token) {
      if (answer.status !== 401) return false
      throw new Failure(EXIT.notLoggedIn, `The session of the context ${name} has ended`, {
        code: body.code ?? 'invalid_refresh_token',
        suggestion: `ch202 login ${quoted(auth)} --name ${name}`,
      })
    }
    this.context = { ...this.context, ...tokenFields(body as Tokens) }
    // A logout or a new login that happened meanwhile must not be overwritten.
    if (latest?.session_id === this.context.session_id) writeContext(this.env, this.context)
    return true
  }
}
