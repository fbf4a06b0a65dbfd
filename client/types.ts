/** Keeps the session of a client. The methods of `localStorage` fit; they may also be asynchronous. */
export interface ClientStorage {
  getItem(key: string): string | null | Promise<string | null>
  setItem(key: string, value: string): unknown
  removeItem(key: string): unknown
}

export interface ClientOptions {
  /** The address of Ch202, such as `https://id.example.org`, without `/api/v1`. */
  url: string
  /**
   * Default: `localStorage` in a page, otherwise the memory of this client. All tabs of an origin must see the same
   * storage, or have a session each.
   */
  storage?: ClientStorage | undefined
  /** Other origins that get the access token by `fetch`, such as `https://api.example.org`. Default: only that of `url`. */
  origins?: readonly string[] | undefined
}

/** A user, as the API shows them to themselves. */
export interface User {
  id: string
  email: string
  username: string | null
  name: string | null
  roles: string[]
  status: 'active' | 'disabled'
  email_verified: boolean
  has_password: boolean
  locale: 'en' | 'ru' | null
  metadata: Record<string, unknown>
  app_metadata: Record<string, unknown>
  /** RFC 3339, UTC. */
  created_at: string
  updated_at: string
}

export interface NewUser {
  email: string
  password: string
  username?: string | null | undefined
  name?: string | null | undefined
  locale?: 'en' | 'ru' | null | undefined
  metadata?: Record<string, unknown> | undefined
}

/** A password, and the name of its user: one of `email`, `username` and `login`, which may be either. */
export type Credentials = { password: string } & ({ email: string } | { username: string } | { login: string })

/** An error of one field of a request. */
export interface FieldError {
  /** The path of the field, such as `email` or `roles.0`. */
  field: string
  /** Such as `required`, `format`, `too_short` or `taken`. */
  code: string
  message: string
  limit?: number
}

/** The user is signed in, in every tab. */
export interface Complete {
  status: 'complete'
  /** Names the mail to verify the email, after a sign-up; null: no mail was sent. It is for `verifyEmail`. */
  challengeId: string | null
}

/** A step that needs a code. */
interface CodeStep {
  challengeId: string
  /** Seconds until the challenge expires. */
  expiresIn: number | undefined
  /**
   * Continues with the code that the user types.
   * @throws Ch202Error `invalid_code`: ask again; `invalid_challenge`: begin again with `signIn`
   */
  confirm(code: string): Promise<SignInResult>
}

/** `PublicKeyCredentialRequestOptionsJSON` (WebAuthn 3), with bytes in base64url. */
export interface PasskeyOptions {
  challenge: string
  /** Milliseconds. */
  timeout: number
  rpId: string
  allowCredentials: { type: 'public-key'; id: string; transports: string[] }[]
  userVerification: 'required'
}

/** The account has a second factor. */
export interface SecondFactor extends Omit<CodeStep, 'confirm'> {
  status: 'second_factor'
  /** Such as `totp`, `recovery_code` and `passkey`. */
  methods: string[]
  /**
   * Continues with the code of an app, a recovery code, or the credential of a passkey, as `navigator.credentials.get` gives
   * it.
   * @throws Ch202Error `invalid_code` and `invalid_credentials`: ask again; after five tries or `expiresIn` begin again with
   * `signIn`
   */
  confirm(answer: string | object): Promise<SignInResult>
  /**
   * The options for `navigator.credentials.get`: `PublicKeyCredential.parseRequestOptionsFromJSON` reads them.
   * @throws Ch202Error `invalid_challenge`: begin again with `signIn`
   */
  passkeyOptions(): Promise<PasskeyOptions>
}

/** The device is new: the code was mailed. */
export interface ConfirmDevice extends CodeStep {
  status: 'confirm_device'
}

/** The email must be verified first: the code was mailed. */
export interface VerifyEmail extends CodeStep {
  status: 'verify_email'
}

/** The account must have a second factor, and has none. Ch202's own pages lead through its enrolment. */
export interface EnrolFactor {
  status: 'enrol_factor'
  challengeId: string
  expiresIn: number | undefined
}

/** The outcome of a sign-in with the right password. Everything but `complete` is a step that the user still has to take. */
export type SignInResult = Complete | SecondFactor | ConfirmDevice | VerifyEmail | EnrolFactor

/** A user signed in, or nobody is signed in any more, in this tab or in another one. */
export interface Change {
  signedIn: boolean
  /** `session_ended`: the session had ended at the server, such as by an operator, a new password, or its age. */
  reason: 'signed_in' | 'signed_out' | 'session_ended'
}

export interface Client {
  /**
   * Registers a user and signs them in.
   * @throws Ch202Error such as `email_taken`, `weak_password` or `validation_failed`, with `errors` for each field
   */
  signUp(user: NewUser): Promise<SignInResult>
  /**
   * Signs a user in. A session that was there before is ended.
   * @throws Ch202Error such as `invalid_credentials`, `account_disabled` or `rate_limited`
   */
  signIn(credentials: Credentials): Promise<SignInResult>
  /**
   * Signs out in every tab, also without a connection.
   * @returns whether the server has ended the session. False: it could not be reached, and the session ends by its age
   */
  signOut(): Promise<boolean>
  /** Verifies the email of a user, by the code of a mail or by the token of its link. @throws Ch202Error */
  verifyEmail(proof: { challengeId: string; code: string } | { token: string }): Promise<void>
  /** Asks for the user who is signed in. @returns null if nobody is @throws Ch202Error such as `network_error` */
  user(): Promise<User | null>
  /** Reports whether a session is stored here, without a request. Its end elsewhere may be unknown yet. */
  signedIn(): Promise<boolean>
  /**
   * A valid access token, refreshed if necessary. Read it for each use; do not store it.
   * @param refused the access token that a server refused: another one is given
   * @returns null if nobody is signed in
   * @throws Ch202Error `network_error` and the like: the session remains
   */
  accessToken(refused?: string): Promise<string | null>
  /**
   * The global `fetch` with the access token, for the origin of `url` and those of `origins`. Requests to others are sent
   * unchanged. A 401 because of the token is answered by a refresh and the same request, once, unless its body is a stream.
   * @param input relative addresses are relative to `url`
   * @throws Ch202Error of a refresh; what the global `fetch` throws
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** Calls `listener` when a user signs in or out, in any tab. @returns removes the listener */
  on(event: 'change', listener: (change: Change) => void): () => void
  /** Stops listening to other tabs. The session remains. */
  close(): void
}
