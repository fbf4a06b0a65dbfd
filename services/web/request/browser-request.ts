import { timingSafeEqual } from 'node:crypto'
import type { FactorList } from '../../auth/schemas/factors.ts'
import type { Token } from '../../auth/schemas/tokens.ts'
import { BROWSER_HEADER, signBrowser } from '../../kit/access/browser.ts'
import type { ClientAddress } from '../../kit/client-address.ts'
import type { Clock } from '../../kit/clock.ts'
import type { Locale } from '../../kit/locale.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import type { UserRead } from '../../kit/schema/user.ts'
import type { Codes } from '../../kit/tokens/sealing.ts'
import type { Api, PagesPeer } from '../../peers/pages.ts'
import type { Assets } from '../assets/assets.ts'
import type { Texts } from '../texts/en.ts'
import { TEXTS } from '../texts/texts.ts'
import { authorizationIn } from './authorization.ts'
import { BegunAuthorizations } from './begun-authorizations.ts'
import { type CookieNames, setCookie } from './cookies.ts'
import type { FormErrors } from './form-errors.ts'
import { type Answer, expected, type Outcome, outcomeOf } from './outcome.ts'
import { type ReturnTo, returnTo } from './return-to.ts'
import { type BrowserSession, openSession, type SealedCookies, sealSession } from './session-cookie.ts'

/** The parts of the service that every page needs. */
export interface PagesContext {
  config: Pick<
    Config,
    | 'brandColor'
    | 'dataDir'
    | 'deviceTrust'
    | 'emailLogin'
    | 'emailVerification'
    | 'locale'
    | 'mfa'
    | 'passwordMinLength'
    | 'productName'
    | 'production'
    | 'publicUrl'
    | 'reauthMaxAge'
    | 'registrationOpen'
    | 'returnOrigins'
    | 'smtpUrl'
    | 'supportEmail'
    | 'supportRole'
  >
  clock: Clock
  random: Random
  cookies: SealedCookies
  names: CookieNames
  /** Codes of forms. */
  formCodes: Codes
  clientAddress: ClientAddress
  peer: PagesPeer
  assets: Assets
}

/** A step that waits for a code, which the browser's next form sends. Sealed in a cookie, as the id is never shown. */
export interface PendingCode {
  kind: 'device' | 'verification' | 'sign-in' | 'new-email' | 'factor' | 'enrolment' | 'app'
  /** Empty for an app that a person adds to their account. */
  challengeId: string
  /** The address to which the code was sent; or what the person typed. */
  email: string
  returnTo: string
  /** When the step ends, in milliseconds since the epoch. Undefined: a while after it began. */
  until?: number
  /** How a second factor can be shown. */
  methods?: readonly string[]
  /** How often a wrong one was shown. */
  tries?: number
  /** The app that waits for its first code. */
  app?: NewApp
}

/** An app that shows codes, before its first code was typed. The address holds its secret. */
export interface NewApp {
  id: string
  uri: string
}

/** The person must sign in, or has to sign in again: the session has ended. */
export class SignInNeeded extends Error {}

/** Milliseconds before its end at which an access token is replaced. */
const EARLY = 5000
/** Milliseconds for which a code is waited for, if the API does not say. */
const CODE_WAIT = 15 * 60_000
/** Seconds for which a device is known. */
const DEVICE_AGE = 90 * 24 * 3600
/** The names of fields that no page may hold. The token of a link stands in the page that the link opens. */
const SECRET_FIELD = /password|code|credential/
/** The codes of a problem of the access token itself. */
const TOKEN_PROBLEMS = ['missing_token', 'invalid_token', 'token_expired', 'token_revoked']

interface Arrival {
  requestId: string
  locale: Locale
  texts: Texts
  cookies: ReadonlyMap<string, string>
  address: string | null
}

/** One request of a browser: what it sent, its session, and the cookies of the response. */
export class BrowserRequest {
  readonly url: URL
  readonly requestId: string
  locale: Locale
  texts: Texts
  /** The fields of the form that was sent. */
  form = new URLSearchParams()
  /** The headers `set-cookie` of the response. */
  readonly setCookies: string[] = []
  session: BrowserSession | null
  /** Whether the browser sent a session, which may have ended since. */
  readonly hadSession: boolean
  /** The authorizations for which the browser was asked to sign in. */
  readonly authorizations: BegunAuthorizations
  private readonly formId: string
  private readonly arrival: Arrival
  #user: UserRead | undefined
  #factors: FactorList | undefined

  constructor(
    readonly context: PagesContext,
    readonly request: Request,
    arrival: Arrival,
  ) {
    const { clock, cookies, names, random } = context
    this.url = new URL(request.url)
    this.requestId = arrival.requestId
    this.locale = arrival.locale
    this.texts = arrival.texts
    this.arrival = arrival
    this.session = openSession(cookies, names.session, arrival.cookies.get(names.session), clock.now())
    this.hadSession = this.session !== null
    const formId = arrival.cookies.get(names.form)
    this.authorizations = new BegunAuthorizations({
      cookies,
      clock,
      name: names.authorizations,
      sealed: arrival.cookies.get(names.authorizations),
      keep: (value, maxAge) => this.keep(names.authorizations, value, maxAge),
    })
    this.formId = formId && /^[\w-]{22,64}$/.test(formId) ? formId : random.bytes(18).toString('base64url')
  }

