import { type Answer, type Api, type Body, errorOf } from './api.ts'
import type { Ch202Error } from './error.ts'
import { exclusively, sleep } from './lock.ts'
import type { Session, Store } from './store.ts'
import { type Message, openTabs } from './tabs.ts'
import type { Change } from './types.ts'

/** Answers to a refresh that say that the session has ended. After any other one the session remains. */
const ENDED = ['invalid_refresh_token', 'refresh_token_reused', 'account_disabled']
/**
 * Milliseconds before each attempt of a refresh, and until it is given up. An answer that is lost or late can be asked for
 * again within the grace period of the server (10 s), so the second attempt comes early enough and may then take long.
 */
const ATTEMPTS = [
  [0, 4000],
  [100, 8000],
  [500, 8000],
  [1500, 8000],
] as const
/** An access token is refreshed this part of its life before its end, and at most so many milliseconds. */
const MARGIN = { part: 0.1, most: 10_000 }

export interface Sessions {
  /** The session as it is stored, without a request. */
  read(): Promise<Session | null>
  /** The session with a valid access token. @param refused an access token that is not valid, whatever its age */
  valid(refused?: string): Promise<Session | null>
  /** Begins a session with the tokens of an answer. */
  begin(tokens: Body, sentAt: number): Promise<void>
  /** Ends the session in every tab. @returns whether the server has ended it */
  end(): Promise<boolean>
  on(listener: (change: Change) => void): () => void
  close(): void
}

