import { AUTHORIZE, LONGEST_AUTHORIZATION } from './authorization.ts'

/** The page to which a person goes when nothing else was asked for. */
export const HOME = '/account'

/** A page of the sign-in that remembers where the person wants to go. @param url the address of a `ReturnTo` */
export function withReturn(path: string, url: string): string {
  if (url === HOME) return path
  return `${path}${path.includes('?') ? '&' : '?'}return_to=${encodeURIComponent(url)}`
}

/** The field of a form that remembers where the person wants to go; undefined: it needs none. */
export function returnField(url: string): string | undefined {
  return url === HOME ? undefined : url
}

/** Characters of an address as browsers get it, in percent encoding: the cookie of a step must have room for it. */
const LONGEST = 2000

/** An address to which a person may be sent. */
export interface ReturnTo {
  url: string
  /** The source of a content security policy that allows the redirects from there; null: they stay at the pages. */
  origin: string | null
}

/**
 * Checks an address to which a person wants to return: a path of the pages' own, or an address of a listed origin. Any
 * other one counts as none: a link to the sign-in must not lead to a foreign page (OWASP, open redirect).
 * @param text the parameter `return_to`
 * @param publicUrl the address of the pages
 * @param origins the origins of the setting RETURN_ORIGINS
 */
export function returnTo(text: string | null, publicUrl: string, origins: readonly string[]): ReturnTo {
  const home: ReturnTo = { url: HOME, origin: null }
  // Browsers drop tabs and line breaks, and read a backslash as a slash: `/\evil.example` is another host.
  if (!text || /[\\\s\p{Cc}]/u.test(text)) return home
  const ownOrigin = new URL(publicUrl).origin
  const parsed = URL.parse(text, ownOrigin)
  if (!parsed || parsed.username || parsed.password) return home
  const isAuthorization = parsed.origin === ownOrigin && parsed.pathname === AUTHORIZE
  if (parsed.href.length > (isAuthorization ? ownOrigin.length + LONGEST_AUTHORIZATION : LONGEST)) return home
  if (text.startsWith('/') && !text.startsWith('//') && parsed.origin === ownOrigin)
    return { url: parsed.pathname.startsWith('//') ? HOME : `${parsed.pathname}${parsed.search}`, origin: null }
  // Compared to the letter with what was written: `HTTPS://App.example` and `https://app.example:443` are not listed.
  const origin = origins.find(
    (listed) => text === listed || text.startsWith(`${listed}/`) || text.startsWith(`${listed}?`),
  )
  return origin !== undefined && parsed.origin === origin ? { url: parsed.href, origin } : home
}
