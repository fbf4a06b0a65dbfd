/** Stands in for the host of a request that names no host. Nothing depends on the value. */
const ANY_HOST = 'http://localhost'

/**
 * Completes the URL of a request, in place. Bun sets a mere path when the request has no valid host: HTTP/1.0 without
 * `Host` (RFC 9112, 3.2), or an empty or malformed `Host`. `new URL()` throws on a mere path, and code that looks for the
 * path after the host would find a wrong one.
 */
export function completeUrl(request: Request): void {
  const { url } = request
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return
  const target = url.replace(/^https?:\/\/[^/?#]*/, '')
  // Joined, not resolved against a base: `//users` would become a host.
  const complete = ANY_HOST + (target.startsWith('/') ? target : `/${target}`)
  // Changes this request: the server knows the client's address only of the original one.
  Object.defineProperty(request, 'url', { value: URL.parse(complete)?.href ?? `${ANY_HOST}/` })
}

/** The path of a complete URL, without the query and without one trailing slash. */
export function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  if (start < 0) return '/'
  const query = url.indexOf('?', start)
  const end = query < 0 ? url.length : query
  return url.slice(start, url[end - 1] === '/' && end - start > 1 ? end - 1 : end)
}
