import { createHash } from 'node:crypto'
import { type Clock, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { Challenge, ChallengeOptions, ChallengeStore, FactStore, MailRequest, MailStore } from '../store/index.ts'
import { type Capacity, capacityBeside, LONGEST_PAUSE } from './capacity.ts'
import { expiryOf, type Failure, LONGEST_DELAY, retryDelay } from './schedule.ts'
import { type Letter, type Mailer, MailNotSent } from './transport.ts'
import { recordTrouble } from './trouble.ts'

/** How long a mail waits when its failure could not be stored: the disk is full, or fails. */
const UNSTORED_PAUSE = 30 * SECOND
/**
 * How long a mail waits after its request was stored, in milliseconds: longer than it takes to answer. The work of an
 * attempt depends on whether the address is known, so it must not run before the answer.
 */
const ANSWER_FIRST = 25
/** How long a stop waits for attempts that are under way. Their mails are sent again after the next start. */
const STOP_PATIENCE = 3 * SECOND
/** How long nothing is sent when other nodes may have taken over the mails of this one, in milliseconds. */
const UNSURE_PAUSE = 100

/** How attempts end, and `expired` for a mail that was given up. */
export const MAIL_OUTCOMES = ['sent', 'retry', 'refused', 'misconfigured', 'expired'] as const

/** A mail before its first attempt. */
export type NewMail = Omit<MailRequest, 'tries' | 'nextAt' | 'linkAt' | 'lastError'>

/** Why a mail failed for good, and whether an attempt was made that the store has not counted. */
interface LastFailure {
  attempts: 0 | 1
  reason: string
}

interface MailQueueOptions {
  store: FactStore & MailStore & Pick<ChallengeStore, 'addChallenge'>
  /** The nodes that share the store. Absent: this one is alone. */
  nodes?: Pick<Nodes, 'isShared' | 'isSure' | 'onChange'>
  clock: Clock
  log: Log
  mailer: Mailer
  /** Writes the mail of a request, the same in each attempt; null when nobody should get it, or it is no longer useful. */
  compose: (request: MailRequest) => Promise<Letter | null>
  /** Counts the outcome of an attempt, for the metrics. */
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
  /** Whether mails of nodes that are gone may be in the store. */
  private isAbandoned = true
  private endListening = () => {}
  /** Ids of mails whose requests are being answered. */
  private readonly unanswered = new Set<string>()
  /** Ids of mails that were sent, but are still in the store's queue: on a full disk they would be sent again and again. */
  private readonly sent = new Set<string>()

  constructor(private readonly options: MailQueueOptions) {}

  /** Starts to send, first the mails that waited for a retry. */
  start(): void {
    this.isRunning = true
    this.endListening =
      this.options.nodes?.onChange(() => {
        this.isAbandoned = true
        this.wakeUp.resolve()
      }) ?? this.endListening
    this.loop = this.run()
  }

  /** Stops to read the queue, and waits briefly for attempts under way. To abort them is left to `Mailer.close`. */
  async stop(): Promise<void> {
    this.isRunning = false
    this.endListening()
    this.stopping.resolve()
    this.wakeUp.resolve()
    const ends = [...this.attempts.values()].map(({ end }) => end)
    await withTimeout(Promise.all([this.loop, ...ends]), STOP_PATIENCE)
    this.isStopped = true
  }

  /** Reads the queue at once: a mail may be due earlier than it was. */
  wake(): void {
    this.wakeUp.resolve()
  }

  /** Queues a mail, to be sent after the answer. Does nothing when a mail with this `id` is in the queue or was finished. */
  async add(mail: NewMail): Promise<void> {
    await this.addBy(mail, (request) => this.options.store.addMailRequest(request))
  }

  /**
   * Queues a mail as `add` does, with the challenge whose code or link it contains, and the row of the audit about it.
   * @returns false: the user of the challenge has one of the roles `withoutRoles`, and gets no mail
   */
  async addWithChallenge(mail: NewMail, challenge: Challenge, options?: ChallengeOptions): Promise<boolean> {
    return await this.addBy(mail, (request) => this.options.store.addChallenge(challenge, request, options))
  }

  private async addBy<T>(mail: NewMail, store: (request: MailRequest) => Promise<T>): Promise<T> {
    const request = { ...mail, tries: 0, nextAt: mail.requestedAt, linkAt: null, lastError: null }
    this.unanswered.add(request.id)
    try {
      return await store(request)
    } finally {
      setTimeout(() => {
        this.unanswered.delete(request.id)
        this.wakeUp.resolve()
      }, ANSWER_FIRST)
    }
  }

  /** Sends mails as they become due, until `stop`. */
  private async run(): Promise<void> {
    // The settings may have been fixed before this start, so mails that wait for a retry are tried at once.
    let isFirst = true
    while (this.isRunning) {
      this.wakeUp = Promise.withResolvers()
      let pause: number
      try {
        await this.takeOver()
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

  /** Takes over the mails of nodes that are gone, when there may be some. */
  private async takeOver(): Promise<void> {
    if (!this.options.nodes?.isShared || !this.isAbandoned) return
    this.isAbandoned = false
    try {
      await this.options.store.takeOverMailRequests()
    } catch (error) {
      this.isAbandoned = true
      throw error
    }
  }

  /** Whether no other node can have taken over the mails that this one has read. */
  private isSure(): boolean {
    return this.options.nodes?.isSure() ?? true
  }

  /** Begins as many attempts as may run. Returns how long there is nothing else to do, in milliseconds. */
  private async sendDue(): Promise<number> {
    const { clock, store } = this.options
    const now = clock.now()
    if (!this.isSure()) return UNSURE_PAUSE
    const { free } = this.capacity()
    if (free > 0) {
      const most = this.attempts.size + this.unanswered.size + free
      // An attempt may end while the store is read: what was read may then still have its mail as due.
      const underWay = new Set(this.attempts.keys())
      for (const request of await store.mailRequestsDue(now, now + LONGEST_DELAY, most))
        if (!underWay.has(request.id) && !this.unanswered.has(request.id) && this.capacity().free > 0)
          this.begin(request)
    }
    const remaining = this.capacity()
    if (remaining.free === 0) return remaining.freeIn
    const next = await store.nextMailRequest(now)
    return next === null ? LONGEST_PAUSE : Math.min(Math.max(next - clock.now(), 1), LONGEST_PAUSE)
  }

  private capacity(): Capacity {
    const starts = [...this.attempts.values()].map(({ since }) => since)
    return capacityBeside(starts, this.options.clock.monotonic())
  }

  /** Begins an attempt in the background. */
  private begin(request: MailRequest): void {
    const { clock, log } = this.options
    const end = this.attempt(request)
      .catch(async (error) => {
        // The result could not be stored: the mail is still due, and would be sent again at once.
        if (!this.isStopped) log.error({ event: 'mail.failed', err: error })
        await withTimeout(this.stopping.promise, this.sent.has(request.id) ? SECOND : UNSTORED_PAUSE)
      })
      .finally(() => {
        this.attempts.delete(request.id)
        this.wakeUp.resolve()
      })
    this.attempts.set(request.id, { since: clock.monotonic(), end })
  }

  /** Makes one attempt and stores its result. @throws when the result cannot be stored */
  private async attempt(request: MailRequest): Promise<void> {
    const { clock, store } = this.options
    if (this.sent.has(request.id)) return await this.finishSent(request)
    if (clock.now() > expiryOf(request)) {
      return await this.giveUp(request, { attempts: 0, reason: request.lastError ?? 'not_composed' })
    }
    const result = await this.send(request)
    // An attempt that a stop aborted shows nothing about the server.
    if (this.isStopped || result === 'not begun') return
    if (result === 'sent') return await this.finishSent(request)
    // Not finished as one that was sent: a list would tell operators that a mail went to an address that nobody has.
    if (result === 'nothing to send') return await store.removeMailRequest(request.id)
    await recordTrouble(this.options, result.reason)
    if (result.outcome === 'refused') return await this.finishFailed(request, { attempts: 1, reason: result.reason })
    const nextAt = clock.now() + retryDelay(result, request)
    if (nextAt > expiryOf(request)) return await this.giveUp(request, { attempts: 1, reason: result.reason })
    await store.postponeMailRequest(request.id, nextAt, result.reason)
  }

  /** Makes one attempt. Returns how it ended, or why it failed; `not begun` when another node may send the mail. */
  private async send(request: MailRequest): Promise<Failure | 'not begun' | 'nothing to send' | 'sent'> {
    const { compose, count, mailer } = this.options
    try {
      const letter = await compose(request)
      if (!this.isSure()) return 'not begun'
      if (!letter) return 'nothing to send'
      await mailer.send({ ...letter, id: mailIdOf(request), at: request.requestedAt })
    } catch (error) {
      return this.isStopped ? 'not begun' : this.report(request, error)
    }
    this.sent.add(request.id)
    count?.('sent')
    if (!this.isStopped) await recordTrouble(this.options, null)
    return 'sent'
  }

  private async finishSent({ id }: MailRequest): Promise<void> {
    const { clock, store } = this.options
    await store.finishMailRequest(id, { status: 'sent', attempts: 1, lastError: null }, clock.now())
    this.sent.delete(id)
  }

  private async finishFailed({ id }: MailRequest, { attempts, reason }: LastFailure): Promise<void> {
    const { clock, store } = this.options
    await store.finishMailRequest(id, { status: 'failed', attempts, lastError: reason }, clock.now())
  }

  /** Ends a mail that expired before it could be sent. */
  private async giveUp(request: MailRequest, failure: LastFailure): Promise<void> {
    const { count, log } = this.options
    log.error({ event: 'mail.given_up', ...logFieldsOf(request), code: failure.reason, tries: request.tries })
    count?.('expired')
    await this.finishFailed(request, failure)
  }

  /** Logs and counts a failed attempt. Returns why it failed. */
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
}

/** Derives the Message-ID from the request, so that an attempt after a crash has the same. It does not reveal the link. */
function mailIdOf({ id }: MailRequest): string {
  return createHash('sha256').update(`mail ${id}`).digest('hex').slice(0, 32)
}

function logFieldsOf({ requestId }: MailRequest): { requestId?: string } {
  return requestId === null ? {} : { requestId }
}
