/** @jsxRuntime automatic @jsxImportSource preact */

import { Elysia } from 'elysia'
import { requestLogger } from '../kit/http/request-log.ts'
import { type Locale, preferredLocale } from '../kit/locale.ts'
import type { Log } from '../kit/log.ts'
import { encodingProblem, mediaType, readBytes } from '../kit/messages/body.ts'
import { requestIdOf } from '../kit/messages/problem-response.ts'
import type { Metrics } from '../kit/process/metrics.ts'
import { BrowserRequest, type PagesContext, SignInNeeded } from './browser-request.ts'
import { Failure, type FailureKind, failureTitle } from './components/failure.tsx'
import { readCookies } from './cookies.ts'
import { UnexpectedProblem } from './outcome.ts'
import type { Page } from './page.ts'
import { redirect, renderPage } from './render.tsx'
import { HOME } from './return-to.ts'
import { TEXTS } from './texts/texts.ts'

/** Bytes of a form. */
const FORM_MAX = 64 * 1024

interface PagesAppOptions {
  context: PagesContext
  log: Log
  metrics: Metrics
}

/** Builds the app of the pages: each page for every method, the assets, and a page for every other path. */
export function pagesApp({ context, log, metrics }: PagesAppOptions, pages: readonly Page[]) {
  const { clock } = context
  const logRequest = requestLogger({ clock, log, metrics })

  const answer = async (page: Page | undefined, received: Request): Promise<Response> => {
    const startedAt = clock.monotonic()
    const peer = app.server?.requestIP(received)?.address ?? null
    const address = context.clientAddress.of(peer, () => received.headers.get('x-forwarded-for'))
    const request = await read(context, received, address)
    const response = await respondTo(page, request, log)
    logRequest({
      requestId: request.requestId,
      startedAt,
      method: received.method,
      route: page?.path ?? '',
      status: response.status,
    })
    return response
  }

  const app = new Elysia({ normalize: false, handler: { standardHostname: false } })
    // The pages read their forms themselves.
    .onParse(() => ({}))
    .onError(({ request }) => answer(undefined, request))
  for (const page of pages) app.all(page.path, ({ request }) => answer(page, request))
  app.get('/assets/*', ({ request }) => {
    return context.assets.serve(new URL(request.url).pathname, request) ?? answer(undefined, request)
  })
  return app
}

/** The request of a browser, whose form may be unreadable: then it has none. */
async function read(context: PagesContext, received: Request, address: string | null): Promise<BrowserRequest> {
  const locale: Locale = preferredLocale(received.headers.get('accept-language')) ?? context.config.locale
  return new BrowserRequest(context, received, {
    requestId: requestIdOf(received.headers, context.random),
    locale,
    texts: TEXTS[locale],
    cookies: readCookies(received.headers.get('cookie')),
    address,
  })
}

async function respondTo(page: Page | undefined, request: BrowserRequest, log: Log): Promise<Response> {
  const failure = (kind: FailureKind, status: number, requestId?: string, headers = {}) =>
    renderPage(request, <Failure kind={kind} requestId={requestId ?? request.requestId} />, {
      title: failureTitle(kind, request.texts),
      status,
      headers,
    })
  const { method } = request.request
  try {
    if (!page) return failure('notFound', 404)
    if (method === 'POST' && page.post) {
      if (!isFromThisSite(request)) return failure('forbidden', 403)
      const refused = await readForm(request)
      if (refused) return failure(refused.kind, refused.status)
      await requireSession(page, request)
      if (!request.hasFormToken()) return failure('forbidden', 403)
      return await page.post(request)
    }
    if ((method === 'GET' || method === 'HEAD') && page.get) {
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
  if (locale === null) return
  request.locale = locale
  request.texts = TEXTS[locale]
}

/** Sends the person to the sign-in, from which they return to what they asked for. */
function signInFirst(request: BrowserRequest, page: Page | undefined): Response {
  const { pathname, search } = request.url
  const query = new URLSearchParams()
  if (request.hadSession) query.set('done', 'ended')
  const wanted = request.request.method === 'POST' ? pathname : pathname + search
  if (page?.get && page.path !== '/sign-in' && wanted !== HOME) query.set('return_to', wanted)
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
  const bytes = await readBytes(request.request, FORM_MAX)
  if (bytes === null) return { kind: 'tooLarge', status: 413 }
  request.form = new URLSearchParams(new TextDecoder().decode(bytes))
  return undefined
}
