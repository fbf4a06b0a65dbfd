import { treaty } from '@elysiajs/eden'
import type { AuthApi } from '../../services/auth/index.ts'
import type { FieldError } from '../../services/kit/field-errors.ts'
import type { ModulesApi } from '../../services/modules/index.ts'
import type { ServiceName } from '../../services/registry.ts'
import type { UsersApi } from '../../services/users/index.ts'
import { EXIT, exitOf, Failure } from '../exit.ts'
import { quoted } from '../terminal/shell.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { type Connection, isLocal, noCredential } from './connection.ts'
import type { Ask, MissingProof } from './reauthentication.ts'
import { request } from './requests.ts'
import { bounded, errorsIn, isProblem, isRecord, problemIn } from './responses.ts'
import { Session } from './session.ts'
import type { Environment } from './settings.ts'

type Suggest = (code: string, errors: readonly FieldError[]) => string | undefined

interface EdenAnswer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
}

/** The command that fixes a problem, by its code. */
const FIXES: Record<string, string> = {
  invalid_api_key: 'ch202 config show --origin',
  invalid_token: 'ch202 config show --origin',
  token_expired: 'ch202 login <url>',
  token_revoked: 'ch202 login <url>',
  reauthentication_required: 'ch202 login <url>',
  forbidden: 'ch202 status',
  user_not_found: 'ch202 users list --search <part>',
  session_not_found: 'ch202 sessions list',
  module_not_found: 'ch202 modules list',
  client_not_found: 'ch202 clients list',
  last_admin: 'ch202 users list --role ADMIN',
  users_unavailable: 'ch202 health',
  auth_unavailable: 'ch202 health',
  modules_unavailable: 'ch202 health',
  database_unavailable: 'ch202 doctor',
  internal_error: 'ch202 logs --level error',
}

/** Typed client of the services' APIs, with the operator's credential. */
export class Api {
  private readonly session: Session | undefined

  constructor(
    private readonly connection: Connection,
    private readonly debug: boolean,
    private readonly env: Environment = process.env,
    /** Undefined: nobody can be asked. */
    ask?: Ask,
  ) {
    const { credential } = connection
    if (credential?.kind === 'session') this.session = new Session(credential.context, env, debug, ask)
  }

  /**
   * Calls auth.
   * @param suggest gives the command that fixes a problem, by its code and its field errors
   * @throws Failure with the problem's message, code and request id
   */
  auth<T>(call: (auth: ReturnType<typeof treaty<AuthApi>>) => Promise<EdenAnswer<T>>, suggest?: Suggest): Promise<T> {
    return this.answerOf('auth', call(treaty<AuthApi>(this.base('auth'), this.config())), suggest)
  }

  /** As `auth`. */
  users<T>(
    call: (users: ReturnType<typeof treaty<UsersApi>>) => Promise<EdenAnswer<T>>,
    suggest?: Suggest,
  ): Promise<T> {
    return this.answerOf('users', call(treaty<UsersApi>(this.base('users'), this.config())), suggest)
  }

  /** As `auth`. */
  modules<T>(
    call: (modules: ReturnType<typeof treaty<ModulesApi>>) => Promise<EdenAnswer<T>>,
    suggest?: Suggest,
  ): Promise<T> {
    return this.answerOf('modules', call(treaty<ModulesApi>(this.base('modules'), this.config())), suggest)
  }

  /**
   * Sends a request with the credential, without types: for streams, and for paths that the types do not cover.
   * @param path begins with a slash
   * @param init `anonymous`: send no credential; `timeoutMs`: milliseconds to wait for a response
   * @throws Failure without a response
   */
  async fetch(
    service: ServiceName,
    path: string,
    init: RequestInit & { timeoutMs?: number; anonymous?: boolean } = {},
  ): Promise<Response> {
    const { anonymous, timeoutMs, ...rest } = init
    const url = `${this.connection.addresses[service].value}${path}`
    try {
      return anonymous
        ? await request(url, rest, this.requestOptions(timeoutMs))
        : await this.send(url, rest, timeoutMs)
    } catch (error) {
      throw error instanceof Failure ? error : this.noResponse(service, error)
    }
  }

  /** Turns a response that reports a problem into a failure; accepts any other. @throws Failure */
  async refuseProblem(service: ServiceName, response: Response, suggest?: Suggest): Promise<void> {
    if (response.ok) return
    const value = await bounded(response)
      .json()
      .catch(() => 'no problem')
    this.refuse(service, response.status, value, suggest)
  }