export function openSessions(api: Api, store: Store): Sessions {
  const listeners = new Set<(change: Change) => void>()
  /** The newest record that this client wrote or got from another tab: `localStorage` of another process may lag behind. */
  let newest: Session | null = null
  /** The session that the listeners know. */
  let announced: string | undefined
  /** Why a session ended, as another tab reported it: its storage may tell later, and without a reason. */
  let lastReason: Change['reason'] = 'signed_out'
  let refreshing: Promise<Session | null> | undefined
  let isRepairing = false
  let isRepairWanted = false

  const tabs = openTabs(
    store,
    (message) => void received(message).catch(() => undefined),
    () => void repair().catch(() => undefined),
  )
  const ready = store.read().then((session) => {
    announced = session?.session_id
    // A tab was closed during a refresh, or got no answer.
    if (session?.refresh) void repair().catch(() => undefined)
  })
  // Those who call something get the error of their storage.
  ready.catch(() => undefined)

  async function read(): Promise<Session | null> {
    const session = await store.read()
    return session && newest?.session_id === session.session_id && newest.turn > session.turn ? newest : session
  }

  /** Stores the session, and informs the other tabs. */
  async function write(session: Session | null, before: Session | null, reason: Change['reason']): Promise<void> {
    await store.write(session)
    if (session) newest = session
    tabs.tell({ before: before?.session_id, session, reason })
    await announce(reason)
  }

  async function announce(reason: Change['reason']): Promise<void> {
    await ready
    const id = (await read())?.session_id
    if (id === announced) return
    announced = id
    const change: Change = { signedIn: id !== undefined, reason: id === undefined ? reason : 'signed_in' }
    for (const listener of [...listeners]) listener(change)
  }

  async function received(message?: Message): Promise<void> {
    const session = message?.session
    if (session && (newest?.session_id !== session.session_id || newest.turn < session.turn)) newest = session
    if (message && !session) lastReason = message.reason
    await announce(lastReason)
    // The tab that sent the refresh may be closed before its answer. This one waits for its lock, and then repeats it.
    await repair('sent')
  }

  /**
   * Repeats a refresh whose answer is not known, once at a time: a refresh that waits for a slow server is announced too.
   * @param only leaves those alone that failed before
   */
  async function repair(only?: 'sent'): Promise<void> {
    const needed = async () => {
      const session = await read()
      return session?.refresh && (!only || session.refresh === only) ? session : null
    }
    isRepairWanted = true
    // The refresh of this client does the same.
    if (isRepairing || refreshing) return
    isRepairing = true
    try {
      while (isRepairWanted) {
        isRepairWanted = false
        if (await needed()) await exclusively(store, { read, needed, work: renew })
      }
    } finally {
      isRepairing = false
    }
  }

  function isValid(session: Session, refused: string | undefined): boolean {
    const now = Date.now()
    const margin = Math.min(MARGIN.most, (session.until - session.from) * MARGIN.part)
    // A clock before the first moment of the token was set back: nothing is known about its age.
    return session.access_token !== refused && now >= session.from && now < session.until - margin
  }

  async function valid(refused?: string): Promise<Session | null> {
    const session = await read()
    if (!session || isValid(session, refused)) return session
    refreshing ??= refresh(refused).finally(() => {
      refreshing = undefined
    })
    const result = await refreshing
    // Another call of this tab began the refresh, and did not know that this token was refused.
    return result && result.access_token === refused ? await refresh(refused) : result
  }

  async function refresh(refused: string | undefined): Promise<Session | null> {
    const needed = async () => {
      const session = await read()
      return session && !isValid(session, refused) ? session : null
    }
    return await exclusively(store, { read, needed, work: renew })
  }

  /** Refreshes the tokens. @throws Ch202Error if the server gave no answer, or one that says nothing about the session */
  async function renew(session: Session): Promise<Session | null> {
    const mark = (refresh: Session['refresh']) => write({ ...session, refresh }, session, 'signed_in')
    await mark('sent')
    let failure: Ch202Error | undefined
    let wasLost = false
    for (const [pause, timeout] of ATTEMPTS) {
      await sleep(pause)
      const answer = await api
        .ask('refresh', { refresh_token: session.refresh_token }, { timeout })
        .catch((error: Ch202Error) => {
          failure = error
        })
      const stored = await read()
      // Signed out meanwhile, or another tab was faster. Its answer is the newer one.
      if (stored?.refresh_token !== session.refresh_token) return stored
      if (answer?.body.refresh_token) {
        const next = sessionOf(answer.body, answer.sentAt, session.turn + 1)
        await write(next, session, 'signed_in')
        return next
      }
      if (answer) failure = errorOf(answer)
      if (!answer || isTransient(answer)) {
        wasLost = true
        continue
      }
      if (ENDED.includes(answer.body.code ?? '')) {
        await write(null, session, 'session_ended')
        return null
      }
      break
    }
    await mark(wasLost ? 'failed' : undefined)
    throw failure
  }

  return {
    read,
    valid,
    async begin(tokens, sentAt) {
      await ready
      const before = await read()
      await write(sessionOf(tokens, sentAt, 0), before, 'signed_in')
      // Nobody has the tokens of the session before any more.
      if (before) void logOut(before)
    },
    async end() {
      const session = await read()
      if (!session) return true
      await write(null, session, 'signed_out')
      return await logOut(session)
    },
    on(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close() {
      tabs.close()
      listeners.clear()
    },
  }

  /** @returns whether the session has ended */
  async function logOut({ refresh_token }: Session): Promise<boolean> {
    return await api.ask('logout', { refresh_token }, { keepalive: true }).then(
      ({ body, status }) => status < 400 || ENDED.includes(body.code ?? ''),
      () => false,
    )
  }
}

function sessionOf(
  { access_token, expires_in = 0, refresh_token, session_id }: Body,
  from: number,
  turn: number,
): Session {
  return {
    access_token: access_token ?? '',
    refresh_token: refresh_token ?? '',
    session_id: session_id ?? '',
    from,
    // Relative to the time of this device, which may differ from that of the server.
    until: from + expires_in * 1000,
    turn,
  }
}

/** Whether the same request may succeed at once. The answer of a proxy may hide one of Ch202. */
function isTransient({ body, status }: Answer): boolean {
  return status >= 500 || body.code === undefined
}
