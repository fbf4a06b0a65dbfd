import { createHash } from 'node:crypto'
import { type Clock, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { FactStore, MailKind, MailRequest, MailStore } from '../store/index.ts'
import { OPERATOR_REASONS } from './outcome.ts'
import { expiryOf, type Failure, LONGEST_DELAY, retryDelay } from './schedule.ts'
import { type Letter, type Mailer, MailNotSent } from './transport.ts'

/** How many attempts run at once while the mail server answers quickly. */
const AT_ONCE = 8
/**
 * A slow attempt makes room for another one, up to so many in all: a server may take ten minutes to answer, or be slow
 * only for some recipients.
 */
const SLOW_AFTER = 2 * SECOND
const MOST_AT_ONCE = 100
/** The longest pause between two reads of the store: the clock may be set, which makes mails due. */
const LONGEST_PAUSE = MINUTE
/** How long a mail waits when its failure could not be stored: the disk is full, or fails. */
const UNSTORED_PAUSE = 30 * SECOND
/** How long a stop waits for attempts that are under way. Their mails are sent again after the next start. */
const STOP_PATIENCE = 3 * SECOND

/** How attempts end, and `expired` for a mail that was given up. */
export const MAIL_OUTCOMES = ['sent', 'retry', 'refused', 'misconfigured', 'expired'] as const
/** The fact that says why the mail server currently fails every mail; empty when it does not. */
const TROUBLE = 'mail_trouble'

interface MailQueueOptions {
  store: FactStore & MailStore
  clock: Clock
  log: Log
  mailer: Mailer
  /** Writes the mail of a request, the same in each attempt. Null: nobody should get it, or it is no longer useful. */
  compose: Record<MailKind, (request: MailRequest) => Promise<Letter | null>>
  count?(outcome: (typeof MAIL_OUTCOMES)[number]): void
}

/**
 * Sends mails in the background. A mail that cannot be sent is retried until it expires, on a schedule of its own, so a
 * failed or slow one does not hold up the others.
 */
export class MailQueue {
  private isRunning = false
  private isStopped = false
  private readonly stopping = Promise.withResolvers<void>()
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  /** Attempts that are under way, by the id of their request. `since`: when one began, in monotonic milliseconds. */
  private readonly attempts = new Map<string, { since: number; end: Promise<void> }>()
  /** Ids of mails that were sent but not removed yet: on a full disk they would be sent again and again. */
  private readonly toRemove = new Set<string>()

  constructor(private readonly options: MailQueueOptions) {}

  start(): void {
    this.isRunning = true
    this.loop = this.run()
  }

  async stop(): Promise<void> {
    this.isRunning = false
    this.stopping.resolve()
    this.wakeUp.resolve()
    const ends = [...this.attempts.values()].map(({ end }) => end)
    await withTimeout(Promise.all([this.loop, ...ends]), STOP_PATIENCE)
    this.isStopped = true
  }

  /** Queues a mail. Idempotent by `id`. */
  async add(request: Omit<MailRequest, 'tries' | 'nextAt' | 'linkAt' | 'lastError'>): Promise<void> {
    const initial = { tries: 0, nextAt: request.requestedAt, linkAt: null, lastError: null }
    await this.options.store.addMailRequest({ ...request, ...initial })
    this.wakeUp.resolve()
  }

  private async run(): Promise<void> {
    // The settings may have been fixed before this start, so mails that wait for a retry are tried at once.
    let isFirst = true
    while (this.isRunning) {
      this.wakeUp = Promise.withResolvers()
      let pause: number
      try {
        if (isFirst) await this.options.store.hastenMailRequests(this.options.clock.now())
        isFirst = false
        pause = await this.sendDue()
      } catch (error) {
        this.options.log.error({ event: 'mail.failed', err: error })
        pause = SECOND
      }
      if (pause > 0) await withTimeout(this.wakeUp.promise, pause)
    }
  }

  /** Starts as many attempts as there is room for. Returns for how long there is nothing else to do, in milliseconds. */
  private async sendDue(): Promise<number> {
    const { clock, store } = this.options
    const now = clock.now()
    const { room } = this.room()
    if (room > 0)
      for (const request of await store.mailRequestsDue(now, now + LONGEST_DELAY, this.attempts.size + room))
        if (!this.attempts.has(request.id) && this.room().room > 0) this.begin(request)
    const remaining = this.room()
    if (remaining.room === 0) return remaining.inMs
    const next = await store.nextMailRequest(now)
    return next === null ? LONGEST_PAUSE : Math.min(Math.max(next - clock.now(), 1), LONGEST_PAUSE)
  }

  /**
   * Returns how many attempts may begin now. `inMs`: when none may, after how many milliseconds one may, unless another
   * ends earlier.
   */
  private room(): { room: number; inMs: number } {
    const now = this.options.clock.monotonic()
    const untilSlow = [...this.attempts.values()].map(({ since }) => since + SLOW_AFTER - now).filter((ms) => ms > 0)
    const room = Math.max(0, Math.min(AT_ONCE - untilSlow.length, MOST_AT_ONCE - this.attempts.size))
    const isFull = this.attempts.size >= MOST_AT_ONCE
    return { room, inMs: isFull ? LONGEST_PAUSE : Math.ceil(Math.min(...untilSlow, LONGEST_PAUSE)) }
  }

  private begin(request: MailRequest): void {
    const { clock, log } = this.options
    const end = this.attempt(request)
      .catch(async (error) => {
        // The result could not be stored: the mail is still due, and would be sent again at once.
        if (!this.isStopped) log.error({ event: 'mail.failed', err: error })
        await withTimeout(this.stopping.promise, this.toRemove.has(request.id) ? SECOND : UNSTORED_PAUSE)
      })
      .finally(() => {
        this.attempts.delete(request.id)
        this.wakeUp.resolve()
      })
    this.attempts.set(request.id, { since: clock.monotonic(), end })
  }

  private async attempt(request: MailRequest): Promise<void> {
    const { clock, store } = this.options
    if (this.toRemove.has(request.id)) return await this.remove(request)
    if (clock.now() > expiryOf(request)) return await this.giveUp(request, request.lastError ?? 'not_composed')
    const failure = await this.send(request)
    // An attempt that a stop aborted shows nothing about the server.
    if (this.isStopped) return
    if (failure) await this.recordTrouble(failure.reason)
    if (!failure || failure.outcome === 'refused') return await this.remove(request)
    const nextAt = clock.now() + retryDelay(failure, request)
    if (nextAt > expiryOf(request)) return await this.giveUp(request, failure.reason)
    await store.postponeMailRequest(request.id, nextAt, failure.reason)
  }

  /** Makes one attempt. Returns why it failed; undefined when the mail was sent, or there was nothing to send. */
  private async send(request: MailRequest): Promise<Failure | undefined> {
    const { compose, count, mailer } = this.options
    try {
      const letter = await compose[request.kind](request)
      if (!letter) return undefined
      await mailer.send({ ...letter, id: mailIdOf(request), at: request.requestedAt })
    } catch (error) {
      return this.isStopped ? undefined : this.report(request, error)
    }
    this.toRemove.add(request.id)
    count?.('sent')
    if (!this.isStopped) await this.recordTrouble(null)
    return undefined
  }

  private async remove({ id }: MailRequest): Promise<void> {
    await this.options.store.removeMailRequest(id)
    this.toRemove.delete(id)
  }

  private async giveUp(request: MailRequest, reason: string): Promise<void> {
    const { count, log } = this.options
    log.error({ event: 'mail.given_up', ...logFieldsOf(request), code: reason, tries: request.tries })
    count?.('expired')
    await this.remove(request)
  }

  private report(request: MailRequest, error: unknown): Failure {
    const { count, log } = this.options
    const { failure, status, step } =
      error instanceof MailNotSent
        ? error
        : { failure: { outcome: 'retry', reason: 'not_composed' } as const, status: null, step: null }
    const { outcome, reason } = failure
    count?.(outcome)
    log.error({
      event: 'mail.failed',
      ...logFieldsOf(request),
      outcome,
      code: reason,
      tries: request.tries + 1,
      ...(step === null ? {} : { step }),
      ...(status === null ? {} : { status }),
      err: error,
    })
    return failure
  }

  /** Remembers for `ch202 doctor` what an operator must fix, until a mail is sent. @param reason null: a mail was sent */
  private async recordTrouble(reason: Failure['reason'] | null): Promise<void> {
    const { clock, store } = this.options
    if (reason !== null && !OPERATOR_REASONS.has(reason)) return
    const before = (await store.fact(TROUBLE)) || null
    if (reason === null && before === null) return
    await store.setFact(TROUBLE, reason === null ? '' : JSON.stringify({ reason, at: clock.now() }))
  }
}

/** Derives the Message-ID from the request, so that an attempt after a crash has the same. It does not reveal the link. */
function mailIdOf({ id }: MailRequest): string {
  return createHash('sha256').update(`mail ${id}`).digest('hex').slice(0, 32)
}

function logFieldsOf({ requestId }: MailRequest): { requestId?: string } {
  return requestId === null ? {} : { requestId }
}
