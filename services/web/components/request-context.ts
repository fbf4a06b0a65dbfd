import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { BrowserRequest } from '../request/browser-request.ts'

const Current = createContext<BrowserRequest | null>(null)

/** Gives the components below it the request that they answer. */
export const RequestProvider = Current.Provider

/** The request that a component answers. */
export function useRequest(): BrowserRequest {
  const request = useContext(Current)
  if (!request) throw new Error('A component was rendered without a request')
  return request
}
