/** @jsxRuntime automatic @jsxImportSource preact */

import type { VNode } from 'preact'
import { renderToString } from 'preact-render-to-string'
import type { BrowserRequest } from '../request/browser-request.ts'
import { Document } from './document.tsx'
import { RequestProvider } from './request-context.ts'

interface PageOptions {
  title: string
  status?: number
  /** A checked origin to which a form of the page may lead: Chromium applies `form-action` to the redirect after it. */
  returnOrigin?: string | null
  headers?: Readonly<Record<string, string>>
}

/** Renders a page as a response. */
export function renderPage(
  request: BrowserRequest,
  content: VNode,
  { headers = {}, returnOrigin, status = 200, title }: PageOptions,
): Response {
  const html = renderToString(
    <RequestProvider value={request}>
      <Document title={title}>{content}</Document>
    </RequestProvider>,
  )
  return respond(request, `<!doctype html>${html}`, {
    status,
    headers: { 'content-type': 'text/html; charset=utf-8', 'content-language': request.locale, ...headers },
    returnOrigin,
  })
}

/** Sends the browser elsewhere: with 303, by GET (RFC 9110, 15.4.4). @param to a path of the pages, or a checked address */
export function redirect(request: BrowserRequest, to: string, status: 302 | 303 = 303): Response {
  return respond(request, null, { status, headers: { location: to } })
}

/** Builds a response with the headers that all pages have, and the cookies of the request. */
export function respond(
  request: BrowserRequest,
  body: string | null,
  {
    headers: extraHeaders,
    returnOrigin,
    status,
  }: { status: number; headers: Readonly<Record<string, string>>; returnOrigin?: string | null | undefined },
): Response {
  const headers = new Headers({
    'content-security-policy': contentSecurityPolicy(returnOrigin ?? null),
    'cross-origin-opener-policy': 'same-origin',
    'cache-control': 'no-store',
    // With `no-referrer` Chromium sends `Origin: null` with forms, and the check of the origin would fail.
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'x-request-id': request.requestId,
    ...extraHeaders,
  })
  for (const cookie of request.setCookies) headers.append('set-cookie', cookie)
  return new Response(body, { status, headers })
}

function contentSecurityPolicy(returnOrigin: string | null): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    `form-action 'self'${returnOrigin === null ? '' : ` ${returnOrigin}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
