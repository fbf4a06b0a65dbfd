import { page } from './browser.ts'
import type { Store } from './store.ts'

/**
 * Milliseconds after which a waiting client goes ahead. The holder may be a tab that the system has stopped; and the
 * server answers two refreshes with one token alike, but only within its grace period (10 s).
 */
const PATIENCE = 5000
/** Milliseconds between looks at a lease. */
const PAUSE = 50

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Work that one client at a time does for all that have the same storage. */
interface SharedWork<Subject, Result> {
  /** Reads what the work is for; null if another client has done it meanwhile. */
  needed(): Promise<Subject | null>
  work(subject: Subject): Promise<Result>
}

/**
 * Does the work, if it is still needed, while no other client with the same storage does, or after `PATIENCE`.
 * @returns undefined if it was not needed
 */
export async function exclusively<Subject, Result>(
  store: Store,
  { needed, work }: SharedWork<Subject, Result>,
): Promise<Result | undefined> {
  const ifNeeded = async () => {
    const subject = await needed()
    return subject === null ? undefined : await work(subject)
  }
  const locks = page()?.navigator?.locks
  if (store.isPrivate) return await ifNeeded()
  if (!locks) return await withLease(store, needed, ifNeeded)
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(), PATIENCE)
  let result: Promise<Result | undefined> | undefined
  const begin = () => {
    clearTimeout(timer)
    result = ifNeeded()
    return result
  }
  // Fails when the wait was given up, and in a page that may not have locks.
  await locks.request(store.key, { signal: giveUp.signal }, begin).catch(() => undefined)
  return await (result ?? begin())
}

/**
 * Does the work with a lease in the storage, for browsers and runtimes without locks. A storage cannot compare and write
 * in one step: the client that wrote last has the lease, as all see after a pause.
 */
async function withLease<Result>(
  store: Store,
  needed: () => Promise<unknown>,
  work: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  const id = Math.random().toString(36).slice(2)
  const holder = async () => {
    const [name, until] = ((await store.get('lease')) ?? '').split(' ')
    const remaining = Number(until) - Date.now()
    // A lease of a longer time than leases have was written before the clock was set back.
    return remaining > 0 && remaining <= PATIENCE ? name : undefined
  }
  const end = performance.now() + PATIENCE
  while (performance.now() < end) {
    if ((await needed()) === null) return undefined
    if ((await holder()) === undefined) {
      await store.set('lease', `${id} ${Date.now() + PATIENCE}`)
      await sleep(PAUSE)
      if ((await holder()) === id) break
    }
    await sleep(PAUSE)
  }
  try {
    return await work()
  } finally {
    if ((await holder()) === id) await store.set('lease', null)
  }
}
