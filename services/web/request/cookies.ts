/** The names of the cookies, which depend on the origin of the pages. */
export interface CookieNames {
  session: string
  /** The token of a device that its user has confirmed. */
  device: string
  /** The value that form tokens are bound to. */
  form: string
  /** The step of a way in that waits for a code. */
  step: string
  /** The authorizations for which the person was asked to sign in. */
  authorizations: string
  /** Whether browsers send the cookies over TLS only. */
  isSecure: boolean
}

/**
 * Names the cookies. Browsers accept a name with `__Host-` only from the very host, over TLS and for every path: no other
 * host of the domain can set one. Over plain http browsers refuse such names, so they have none there.
 * @param publicUrl the address of the pages
 */
export function cookieNames(publicUrl: string): CookieNames {
  const isSecure = publicUrl.startsWith('https:')
  const prefix = isSecure ? '__Host-' : ''
  return {
    session: `${prefix}ch202`,
    device: `${prefix}ch202-device`,
    form: `${prefix}ch202-form`,
    step: `${prefix}ch202-step`,
    authorizations: `${prefix}ch202-authorizations`,
    isSecure,
  }
}

/** The blanks that may stand around a pair. Others are a part of it: a no-break space before `__Host-` makes another name. */
const BLANKS = /^[ \t]+|[ \t]+$/g

/** Reads the cookies of a request. If a name is repeated, the first one counts: browsers send the most specific one first. */
export function readCookies(header: string | null): Map<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of (header ?? '').split(';')) {
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals).replaceAll(BLANKS, '')
    if (equals > 0 && !cookies.has(name)) cookies.set(name, pair.slice(equals + 1).replaceAll(BLANKS, ''))
  }
  return cookies
}

/**
 * The header that sets a cookie.
 * @param maxAge seconds; 0 removes the cookie, undefined keeps it until the browser is closed
 */
export function setCookie(name: string, value: string, { isSecure, maxAge }: { isSecure: boolean; maxAge?: number }) {
  const secure = isSecure ? '; Secure' : ''
  const age = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
  return `${name}=${value}; Path=/; HttpOnly; SameSite=Lax${secure}${age}`
}
