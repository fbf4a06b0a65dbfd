/** @jsxRuntime automatic @jsxImportSource preact */

import { type Locale, preferredLocale } from '../kit/locale.ts'
import type { Log } from '../kit/log.ts'
import { decode, encodingProblem, mediaType, readBytes } from '../kit/messages/body.ts'
import { requestIdOf } from '../kit/messages/problem-response.ts'
import { type FailureKind, failurePage } from './components/failure.tsx'
import { redirect } from './components/render.tsx'
import type { Page } from './pages/page.ts'
import { authorizationIn } from './request/authorization.ts'
import { BrowserRequest, type PagesContext, SignInNeeded } from './request/browser-request.ts'
import { readCookies } from './request/cookies.ts'
import { UnexpectedProblem } from './request/outcome.ts'
import { HOME } from './request/return-to.ts'
import { TEXTS } from './texts/texts.ts'

/** Bytes of a form. */
const FORM_MAX = 64 * 1024

/**
 * Answers a request of a browser. Every answer is a page, a redirect or a file: errors too.
 * @param page undefined: no page has the path
 * @param address the browser's address; null: unknown
 */
export async function answerPage(
  context: PagesContext,
  page: Page | undefined,
  { address, log, received }: { received: Request; address: string | null; log: Log },
): Promise<{ requestId: string; response: Response }> {
  const locale: Locale = preferredLocale(received.headers.get('accept-language')) ?? context.config.locale
  const request = new BrowserRequest(context, received, {
    requestId: requestIdOf(received.headers, context.random),
    locale,
    texts: TEXTS[locale],
    cookies: readCookies(received.headers.get('cookie')),
    address,
  })
  return { requestId: request.requestId, response: await respondTo(page, request, log) }
}

async function respondTo(page: Page | undefined, request: BrowserRequest, log: Log): Promise<Response> {
  const failure = (kind: FailureKind, status: number, requestId?: string, headers = {}) =>
    failurePage(request, kind, { status, headers, requestId })
  const { method } = request.request
  try {
    if (!page) return failure('notFound', 404)
    if (method === 'POST' && page.post) {
      const isOwn = isFromThisSite(request)
      if (!isOwn && !page.foreignForm) return failure('forbidden', 403)
      const refused = await readForm(request)
      if (refused) return failure(refused.kind, refused.status)
      if (page.foreignForm && !(isOwn && request.hasFormToken())) return await page.foreignForm(request)
      speakAsAsked(request)
      await requireSession(page, request)
      if (!request.hasFormToken()) return failure('forbidden', 403)
      return await page.post(request)
    }
    if ((method === 'GET' || method === 'HEAD') && page.get) {
      speakAsAsked(request)
      await requireSession(page, request)
      return await page.get(request)
    }
    const allow = [page.get && 'GET, HEAD', page.post && 'POST'].filter(Boolean).join(', ')
    return failure('method', 405, undefined, { allow })
  } catch (error) {
    if (error instanceof SignInNeeded) return signInFirst(request, page)
    if (error instanceof UnexpectedProblem) {
      const { code, requestId, status } = error.problem
      const isUnavailable = status === 503 || status === 429
      log.warn({ event: 'page.failed', requestId: request.requestId, code })
      return failure(isUnavailable ? 'unavailable' : 'internal', isUnavailable ? 503 : 500, requestId)
    }
    log.error({ event: 'page.failed', requestId: request.requestId, err: error })
    return failure('internal', 500)
  }
}

/** Refuses who is not signed in, and speaks the language of who is. @throws as `BrowserRequest.user` */
async function requireSession({ signedIn }: Page, request: BrowserRequest): Promise<void> {
  if (signedIn && !request.session) throw new SignInNeeded()
  if (signedIn !== 'account') return
  const { locale } = await request.user()
  if (locale !== null) request.speak(locale)
}

/** Speaks the language that an app asks for while it signs a person in or out (OpenID Connect Core 1.0, `ui_locales`). */
function speakAsAsked(request: BrowserRequest): void {
  const { pathname, searchParams } = request.url
  const returnsTo =
    pathname === '/verify-email' ? request.returnToAfter(request.pendingCode('verification')) : request.returnTo
  const parameters = pathname.startsWith('/oauth/') ? searchParams : authorizationIn(returnsTo.url)
  const locale = preferredLocale(parameters?.get('ui_locales')?.replaceAll(' ', ',') ?? null)
  if (locale) request.speak(locale)
}

/** Sends the person to the sign-in, from which they return to what they asked for. */
function signInFirst(request: BrowserRequest, page: Page | undefined): Response {
  const { pathname, search } = request.url
  const query = new URLSearchParams()
  if (request.hadSession) query.set('done', 'ended')
  const here = request.request.method === 'POST' ? pathname : pathname + search
  const target = page?.cameFrom?.(request) ?? here
  if (page?.get && target !== HOME) query.set('return_to', target)
  return redirect(request, query.size > 0 ? `/sign-in?${query}` : '/sign-in')
}

/**
 * Whether a form comes from a page of this very origin. Browsers say so themselves (Fetch Metadata); where one does not,
 * its `Origin` must be that of the pages. Old browsers that send neither are refused.
 */
function isFromThisSite({ context, request }: BrowserRequest): boolean {
  const site = request.headers.get('sec-fetch-site')
  if (site !== null) return site === 'same-origin'
  return request.headers.get('origin') === new URL(context.config.publicUrl).origin
}

/** Reads the form of a request. @returns why it cannot be read */
async function readForm(
  request: BrowserRequest,
): Promise<{ kind: 'tooLarge' | 'wrongType'; status: number } | undefined> {
  const { headers } = request.request
  const isForm = mediaType(headers.get('content-type')) === 'application/x-www-form-urlencoded'
  if (!isForm || encodingProblem(headers)) return { kind: 'wrongType', status: 415 }
  // Undefined: the browser has broken off, and reads no answer.
  const bytes = await readBytes(request.request, FORM_MAX).catch(() => undefined)
  if (bytes === null) return { kind: 'tooLarge', status: 413 }
  const text = bytes && decode(bytes)
  if (typeof text !== 'string' || !hasUtf8Escapes(text)) return { kind: 'wrongType', status: 400 }
  request.form = new URLSearchParams(text)
  return undefined
}

/** Whether the escapes of a form are UTF-8. `URLSearchParams` replaces those that are not: two passwords could be equal. */
function hasUtf8Escapes(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
