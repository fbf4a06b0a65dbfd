import { type Clock, HOUR, MINUTE, SECOND } from '../../kit/clock.ts'
import { keyOf } from './authorization.ts'
import type { SealedCookies } from './session-cookie.ts'

/** An authorization for which the person was asked to sign in. */
interface BegunAuthorization {
  /** Identifies it: the hash of its address. */
  key: string
  /** Seconds since the epoch. */
  startedAt: number
  /** The source of a content security policy that allows its redirect. */
  source: string | null
}

/** How long an authorization is remembered, in milliseconds. */
const LIFE = 2 * HOUR
/** How long the person may take to sign in for an app, in milliseconds: a little less than auth allows. */
const SIGN_IN_MAX = 25 * MINUTE
/** How many authorizations a browser remembers: those of the last tabs. */
const MOST = 8

/**
 * The authorizations for which one browser was asked to sign in, in a cookie. It is sealed, so that no link can say when an
 * authorization began: `prompt=login` asks for an authentication after that (OpenID Connect Core 1.0, 3.1.2.1).
 */
export class BegunAuthorizations {
  private readonly begun: readonly BegunAuthorization[]

  /**
   * @param name the name of the cookie
   * @param sealed its value
   * @param keep sets the cookie, or removes it. Its second parameter is the age in seconds
   */
  constructor(
    private readonly cookie: {
      cookies: SealedCookies
      clock: Clock
      name: string
      sealed: string | undefined
      keep(value: string, maxAge: number): void
    },
  ) {
    const { clock, cookies, name, sealed } = cookie
    const begun = (cookies.open(name, sealed, clock.now()) ?? []) as BegunAuthorization[]
    this.begun = begun.filter(({ startedAt }) => startedAt * SECOND + LIFE > clock.now())
  }

  /** When an authorization asked the person to sign in, in seconds; undefined: never, or too long ago. @param url its address */
  startOf(url: string): number | undefined {
    const startedAt = this.find(url)?.startedAt
    const isLate = startedAt !== undefined && startedAt * SECOND + SIGN_IN_MAX <= this.cookie.clock.now()
    return isLate ? undefined : startedAt
  }

  /** The source of a content security policy that allows the redirect of an authorization; null: unknown. */
  sourceOf(url: string): string | null {
    return this.find(url)?.source ?? null
  }

  /** Remembers that an authorization asks the person to sign in. The first time counts, until it is too long ago. */
  begin(url: string, source: string | null): void {
    if (this.startOf(url) !== undefined) return
    const startedAt = Math.floor(this.cookie.clock.now() / SECOND)
    this.keep([...this.without(url), { key: keyOf(url), startedAt, source }].slice(-MOST))
  }

  /** Forgets an authorization that has ended: the same link asks for the next sign-in. */
  end(url: string): void {
    if (this.find(url)) this.keep(this.without(url))
  }

  private find(url: string): BegunAuthorization | undefined {
    const key = keyOf(url)
    return this.begun.find((each) => each.key === key)
  }

  private without(url: string): BegunAuthorization[] {
    const key = keyOf(url)
    return this.begun.filter((each) => each.key !== key)
  }

  private keep(begun: readonly BegunAuthorization[]): void {
    const { clock, cookies, keep, name } = this.cookie
    if (begun.length === 0) keep('', 0)
    else keep(cookies.seal(name, begun, clock.now() + LIFE), LIFE / SECOND)
  }
}
