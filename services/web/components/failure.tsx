/** @jsxRuntime automatic @jsxImportSource preact */

import type { Texts } from '../texts/en.ts'
import { CardPage } from './document.tsx'
import { useRequest } from './request-context.ts'

export type FailureKind = 'notFound' | 'forbidden' | 'method' | 'tooLarge' | 'wrongType' | 'unavailable' | 'internal'

const TITLES = {
  notFound: 'notFoundTitle',
  forbidden: 'forbiddenTitle',
  method: 'methodTitle',
  tooLarge: 'methodTitle',
  wrongType: 'methodTitle',
  unavailable: 'unavailableTitle',
  internal: 'internalTitle',
} as const

export function failureTitle(kind: FailureKind, texts: Texts): string {
  return texts.failure[TITLES[kind]]
}

/** Says why a request failed, with the id by which it is found in the logs. */
export function Failure({ kind, requestId }: { kind: FailureKind; requestId: string }) {
  const { texts, url } = useRequest()
  const isFault = kind === 'unavailable' || kind === 'internal'
  return (
    <CardPage title={failureTitle(kind, texts)}>
      {kind !== 'method' && <p>{texts.failure[kind]}</p>}
      {isFault && (
        <p class="muted small">
          {texts.failure.request} <code>{requestId}</code>
        </p>
      )}
      <a class="button full" href={isFault || kind === 'forbidden' ? url.pathname : '/'}>
        {isFault || kind === 'forbidden' ? texts.failure.again : texts.failure.home}
      </a>
    </CardPage>
  )
}
