import { type Locks, page } from './browser.ts'
import type { Session, Store } from './store.ts'

/**
 * Milliseconds after which a waiting client goes ahead. The holder may be a tab that the system has stopped; and the
 * server answers two refreshes with one token alike, but only within its grace period (10 s).
 */
const PATIENCE = 4000
/** Milliseconds between looks at a lease. */
const PAUSE = 50
/**
 * Milliseconds between two refreshes without locks. Two clients may each believe that they have the lease, and the server
 * ends the session of a client that is late by two refreshes.
 */
const SPACING = 1000

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Work that one client at a time does for all that have the same storage. */
interface SharedWork {
  read(): Promise<Session | null>
  /** Reads the session that the work is for; null if another client has done it meanwhile. */
  needed(): Promise<Session | null>
  /** @returns the session afterwards */
  work(session: Session): Promise<Session | null>
}

/**
 * Does the work, if it is still needed, while no other client with the same storage does, or after `PATIENCE`.
 * @returns the session afterwards
 */
export async function exclusively(store: Store, { needed, read, work }: SharedWork): Promise<Session | null> {
  const ifNeeded = async () => {
    const session = await needed()
    return session ? await work(session) : await read()
  }
  const locks = page()?.navigator?.locks
  if (store.isPrivate) return await ifNeeded()
  if (!locks) return await withLease(store, needed, ifNeeded)
  const inTurn = async () => {
    await catchUp(locks, store, read)
    const session = await ifNeeded()
    if (session) await announceTurn(locks, store, session)
    return session
  }
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(), PATIENCE)
  let result: Promise<Session | null> | undefined
  const begin = () => {
    clearTimeout(timer)
    result = inTurn()
    return result
  }
  // Fails when the wait was given up, and in a page that may not have locks.
  await locks.request(store.key, { signal: giveUp.signal }, begin).catch(() => undefined)
  return await (result ?? ifNeeded())
}

/**
 * Waits until this process sees what the last holder of the lock stored: browsers bring `localStorage` to other processes
 * with a delay, and a lock without one. Holders therefore announce the number of their record as a lock.
 */
async function catchUp(locks: Locks, { key }: Store, read: () => Promise<Session | null>): Promise<void> {
  const { held: holders = [] } = await locks.query()
  const turns = holders.map(({ name = '' }) => name.split(' ')).filter(([start]) => start === key)
  const isBehind = (session: Session | null) =>
    turns.some(([, id, turn]) => id === session?.session_id && Number(turn) > (session?.turn ?? 0))
  const end = performance.now() + PATIENCE
  while (isBehind(await read()) && performance.now() < end) await sleep(5)
}

/** Ends the last announcement of a client. */
const announcements = new WeakMap<Store, () => void>()

/** Holds a lock that others only see, until the next one, and longer than `localStorage` takes to reach them. */
function announceTurn(locks: Locks, store: Store, { session_id, turn }: Session): Promise<void> {
  return new Promise((resolve) => {
    const hold = () =>
      new Promise<void>((release) => {
        announcements.get(store)?.()
        announcements.set(store, release)
        setTimeout(release, PATIENCE)
        resolve()
      })
    locks.request(`${store.key} ${session_id} ${turn}`, { mode: 'shared' }, hold).catch(resolve)
  })
}

/**
 * Does the work with a lease in the storage, for browsers and runtimes without locks. A storage cannot compare and write
 * in one step: the client that wrote last has the lease, as all see after a pause.
 */
async function withLease(
  store: Store,
  needed: () => Promise<Session | null>,
  work: () => Promise<Session | null>,
): Promise<Session | null> {
  const id = Math.random().toString(36).slice(2)
  const holder = async () => {
    const [name, until] = ((await store.get('lease')) ?? '').split(' ')
    const remaining = Number(until) - Date.now()
    // A lease of a longer time than leases have was written before the clock was set back.
    return remaining > 0 && remaining <= PATIENCE ? name : undefined
  }
  const end = performance.now() + PATIENCE
  while (performance.now() < end) {
    // Another client has done it: the work is only to read its result.
    const session = await needed()
    if (!session) return await work()
    if ((await holder()) === undefined) {
      await store.set('lease', `${id} ${Date.now() + PATIENCE}`)
      await sleep(Math.min(SPACING, Math.max(PAUSE, session.from + SPACING - Date.now())))
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
