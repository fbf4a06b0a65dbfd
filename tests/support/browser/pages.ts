import { BROWSER_HEADER, type Browser, signBrowser } from '../../../services/kit/access/browser.ts'
import { type Answer, call, type Options } from '../http.ts'
import { INTERNAL_KEY } from '../settings.ts'

/** A browser that is not the one of any other test. Its address is of a network for documentation. */
export const BROWSER: Browser = {
  ip: '203.0.113.24',
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
}

interface Signing {
  browser?: Browser
  key?: string
  /** Milliseconds since the epoch. */
  at?: number
}

/** The header that the pages send with a request for a browser. @param request the method and the path, as for `call` */
export function pagesHeader(
  request: string,
  { at = Date.now(), browser = BROWSER, key = INTERNAL_KEY }: Signing = {},
): Record<string, string> {
  const [method = '', path = ''] = request.split(' ')
  return { [BROWSER_HEADER]: signBrowser(key, { method, path: path.replace(/\?.*/, ''), at, browser }) }
}

/** Sends a request as the pages do, for a browser. @param request the method and the path, as for `call` */
export function callByPages(base: string, request: string, options: Options & Signing = {}): Promise<Answer> {
  const { at, body, browser, headers, key } = options
  const signing = { ...(at === undefined ? {} : { at }), ...(browser && { browser }), ...(key && { key }) }
  return call(base, request, {
    ...(body === undefined ? {} : { body }),
    headers: { ...headers, ...pagesHeader(request, signing) },
  })
}
