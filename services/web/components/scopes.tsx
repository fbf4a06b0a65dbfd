/** @jsxRuntime automatic @jsxImportSource preact */

import type { Texts } from '../texts/en.ts'
import { useRequest } from './request-context.ts'

/** Lists what an app may do, in plain words. */
export function Scopes({ scopes }: { scopes: readonly string[] }) {
  const { texts } = useRequest()
  return (
    <ul class="scopes">
      {scopes.map((scope) => (
        <li key={scope}>{wordsOf(scope, texts)}</li>
      ))}
    </ul>
  )
}

function wordsOf(scope: string, { scopes }: Texts): string {
  return Object.hasOwn(scopes, scope) ? scopes[scope as keyof Texts['scopes']] : scope
}
