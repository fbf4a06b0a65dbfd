/** @jsxRuntime automatic @jsxImportSource preact */

import type { BrowserRequest } from '../request/browser-request.ts'
import type { Texts } from '../texts/en.ts'
import { CardPage } from './document.tsx'
import { Form } from './form.tsx'
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

/** Answers with a page that says why a request failed. A form that failed by a fault can be sent again from there. */
export function failurePage(request: BrowserRequest, kind: FailureKind, options: FailureOptions): Response {
  const { headers = {}, requestId = request.requestId, status } = options
  const title = failureTitle(kind, request.texts)
  const returnOrigin = canSendAgain(request, kind) ? request.returnTo.origin : null
  return renderPage(request, <Failure kind={kind} requestId={requestId} />, { title, status, headers, returnOrigin })
}

/** The faults, which may be over a moment later. */
const isFault = (kind: FailureKind) => kind === 'unavailable' || kind === 'internal'

/**
 * Whether the page of a fault has the form again. One without the token of a page may come from elsewhere, and is not made
 * ours; the request of an app is in the address.
 */
function canSendAgain(request: BrowserRequest, kind: FailureKind): boolean {
  const isForm = request.request.method === 'POST' && !request.url.pathname.startsWith('/oauth/')
  return isFault(kind) && isForm && request.hasFormToken()
}

function failureTitle(kind: FailureKind, texts: Texts): string {
  return texts.failure[TITLES[kind]]
}

/** Says why a request failed, with the id by which it is found in the logs. */
function Failure({ kind, requestId }: { kind: FailureKind; requestId: string }) {
  const request = useRequest()
  const { texts, typed, url } = request
  const isAgain = isFault(kind) || kind === 'forbidden'
  const isForm = canSendAgain(request, kind)
  // The request of an app is in the address.
  const here = url.pathname.startsWith('/oauth/') ? url.pathname + url.search : url.pathname
  return (
    <CardPage title={failureTitle(kind, texts)}>
      {kind !== 'method' && <p>{texts.failure[isForm && kind === 'unavailable' ? 'unavailableForm' : kind]}</p>}
      {(isFault(kind) || kind === 'app') && (
        <p class="muted small">
          {texts.failure.request} <code>{requestId}</code>
        </p>
      )}
      {isForm ? (
        <Form action={url.pathname + url.search} hidden={typed}>
          <button type="submit" class="full">
            {texts.failure.again}
          </button>
        </Form>
      ) : (
        <a class="button full" href={isAgain ? here : '/'}>
          {isAgain ? texts.failure.again : texts.failure.home}
        </a>
      )}
    </CardPage>
  )
}