  /** A field of the form, trimmed; empty when it was not sent. */
  field(name: string): string {
    return this.secret(name).trim()
  }

  /** A field of the form as it was typed, such as a password. */
  secret(name: string): string {
    return this.form.get(name) ?? ''
  }

  /** An id of the form; undefined when it is not one. Ids become parts of paths of the API, so `..` is refused. */
  id(name: string): string | undefined {
    const text = this.field(name)
    return /^[\w-]{1,64}$/.test(text) ? text : undefined
  }

  /** The fields of the form that a page may hold, to send them again: no passwords, codes or answers of passkeys. */
  get typed(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.form].filter(([name]) => name !== 'form_token' && !SECRET_FIELD.test(name)))
  }

  /** The code that was typed, without the spaces in which mails group its digits. */
  get code(): string {
    return this.secret('code').replaceAll(/\s/g, '')
  }

  /** The passkey's answer, which the script of the page has put into the form; undefined without one. */
  credential(field = 'credential'): object | undefined {
    try {
      const value: unknown = JSON.parse(this.secret(field))
      return typeof value === 'object' && value !== null ? value : undefined
    } catch {
      return undefined
    }
  }

  /** Says which of these fields were left empty; undefined if none was. */
  missing(fields: Readonly<Record<string, string>>): FormErrors | undefined {
    const empty = Object.keys(fields).filter((name) => fields[name] === '')
    if (empty.length === 0) return undefined
    return { fields: Object.fromEntries(empty.map((name) => [name, this.texts.errors.required(undefined)])) }
  }

  /** The token in the link of a mail: of the address, or of the form that the page of the link has. */
  get linkToken(): string {
    return this.form.get('token') ?? this.url.searchParams.get('token') ?? ''
  }

  /** The address to which the person wants to go next. */
  get returnTo(): ReturnTo {
    return this.checked(this.form.get('return_to') ?? this.url.searchParams.get('return_to'))
  }

  /** The address to which the person wanted to go when a code was sent to them. */
  returnToAfter(code: PendingCode | null): ReturnTo {
    return this.checked(code?.returnTo ?? null)
  }

  private checked(text: string | null): ReturnTo {
    const { publicUrl, returnOrigins } = this.context.config
    const to = returnTo(text, publicUrl, returnOrigins)
    // An authorization leads to the app: to the address that auth has checked.
    return authorizationIn(to.url) ? { ...to, origin: this.authorizations.sourceOf(to.url) } : to
  }

  /** Speaks this language from now on. */
  speak(locale: Locale): void {
    this.locale = locale
    this.texts = TEXTS[locale]
  }

  /** The value that a form must send back. It changes with the session, so a form of another session is refused. */
  get formToken(): string {
    const { form } = this.context.names
    if (this.arrival.cookies.get(form) !== this.formId) this.keep(form, this.formId)
    return this.context.formCodes.of(this.formMessage()).toString('base64url')
  }

  /** Whether the form has the token that its page was made with. */
  hasFormToken(): boolean {
    const sent = Buffer.from(this.form.get('form_token') ?? '', 'base64url')
    return this.context.formCodes
      .all(this.formMessage())
      .some((code) => code.length === sent.length && timingSafeEqual(code, sent))
  }

  private formMessage(): Buffer {
    return Buffer.from(`${this.formId} ${this.session?.id ?? ''}`)
  }

  /** Calls the API without a credential. */
  async callAnonymously<T>(call: (api: Api) => Promise<Answer<T>>): Promise<Outcome<T>> {
    return await outcomeOf(call(this.api(null)))
  }

  /**
   * Calls the API as the person who is signed in. An access token that has expired is replaced before.
   * @throws SignInNeeded without a session, or when it has ended; UnexpectedProblem when it cannot be refreshed
   */
  async call<T>(call: (api: Api) => Promise<Answer<T>>): Promise<Outcome<T>> {
    if (!this.session) throw new SignInNeeded()
    if (this.session.accessExpiresAt - EARLY <= this.context.clock.now()) await this.refresh()
    const outcome = await outcomeOf(call(this.api(this.session.accessToken)))
    if (outcome.ok || !TOKEN_PROBLEMS.includes(outcome.problem.code)) return outcome
    // The token may have been made before a change of the user's roles; if its session has ended, so has the refresh token.
    await this.refresh()
    const again = await outcomeOf(call(this.api(this.session.accessToken)))
    if (!again.ok && TOKEN_PROBLEMS.includes(again.problem.code)) this.endSession()
    return again
  }

  /** The person who is signed in, as users knows them now. @throws as `call` */
  async user(): Promise<UserRead> {
    this.#user ??= expected(await this.call<UserRead>(({ auth }) => auth.me.get() as never))
    return this.#user
  }

  /** The roles of the person, if the API was asked who they are; otherwise none. */
  get roles(): readonly string[] {
    return this.#user?.roles ?? []
  }

  /** The second factors of the person who is signed in. @throws as `call` */
  async factors(): Promise<FactorList> {
    this.#factors ??= expected(await this.call<FactorList>(({ auth }) => auth.factors.get()))
    return this.#factors
  }

  /** Gets new tokens of the session, which say how the person has authenticated since. @throws as `call` */
  renewTokens(): Promise<void> {
    return this.refresh()
  }

  /** Keeps the tokens of a session that was opened, as the browser's session. A session that it replaces ends. */
  async signIn(token: Token): Promise<void> {
    const refresh_token = this.session?.refreshToken
    this.takeSession(token)
    if (refresh_token !== undefined) await this.callAnonymously(({ auth }) => auth.logout.post({ refresh_token }))
  }

  /** Keeps a new access token of the session. */
  renewAccess({ access_token, expires_in }: { access_token: string; expires_in: number }): void {
    if (!this.session) return
    this.session.accessToken = access_token
    this.session.accessExpiresAt = this.context.clock.now() + expires_in * 1000
    this.keepSession()
  }

  /** Removes the session from the browser. */
  signOut(): void {
    this.session = null
    this.remove(this.context.names.session)
    this.remove(this.context.names.step)
  }

  /** The token of this device, if its user has confirmed it. A cookie that holds no token counts as none. */
  get deviceToken(): string | undefined {
    const token = this.arrival.cookies.get(this.context.names.device)
    return token !== undefined && /^[\w-]{1,512}$/.test(token) ? token : undefined
  }

  keepDevice(token: string): void {
    this.keep(this.context.names.device, token, DEVICE_AGE)
  }

  /** The code that the browser waits for, of one of these kinds. */
  pendingCode(...kinds: PendingCode['kind'][]): PendingCode | null {
    const { clock, cookies, names } = this.context
    const code = cookies.open(names.step, this.arrival.cookies.get(names.step), clock.now()) as PendingCode | undefined
    return code && kinds.includes(code.kind) ? code : null
  }

  waitForCode(code: PendingCode): void {
    const { clock, cookies, names } = this.context
    const until = code.until ?? clock.now() + CODE_WAIT
    const maxAge = Math.ceil((until - clock.now()) / 1000)
    this.keep(names.step, cookies.seal(names.step, code, until), Math.max(1, maxAge))
  }

  endWait(): void {
    this.remove(this.context.names.step)
  }

  private api(accessToken: string | null): Api {
    const { clock, peer } = this.context
    const browser = { ip: this.arrival.address, userAgent: this.request.headers.get('user-agent') }
    return peer.as((request, key) => {
      const { method, url } = request
      const path = new URL(url).pathname
      request.headers.set(BROWSER_HEADER, signBrowser(key, { method, path, at: clock.now(), browser }))
      request.headers.set('x-request-id', this.requestId)
      request.headers.set('accept-language', this.locale)
      if (accessToken !== null) request.headers.set('authorization', `Bearer ${accessToken}`)
    })
  }

  private async refresh(): Promise<void> {
    const refresh_token = this.session?.refreshToken ?? ''
    const outcome = await this.callAnonymously<Token>(({ auth }) => auth.refresh.post({ refresh_token }) as never)
    if (!outcome.ok && [400, 401, 403].includes(outcome.problem.status)) this.endSession()
    this.takeSession(expected(outcome))
  }

  private endSession(): never {
    this.signOut()
    throw new SignInNeeded()
  }

  private takeSession(token: Token): void {
    const now = this.context.clock.now()
    this.session = {
      id: token.session_id,
      accessToken: token.access_token,
      accessExpiresAt: now + token.expires_in * 1000,
      refreshToken: token.refresh_token,
      refreshExpiresAt: now + token.refresh_expires_in * 1000,
    }
    this.keepSession()
  }

  private keepSession(): void {
    const { clock, cookies, names } = this.context
    if (!this.session) return
    const maxAge = Math.floor((this.session.refreshExpiresAt - clock.now()) / 1000)
    this.keep(names.session, sealSession(cookies, names.session, this.session), maxAge)
  }

  private keep(name: string, value: string, maxAge?: number): void {
    const { isSecure } = this.context.names
    this.remember(name, setCookie(name, value, maxAge === undefined ? { isSecure } : { isSecure, maxAge }))
  }

  private remove(name: string): void {
    this.remember(name, setCookie(name, '', { isSecure: this.context.names.isSecure, maxAge: 0 }))
  }

  /** Sets a cookie once: the last value counts. */
  private remember(name: string, header: string): void {
    const index = this.setCookies.findIndex((cookie) => cookie.startsWith(`${name}=`))
    if (index >= 0) this.setCookies.splice(index, 1)
    this.setCookies.push(header)
  }
}
