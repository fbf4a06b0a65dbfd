/** What a request means that names no host; nothing is decided by it. */
const ANY_HOST = 'http://localhost'

/**
 * Gives a request a whole URL that can be parsed, in place. Bun's is a mere path where the request names no host that
 * can stand in one: HTTP/1.0 without `Host` (RFC 9112, 3.2), an empty or a malformed one. `new URL()` throws at that,
 * and whoever looks for the path behind the host finds another one.
 */
export function completeUrl(request: Request): void {
  const { url } = request
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return
  const target = url.replace(/^https?:\/\/[^/?#]*/, '')
  // Not with a base: `//users` would be a host.
  const whole = ANY_HOST + (target.startsWith('/') ? target : `/${target}`)
  // On the request itself: another one would not be that of the connection, whose address is asked for.
  Object.defineProperty(request, 'url', { value: URL.parse(whole)?.href ?? `${ANY_HOST}/` })
}

/** The path of a whole URL, without the query and one trailing slash. */
export function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  if (start < 0) return '/'
  const query = url.indexOf('?', start)
  const end = query < 0 ? url.length : query
  return url.slice(start, url[end - 1] === '/' && end - start > 1 ? end - 1 : end)
}
