import { createHmac, timingSafeEqual } from 'node:crypto'
import { USER_AGENT_MAX } from '../caller.ts'

/**
 * The header by which the pages describe the browser that they call for: its address and its user agent. It is signed with
 * the internal key, for one method and path and for a minute, so a client cannot write one, and one that was read somewhere
 * opens nothing else.
 */
export const BROWSER_HEADER = 'x-ch202-browser'

/** A browser that uses the pages. */
export interface Browser {
  /** Its address, behind trusted proxies; null: unknown. */
  ip: string | null
  userAgent: string | null
}

/** The request that a description belongs to. */
export interface DescribedRequest {
  method: string
  /** The path as it is requested, without the query: `/api/v1/auth/login`. */
  path: string
}

/** Milliseconds by which the clocks of the pages and of a service may differ, with the time that the request takes. */
const LEEWAY = 60_000

const IP_MAX = 64
/** Characters: more than the longest address and user agent take, each character of them escaped. */
const VALUE_MAX = 4096
/** A time, the description and the signature. */
const FORM = /^(\d{1,15})\.([\w-]+)\.([\w-]{43})$/

/**
 * Describes a browser to the service that gets a request.
 * @param key the internal key, the first one if there are several
 * @param request the request with its browser; `at` is the time in milliseconds since the epoch
 * @returns the value of the header `BROWSER_HEADER`
 * @example
 * const value = signBrowser(key, { method: 'POST', path: '/api/v1/auth/login', at: clock.now(), browser })
 */
export function signBrowser(
  key: string,
  { at, browser, ...request }: DescribedRequest & { at: number; browser: Browser },
): string {
  const ip = browser.ip?.slice(0, IP_MAX) ?? null
  const userAgent = browser.userAgent?.slice(0, USER_AGENT_MAX) ?? null
  const described = Buffer.from(JSON.stringify([ip, userAgent])).toString('base64url')
  return `${at}.${described}.${signature(key, String(at), described, request)}`
}

/**
 * Reads the description of a browser.
 * @param keys the internal keys, any of which may have signed it
 * @param value the value of the header `BROWSER_HEADER`
 * @param request the request that has the header; `now` is the time in milliseconds since the epoch
 * @returns null: it is not signed with such a key for this request, or more than a minute ago
 */
export function readBrowser(
  keys: readonly string[],
  value: string,
  { now, ...request }: DescribedRequest & { now: number },
): Browser | null {
  if (value.length > VALUE_MAX) return null
  const [, at, described, sent] = FORM.exec(value) ?? []
  if (at === undefined || described === undefined || sent === undefined) return null
  const sentBytes = Buffer.from(sent)
  // Compares with every key, as text: a signature has one spelling.
  const isSigned = keys.reduce(
    (matches, key) => timingSafeEqual(Buffer.from(signature(key, at, described, request)), sentBytes) || matches,
    false,
  )
  const isRecent = Math.abs(now - Number(at)) <= LEEWAY
  if (!isSigned || !isRecent) return null
  const [ip, userAgent] = JSON.parse(Buffer.from(described, 'base64url').toString()) as [string | null, string | null]
  return { ip, userAgent }
}

/** The label keeps the signature apart from anything else that is ever made with the internal key. */
function signature(key: string, at: string, described: string, { method, path }: DescribedRequest): string {
  const text = JSON.stringify(['ch202 browser', at, method, path, described])
  return createHmac('sha256', key).update(text).digest('base64url')
}
