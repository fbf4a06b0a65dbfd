/** @jsxRuntime automatic @jsxImportSource preact */

import type { BrowserRequest } from '../request/browser-request.ts'
import type { Texts } from '../texts/en.ts'
import { CardPage } from './document.tsx'
import { renderPage } from './render.tsx'
import { useRequest } from './request-context.ts'

export type FailureKind =
  | 'notFound'
  | 'forbidden'
  | 'method'
  | 'tooLarge'
  | 'wrongType'
  | 'unavailable'
  | 'internal'
  | 'app'

const TITLES = {
  notFound: 'notFoundTitle',
  forbidden: 'forbiddenTitle',
  method: 'methodTitle',
  tooLarge: 'methodTitle',
  wrongType: 'methodTitle',
  unavailable: 'unavailableTitle',
  internal: 'internalTitle',
  app: 'appTitle',
} as const

interface FailureOptions {
  status: number
  headers?: Readonly<Record<string, string>>
  /** Undefined: the id of the browser's request. */
  requestId?: string | undefined
}

/** Answers with a page that says why a request failed. */
export function failurePage(request: BrowserRequest, kind: FailureKind, options: FailureOptions): Response {
  const { headers = {}, requestId = request.requestId, status } = options
  const title = failureTitle(kind, request.texts)
  return renderPage(request, <Failure kind={kind} requestId={requestId} />, { title, status, headers })
}

function failureTitle(kind: FailureKind, texts: Texts): string {
  return texts.failure[TITLES[kind]]
}

/** Says why a request failed, with the id by which it is found in the logs. */
function Failure({ kind, requestId }: { kind: FailureKind; requestId: string }) {
  const { texts, url } = useRequest()
  const isFault = kind === 'unavailable' || kind === 'internal'
  // The request of an app is in the address.
  const here = url.pathname.startsWith('/oauth/') ? url.pathname + url.search : url.pathname
  return (
    <CardPage title={failureTitle(kind, texts)}>
      {kind !== 'method' && <p>{texts.failure[kind]}</p>}
      {(isFault || kind === 'app') && (
        <p class="muted small">
          {texts.failure.request} <code>{requestId}</code>
        </p>
      )}
      <a class="button full" href={isFault || kind === 'forbidden' ? here : '/'}>
        {isFault || kind === 'forbidden' ? texts.failure.again : texts.failure.home}
      </a>
    </CardPage>
  )
}
