import { type Clock, DAY, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import { callClientAddress, NotCalled } from '../../kit/outgoing-public.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import { withTimeout } from '../../kit/timeout.ts'
import { AUTH_ITSELF, auditEvent } from '../audit/record.ts'
import type { KeyRing } from '../keys/ring.ts'
import type { ClientLogoutStore, DueLogout } from '../store/index.ts'
import { logoutToken } from './logout-token.ts'

/** The lease of the node that sends. */
const LEASE = 'client logouts'
/** How many clients are told at once: each of one session at a time, so that a slow one delays no other. */
const AT_ONCE = 32
/** How often the store is read when nothing else wakes the sender: another node ended a session, or a retry is due. */
const LOOK_EVERY = SECOND
/** Milliseconds for a call, and bytes of its answer. */
const PATIENCE = 5 * SECOND
const LARGEST = 16 * 1024
/** How long a client that failed gets nothing: with many notices, each would be one more failing call. */
const PAUSE = SECOND
const FIRST_RETRY = SECOND
const LONGEST_RETRY = 5 * MINUTE
/** How long after the end of a session its notice is given up. */
const LIFETIME = DAY
/** How long a stop waits for calls that are under way. They are made again after the next start. */
const STOP_PATIENCE = SECOND

interface BackChannelOptions {
  store: ClientLogoutStore
  /** The nodes that share the store: one of them at a time sends. */
  nodes: Pick<Nodes, 'claim' | 'holds' | 'onChange' | 'release'>
  clock: Clock
  random: Random
  log: Log
  keyRing: Pick<KeyRing, 'signingIdTokens'>
  issuer: string
  config: Pick<Config, 'oauthPrivateHosts'>
}

/** Tells clients that sessions have ended (OpenID Connect Back-Channel Logout), until they acknowledge it. */
export class BackChannel {
  private isRunning = false
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  private readonly abort = new AbortController()
  /** Attempts that are under way, by client. */
  private readonly attempts = new Map<string, Promise<void>>()
  /** Until when a client gets nothing, in monotonic milliseconds. */
  private readonly pausedUntil = new Map<string, number>()
  private endListening = () => {}

  constructor(private readonly options: BackChannelOptions) {
    options.store.onClientLogouts(() => this.wakeUp.resolve())
  }

  /** Starts to send, as soon as no other node does. */
  start(): void {
    const { nodes } = this.options
    this.isRunning = true
    this.endListening = nodes.onChange(() => this.wakeUp.resolve())
    void nodes.claim(LEASE).then(() => this.wakeUp.resolve())
    this.loop = this.run()
  }

  /** Waits briefly for calls that are under way, then ends them. */
  async stop(): Promise<void> {
    this.isRunning = false
    this.endListening()
    this.wakeUp.resolve()
    await withTimeout(Promise.all([this.loop, ...this.attempts.values()]), STOP_PATIENCE)
    this.abort.abort()
    await Promise.all([this.loop, ...this.attempts.values()])
    await this.options.nodes.release(LEASE)
  }

  /** Deletes notices that no client waits for, and looks for due ones. */
  async tidy(): Promise<void> {
    const { clock, store } = this.options
    await store.settleClientLogouts(clock.now() + LONGEST_RETRY)
    this.wakeUp.resolve()
  }

  private async run(): Promise<void> {
    while (this.isRunning) {
      this.wakeUp = Promise.withResolvers()
      try {
        if (this.options.nodes.holds(LEASE)) await this.sendDue()
      } catch (error) {
        this.options.log.error({ event: 'client_logout.failed', err: error })
      }
      await withTimeout(this.wakeUp.promise, LOOK_EVERY)
    }
  }

  /** Begins an attempt for each client that has a notice due, as far as there is room. */
  private async sendDue(): Promise<void> {
    const { clock, store } = this.options
    if (this.attempts.size >= AT_ONCE) return
    // An attempt may end while the store is read: what was read may then still have its notice as due.
    const busy = new Set(this.attempts.keys())
    for (const notice of await store.clientLogoutsDue(clock.now())) {
      if (this.attempts.size >= AT_ONCE) return
      const { clientId } = notice
      if (busy.has(clientId) || clock.monotonic() < (this.pausedUntil.get(clientId) ?? 0)) continue
      this.pausedUntil.delete(clientId)
      this.begin(notice)
    }
  }

  /** Begins an attempt in the background. */
  private begin(notice: DueLogout): void {
    const { clientId } = notice
    const attempt = this.attempt(notice)
      .catch((error) => {
        // The result could not be stored: the notice is still due.
        this.options.log.error({ event: 'client_logout.failed', target: clientId, err: error })
        this.pause(clientId)
      })
      .finally(() => {
        this.attempts.delete(clientId)
        this.wakeUp.resolve()
      })
    this.attempts.set(clientId, attempt)
  }

  /** Makes one attempt and stores its result. @throws when the result cannot be stored */
  private async attempt(notice: DueLogout): Promise<void> {
    const { clock, log, nodes, store } = this.options
    if (!this.isRunning || !nodes.holds(LEASE)) return
    const failure = await this.send(notice)
    const { clientId, id, tries } = notice
    if (failure === null) {
      await store.finishClientLogout(id, this.event('client.logout_acknowledged', notice))
      log.debug({ event: 'client_logout.acknowledged', target: clientId })
      return
    }
    // A call that a stop ended shows nothing about the client.
    if (this.abort.signal.aborted) return
    this.pause(clientId)
    log.warn({ event: 'client_logout.postponed', target: clientId, code: failure, tries: tries + 1 })
    await store.postponeClientLogout(id, clock.now() + retryDelay(tries), failure)
    const before = clock.now() - LIFETIME
    if (notice.at < before)
      await store.giveUpClientLogouts(clientId, before, (old) =>
        this.event('client.logout_failed', old, { reason: failure, tries: old.tries }),
      )
  }

  /** Sends a logout token. @returns null when the client acknowledged it, or why not */
  private async send(notice: DueLogout): Promise<string | null> {
    const { clock, config, issuer, keyRing, log, random } = this.options
    try {
      const key = keyRing.signingIdTokens(notice.alg)
      const token = logoutToken(notice, { id: random.id(), issuer, key, now: clock.now() })
      const { status } = await callClientAddress(notice.uri, {
        privateHosts: config.oauthPrivateHosts,
        most: LARGEST,
        patience: PATIENCE,
        signal: this.abort.signal,
        body: { type: 'application/x-www-form-urlencoded', text: `logout_token=${token}` },
      })
      return status === 200 || status === 204 ? null : `The answer was ${status}`
    } catch (error) {
      if (error instanceof NotCalled) return error.message
      // A fault of this service, such as a missing key, counts as a failure too: the notice must not be due for ever.
      log.error({ event: 'client_logout.failed', target: notice.clientId, err: error })
      return 'The notice could not be sent'
    }
  }

  private pause(clientId: string): void {
    this.pausedUntil.set(clientId, this.options.clock.monotonic() + PAUSE)
  }

  private event(
    type: string,
    { clientId, sessionId, userId }: Pick<DueLogout, 'clientId' | 'sessionId' | 'userId'>,
    detail: Record<string, unknown> = {},
  ) {
    const ids = { client_id: clientId, session_id: sessionId }
    return auditEvent(this.options, AUTH_ITSELF, type, userId, { ...ids, ...detail })
  }
}

/** The milliseconds before the next attempt, after this many. */
function retryDelay(tries: number): number {
  return Math.min(FIRST_RETRY * 2 ** Math.min(tries, 16), LONGEST_RETRY)
}
