import { page } from './browser.ts'
import type { ClientStorage } from './types.ts'

/** The tokens of a session, as they are stored. */
export interface Session {
  access_token: string
  refresh_token: string
  session_id: string
  /** The first moment and the end of the access token, by the clock of this device. */
  from: number
  until: number
  /** Counts the refreshes: of two records of a session, the one with the higher number is the newer. */
  turn: number
  /**
   * A refresh was sent and its answer is not known. `sent`: it is under way, or its tab was closed. `failed`: it got no
   * answer.
   */
  refresh?: 'sent' | 'failed' | undefined
}

export interface Store {
  readonly key: string
  readonly storage: ClientStorage
  /** Whether only this client has the storage. */
  readonly isPrivate: boolean
  /** @returns null if nobody is signed in */
  read(): Promise<Session | null>
  write(session: Session | null): Promise<void>
  /** Reads and writes a text beside the session. */
  get(name: string): Promise<string | null>
  set(name: string, value: string | null): Promise<void>
}

/** @param base the address of Ch202: a page may have sessions with several */
export function openStore(base: string, storage: ClientStorage | undefined): Store {
  const ownStorage = storage ?? localStorageOf()
  const store = ownStorage ?? memory()
  const key = `ch202:${base}`
  const set = async (at: string, value: string | null) => {
    await (value === null ? store.removeItem(at) : store.setItem(at, value))
  }
  return {
    key,
    storage: store,
    isPrivate: ownStorage === undefined,
    read: async () => sessionIn(await store.getItem(key)),
    write: (session) => set(key, session && JSON.stringify(session)),
    get: async (name) => await store.getItem(`${key}:${name}`),
    set: (name, value) => set(`${key}:${name}`, value),
  }
}

function sessionIn(text: string | null): Session | null {
  try {
    const session = JSON.parse(text ?? 'null')
    return typeof session?.refresh_token === 'string' ? session : null
  } catch {
    return null
  }
}

/** The `localStorage` of a page; undefined elsewhere, and if the user has blocked it. */
function localStorageOf(): ClientStorage | undefined {
  try {
    const storage = page()?.localStorage
    storage?.setItem('ch202:test', '')
    storage?.removeItem('ch202:test')
    return storage
  } catch {
    return undefined
  }
}

function memory(): ClientStorage {
  const items = new Map<string, string>()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  }
}
