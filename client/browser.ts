import type { ClientStorage } from './types.ts'

/** Globals of a browser that other runtimes may lack. Old browsers, and pages without https, lack some as well. */
interface BrowserGlobals {
  document?: object
  localStorage?: ClientStorage
  navigator?: { locks?: Locks }
  BroadcastChannel?: new (name: string) => Channel
  addEventListener?(type: string, listener: (event: { key?: string | null }) => void): void
  removeEventListener?(type: string, listener: (event: { key?: string | null }) => void): void
}

/** `navigator.locks` (Web Locks API). */
export interface Locks {
  request<T>(name: string, options: { signal?: AbortSignal; mode?: 'shared' }, work: () => Promise<T>): Promise<T>
  query(): Promise<{ held?: { name?: string }[] }>
}

export interface Channel {
  onmessage: ((event: { data: unknown }) => void) | null
  postMessage(message: unknown): void
  close(): void
}

/**
 * The globals of a page; undefined elsewhere. Some runtimes have parts of them with another reach: the `localStorage` of
 * Node is a file for all users of a server, and its locks are those of one process.
 */
export function page(): BrowserGlobals | undefined {
  const globals = globalThis as BrowserGlobals
  return globals.document && globals.addEventListener ? globals : undefined
}
