import { treaty } from '@elysiajs/eden'
import type { AuthApi } from '../../services/auth/index.ts'
import type { ModulesApi } from '../../services/modules/index.ts'
import type { UsersApi } from '../../services/users/index.ts'
import { EXIT, exitOf, Failure } from '../exit.ts'
import { withoutUndefined } from '../without-undefined.ts'
import { type Connection, isLocal, noCredential, type Place } from './connection.ts'
import { request } from './requests.ts'
import { bounded, errorsIn, isProblem, isRecord } from './responses.ts'
import { Session } from './session.ts'
import type { Environment } from './settings.ts'

type Suggest = (code: string) => string | undefined

interface Answer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
}

/** The command that mends a problem, where its code alone says which. */
const MENDS: Record<string, string> = {
  invalid_api_key: 'ch202 config show --origin',
  invalid_token: 'ch202 config show --origin',
  token_expired: 'ch202 login <url>',
  token_revoked: 'ch202 login <url>',
  forbidden: 'ch202 status',
  user_not_found: 'ch202 users list --search <part>',
  session_not_found: 'ch202 sessions list',
  module_not_found: 'ch202 modules list',
  last_admin: 'ch202 users list --role ADMIN',
  users_unavailable: 'ch202 health',
  auth_unavailable: 'ch202 health',
  modules_unavailable: 'ch202 health',
  database_unavailable: 'ch202 doctor',
  internal_error: 'ch202 logs --level error',
}

/** The typed client that the services use for each other, as an operator. */
export class Api {
  private readonly session: Session | undefined

  constructor(
    private readonly connection: Connection,
    private readonly debug: boolean,
    private readonly env: Environment = process.env,
  ) {
    const { credential } = connection
    if (credential?.kind === 'session') this.session = new Session(credential.context, env, debug)
  }

  /** @param suggest the command that mends a problem, by its code @throws Failure with the problem's text, code and request id */
  auth<T>(call: (auth: ReturnType<typeof treaty<AuthApi>>) => Promise<Answer<T>>, suggest?: Suggest): Promise<T> {
    return this.answerOf('auth', call(treaty<AuthApi>(this.base('auth'), this.config())), suggest)
  }

  /** As `auth`. */
  users<T>(call: (users: ReturnType<typeof treaty<UsersApi>>) => Promise<Answer<T>>, suggest?: Suggest): Promise<T> {
    return this.answerOf('users', call(treaty<UsersApi>(this.base('users'), this.config())), suggest)
  }

  /** As `auth`. */
  modules<T>(
    call: (modules: ReturnType<typeof treaty<ModulesApi>>) => Promise<Answer<T>>,
    suggest?: Suggest,
  ): Promise<T> {
    return this.answerOf('modules', call(treaty<ModulesApi>(this.base('modules'), this.config())), suggest)
  }

  /**
   * A request as it stands, with the credential: for streams, and for paths that have no types.
   * @param path begins with a slash
   * @param init `anyone`: without the credential @throws Failure where nothing answers
   */
  async fetch(
    place: Place,
    path: string,
    init: RequestInit & { patience?: number; anyone?: boolean } = {},
  ): Promise<Response> {
    const { anyone, patience, ...rest } = init
    const url = `${this.connection.addresses[place].value}${path}`
    try {
      return anyone ? await request(url, rest, this.manner(patience)) : await this.send(url, rest, patience)
    } catch (error) {
      throw error instanceof Failure ? error : this.silence(place, error)
    }
  }

  /** @throws Failure for a response that is a problem */
  async refuseProblem(place: Place, response: Response, suggest?: Suggest): Promise<void> {
    if (response.ok) return
    const value = await bounded(response)
      .json()
      .catch(() => 'no problem')
    this.refuse(place, response.status, value, suggest)
  }

  /** For an answer that none of ours would give. */
  stranger(place: Place): Failure {
    const { value } = this.connection.addresses[place]
    return new Failure(EXIT.tryAgain, `What answers at ${value} is not the ${place} service`, {
      code: 'unreachable',
      suggestion: 'ch202 config show --origin',
    })
  }

  private base(place: Place): string {
    return `${this.connection.addresses[place].value}/api/v1`
  }

  private config() {
    return {
      parseDate: false as const,
      fetcher: (async (url: string, init?: RequestInit) =>
        bounded(await this.send(url, init ?? {}))) as typeof globalThis.fetch,
    }
  }

  private async send(url: string, init: RequestInit, patience?: number): Promise<Response> {
    const { credential } = this.connection
    if (credential === null) throw noCredential(this.connection, this.env)
    const ask = async () => {
      const headers = new Headers(init.headers)
      if (credential.kind === 'key') headers.set('x-api-key', credential.value)
      else
        headers.set(
          'authorization',
          `Bearer ${credential.kind === 'token' ? credential.value : await this.session?.token()}`,
        )
      return request(url, { ...init, headers }, this.manner(patience))
    }
    const answer = await ask()
    // Its roles may have changed, or its key may be gone: a refresh gives a token of today.
    if (answer.status !== 401 || !this.session || init.body instanceof ReadableStream) return answer
    if (!(await this.session.renew())) throw this.session.stuck()
    return await ask()
  }

  private manner(patience?: number) {
    return { debug: this.debug, ...withoutUndefined({ patience }) }
  }

  private async answerOf<T>(place: Place, call: Promise<Answer<T>>, suggest?: Suggest): Promise<T> {
    // It throws at what calls itself JSON and is none.
    const answer = await call.catch(() => undefined)
    if (answer?.error === null && (answer.status === 204 || isRecord(answer.data))) return answer.data as T
    const value = answer?.error?.value
    // What fetch threw: the client hands it on as if a server had said 503.
    if (value instanceof Failure) throw value
    if (value instanceof Error) throw this.silence(place, value)
    this.refuse(place, answer?.status ?? 0, answer?.error ? value : 'no answer', suggest)
  }

  private silence(place: Place, error: unknown): Failure {
    const { value } = this.connection.addresses[place]
    const late = error instanceof Error && error.name === 'TimeoutError'
    return new Failure(EXIT.tryAgain, `The ${place} service does not answer at ${value}${late ? ' in time' : ''}`, {
      code: 'unreachable',
      suggestion: isLocal(value) && this.connection.credential?.kind !== 'session' ? 'ch202 start' : 'ch202 status',
      retryable: true,
    })
  }

  private refuse(place: Place, status: number, value: unknown, suggest: Suggest = () => undefined): never {
    if (!isProblem(value)) throw this.stranger(place)
    const { code = 'unknown', message = `Status ${status}`, requestId } = value
    const suggestion = suggest(code) ?? MENDS[code]?.replace('<url>', this.connection.addresses.auth.value)
    throw new Failure(exitOf(status), [message].flat().join('; '), {
      code,
      retryable: status === 429 || status >= 500,
      ...withoutUndefined({ errors: errorsIn(value), requestId, suggestion }),
    })
  }
}

/**
 * A name as one part of a path, whatever is typed.
 * @throws Failure for what would lead to another path
 */
export function segment(name: string): string {
  if (/^\.{0,2}$/.test(name)) throw new Failure(EXIT.notFound, `Nothing has the name '${name}'`, { code: 'not_found' })
  return encodeURIComponent(name)
}
