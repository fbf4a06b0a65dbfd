import { newEmail, PASSWORD } from '../../support/actors.ts'
import { as, call } from '../../support/http.ts'
import type { System } from '../../support/system.ts'

/** The address of the pages in the tests that use no browser: they send requests as a proxy with TLS passes them on. */
export const PAGES_URL = 'https://app.example.org'
/** The names of the cookies at that address. */
export const COOKIES = {
  session: '__Host-ch202',
  device: '__Host-ch202-device',
  form: '__Host-ch202-form',
  step: '__Host-ch202-step',
  authorizations: '__Host-ch202-authorizations',
}

/** The answer to a request of a browser. Redirects are not followed. */
export interface Visit {
  status: number
  headers: Headers
  text: string
  /** The address to which a redirect leads; empty without one. */
  location: string
  /** The token of the page's forms; empty if it has none. */
  token: string
}

type Fields = Readonly<Record<string, string>>
export type Sent = Readonly<Record<string, string | undefined>>

/** Headers of a form that the pages themselves send. */
export const OWN_FORM = { origin: PAGES_URL, 'sec-fetch-site': 'same-origin' }
export const FORM_TYPE = 'application/x-www-form-urlencoded'

/** A browser as the pages see it: it keeps cookies, and sends them with the headers that a test chooses. */
export class Visitor {
  readonly cookies = new Map<string, string>()
  /** The token of the last page that had a form. */
  token = ''

  /** @param headers sent with every request */
  constructor(
    readonly system: Pick<System, 'url'>,
    readonly headers: Sent = {},
  ) {}

  /** Another browser with the same cookies. */
  copy(): Visitor {
    const other = new Visitor(this.system, this.headers)
    for (const [name, value] of this.cookies) other.cookies.set(name, value)
    other.token = this.token
    return other
  }

  get(path: string, headers: Sent = {}): Promise<Visit> {
    return this.send('GET', path, headers)
  }

  /**
   * Sends a form as a page of the same origin does, with the token of the last page.
   * @param headers in place of those of such a form; undefined leaves one out
   */
  post(path: string, fields: Fields, headers: Sent = {}): Promise<Visit> {
    const body = new URLSearchParams({ form_token: this.token, ...fields }).toString()
    return this.send('POST', path, { 'content-type': FORM_TYPE, ...OWN_FORM, ...headers }, body)
  }

  /** Opens a page and sends its form. */
  async fill(path: string, fields: Fields, headers: Sent = {}): Promise<Visit> {
    await this.get(path)
    return await this.post(path, fields, headers)
  }

  async send(method: string, path: string, headers: Sent = {}, body?: string | Uint8Array): Promise<Visit> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const sent = { accept: 'text/html', ...(cookie === '' ? {} : { cookie }), ...this.headers, ...headers }
    const response = await fetch(this.system.url.web + path, {
      method,
      headers: Object.entries(sent).filter((header): header is [string, string] => header[1] !== undefined),
      redirect: 'manual',
      ...(body === undefined ? {} : { body: body as string }),
    })
    for (const line of response.headers.getSetCookie()) this.keep(line)
    const text = await response.text()
    const token = formTokenIn(text)
    if (token !== '') this.token = token
    return {
      status: response.status,
      headers: response.headers,
      text,
      location: response.headers.get('location') ?? '',
      token,
    }
  }

  private keep(line: string): void {
    const [pair = ''] = line.split(';')
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
    if (/; Max-Age=0(;|$)/.test(line)) this.cookies.delete(name)
    else this.cookies.set(name, value)
  }
}

function formTokenIn(html: string): string {
  return /name="form_token" value="([^"]*)"/.exec(html)?.[1] ?? ''
}

/** The values of hidden fields with a name, in the order of the page. */
export function hiddenFields(html: string, name: string): string[] {
  return [...html.matchAll(new RegExp(`name="${name}" value="([^"]*)"`, 'g'))].map(([, value = '']) => value)
}

/** A person at a browser. */
export interface Person {
  visitor: Visitor
  email: string
  password: string
}

/** Creates an account at the page, and leaves its first session open in the browser. @throws Error if it is refused */
export async function newPerson(system: Pick<System, 'url'>, headers: Sent = {}): Promise<Person> {
  const visitor = new Visitor(system, headers)
  const email = newEmail()
  const { status, text } = await visitor.fill('/sign-up', { email, password: PASSWORD })
  if (status !== 303 || !visitor.cookies.has(COOKIES.session)) throw new Error(`sign-up: ${status} ${text}`)
  visitor.cookies.delete(COOKIES.step)
  return { visitor, email, password: PASSWORD }
}

/** Gives a person roles, as an operator does. @returns the id of their account @throws Error if it is refused */
export async function giveRoles(system: Pick<System, 'url'>, { email }: Person, roles: string[]): Promise<string> {
  const options = { headers: as.operator }
  const { users } = system.url
  const { id } = (await call(users, `GET /api/v1/users/by-email/${encodeURIComponent(email)}`, options)).body
  const { status, text } = await call(users, `PATCH /api/v1/users/${id}`, { ...options, body: { roles } })
  if (status !== 200) throw new Error(`roles: ${status} ${text}`)
  return id
}

/** Signs in at the page. */
export async function signIn(visitor: Visitor, login: string, password = PASSWORD): Promise<Visit> {
  return await visitor.fill('/sign-in', { login, password })
}

/** Whether the browser has a session that the API accepts. */
export async function isSignedIn(visitor: Visitor): Promise<boolean> {
  return (await visitor.copy().get('/account')).status === 200
}