  /** The failure for a response that no Ch202 service would give. */
  notOurService(service: ServiceName): Failure {
    const { value } = this.connection.addresses[service]
    return new Failure(EXIT.tryAgain, `The server at ${value} is not the ${service} service`, {
      code: 'unreachable',
      suggestion: 'ch202 config show --origin',
    })
  }

  private base(service: ServiceName): string {
    return `${this.connection.addresses[service].value}/api/v1`
  }

  private config() {
    return {
      parseDate: false as const,
      fetcher: (async (url: string, init?: RequestInit) =>
        bounded(await this.send(url, init ?? {}))) as typeof globalThis.fetch,
    }
  }

  private async send(url: string, init: RequestInit, timeoutMs?: number): Promise<Response> {
    const { credential } = this.connection
    if (credential === null) throw noCredential(this.connection, this.env)
    const tokenOf = async () => (credential.kind === 'session' ? await this.session?.token() : credential.value) ?? ''
    const sendWith = (value: string) => {
      const headers = new Headers(init.headers)
      if (credential.kind === 'key') headers.set('x-api-key', value)
      else headers.set('authorization', `Bearer ${value}`)
      return request(url, { ...init, headers }, this.requestOptions(timeoutMs))
    }
    let value = await tokenOf()
    let answer = await sendWith(value)
    if (!this.session || init.body instanceof ReadableStream) return answer
    // The user's roles or the signing key may have changed: a refresh gives a valid token. It is no new login.
    if (answer.status === 401 && !(await proofNeeded(answer))) {
      if (!(await this.session.renew())) throw this.session.renewalFailure()
      value = await tokenOf()
      answer = await sendWith(value)
    }
    // Twice: the token of another command, which takes the place of this one, may be too old as well.
    for (let tries = 0; tries < 2; tries++) {
      const missing = await proofNeeded(answer)
      if (!missing) break
      await this.session.reauthenticate(value, missing)
      value = await tokenOf()
      answer = await sendWith(value)
    }
    return answer
  }

  private requestOptions(timeoutMs?: number) {
    return { debug: this.debug, ...withoutUndefined({ timeoutMs }) }
  }

  private async answerOf<T>(service: ServiceName, call: Promise<EdenAnswer<T>>, suggest?: Suggest): Promise<T> {
    // Throws when a response declared as JSON is not.
    const answer = await call.catch(() => undefined)
    if (answer?.error === null && (answer.status === 204 || isRecord(answer.data))) return answer.data as T
    const value = answer?.error?.value
    // The client turns an error of fetch into a response with status 503.
    if (value instanceof Failure) throw value
    if (value instanceof Error) throw this.noResponse(service, value)
    this.refuse(service, answer?.status ?? 0, answer?.error ? value : 'no answer', suggest)
  }

  private noResponse(service: ServiceName, error: unknown): Failure {
    const { value } = this.connection.addresses[service]
    const isTimeout = error instanceof Error && error.name === 'TimeoutError'
    return new Failure(
      EXIT.tryAgain,
      `The ${service} service does not answer at ${value}${isTimeout ? ' in time' : ''}`,
      {
        code: 'unreachable',
        suggestion: isLocal(value) && this.connection.credential?.kind !== 'session' ? 'ch202 start' : 'ch202 status',
        retryable: true,
      },
    )
  }

  private refuse(service: ServiceName, status: number, value: unknown, suggest: Suggest = () => undefined): never {
    if (!isProblem(value)) throw this.notOurService(service)
    const { code = 'unknown', message = `Status ${status}`, requestId } = value
    const errors = errorsIn(value)
    const suggestion =
      suggest(code, errors ?? []) ?? FIXES[code]?.replace('<url>', () => quoted(this.connection.addresses.auth.value))
    throw new Failure(exitOf(status), [message].flat().join('; '), {
      code,
      retryable: status === 429 || status >= 500,
      ...withoutUndefined({ errors, requestId, suggestion }),
    })
  }
}

/** Why a call was refused that a new proof of the same session may allow. */
async function proofNeeded(answer: Response): Promise<MissingProof | undefined> {
  if (answer.status !== 401 || (await problemIn(answer))?.code !== 'reauthentication_required') return undefined
  // With an age the last login was too long ago (RFC 9470, 3).
  return /\bmax_age=/.test(answer.headers.get('www-authenticate') ?? '') ? 'recent' : 'second factor'
}

/**
 * Encodes a name as one segment of a path.
 * @throws Failure for an empty name, `.` and `..`, which lead to another path
 */
export function segment(name: string): string {
  if (/^\.{0,2}$/.test(name))
    throw new Failure(EXIT.notFound, `There is nothing with the name '${name}'`, { code: 'not_found' })
  return encodeURIComponent(name)
}
