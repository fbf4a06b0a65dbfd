import { createHash } from 'node:crypto'
import { type Clock, MINUTE, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuthStore, MailKind, MailRequest } from '../store/index.ts'
import { rest } from '../webhooks/deliverer.ts'
import { OPERATOR_REASONS } from './outcome.ts'
import { expiryOf, type Failure, LONGEST_PAUSE, pauseAfter } from './schedule.ts'
import { type Letter, type Mailer, MailNotSent } from './transport.ts'

/** As many connections to the mail server as it answers quickly. */
const AT_ONCE = 8
/**
 * An attempt that takes longer makes room for another, up to so many in all: a server may take ten minutes to answer, or
 * hold up some recipients alone.
 */
const SLOW_AFTER = 2 * SECOND
const MOST_AT_ONCE = 100
/** A clock may be set: never longer without a look. */
const LONGEST_REST = MINUTE
/** How long a mail rests whose failure could not be written down: the disk is full, or fails. */
const UNWRITTEN_PAUSE = 30 * SECOND
/** How long a stop waits for a mail that is on its way: it goes out again after the next start. */
const STOP_PATIENCE = 3 * SECOND

/** What becomes of mails: the outcome of each attempt, and `expired` for a mail whose time is over. */
export const MAIL_OUTCOMES = ['sent', 'retry', 'refused', 'misconfigured', 'expired'] as const
/** The fact that says how the mail server fails every mail; empty while it does not. */
const TROUBLE = 'mail_trouble'

interface MailQueueOptions {
  store: AuthStore
  clock: Clock
  log: Log
  mailer: Mailer
  /** What the mail of a request says, the same in each attempt; null: there is no one to be told, or nothing any more. */
  compose: Record<MailKind, (request: MailRequest) => Promise<Letter | null>>
  count?(outcome: (typeof MAIL_OUTCOMES)[number]): void
}

/**
 * Sends mails after the answers to what asked for them: what can't be sent now is tried again while it is of use, each
 * in its own time, so that one that fails, or takes long, holds up no other.
 */
export class MailQueue {
  private running = false
  private isOver = false
  private readonly halt = Promise.withResolvers<void>()
  private loop: Promise<void> = Promise.resolve()
  private wakeUp = Promise.withResolvers<void>()
  /** By the id of the request; when the attempt began, in monotonic milliseconds. */
  private readonly underWay = new Map<string, { since: number; end: Promise<void> }>()
  /** The ids of mails that are sent and not yet removed: with a full disk, each would be sent again and again. */
  private readonly toRemove = new Set<string>()

  constructor(private readonly options: MailQueueOptions) {}

  start(): void {
    this.running = true
    this.loop = this.work()
  }

  async stop(): Promise<void> {
    this.running = false
    this.halt.resolve()
    this.wakeUp.resolve()
    await rest(STOP_PATIENCE, Promise.all([this.loop, ...this.attempts()]))
    this.isOver = true
  }

  /** Writes down that a mail is to go out. A second time under the same id it is there already. */
  async ask(request: Omit<MailRequest, 'tries' | 'nextAt' | 'linkAt' | 'lastError'>): Promise<void> {
    const fresh = { tries: 0, nextAt: request.requestedAt, linkAt: null, lastError: null }
    await this.options.store.addMailRequest({ ...request, ...fresh })
    this.wakeUp.resolve()
  }

  private attempts(): Promise<void>[] {
    return [...this.underWay.values()].map(({ end }) => end)
  }

  private async work(): Promise<void> {
    // What waits for an operator waits for a start with other settings.
    let isFirst = true
    while (this.running) {
      this.wakeUp = Promise.withResolvers()
      let pause: number
      try {
        if (isFirst) await this.options.store.hastenMailRequests(this.options.clock.now())
        isFirst = false
        pause = await this.fill()
      } catch (error) {
        this.options.log.error({ event: 'mail.failed', err: error })
        pause = SECOND
      }
      if (pause > 0) await rest(pause, this.wakeUp.promise)
    }
  }

  /** Begins as many attempts as there is room for. Gives how long there is nothing more to do, in milliseconds. */
  private async fill(): Promise<number> {
    const { clock, store } = this.options
    const now = clock.now()
    const { room } = this.room()
    if (room > 0)
      for (const request of await store.mailRequestsDue(now, now + LONGEST_PAUSE, this.underWay.size + room))
        if (!this.underWay.has(request.id) && this.room().room > 0) this.begin(request)
    const left = this.room()
    if (left.room === 0) return left.inMs
    const next = await store.nextMailRequest(now)
    return next === null ? LONGEST_REST : Math.min(Math.max(next - clock.now(), 1), LONGEST_REST)
  }

  /** How many attempts may begin now; where none may, in how many milliseconds one may unless another ends before. */
  private room(): { room: number; inMs: number } {
    const now = this.options.clock.monotonic()
    const quick = [...this.underWay.values()].map(({ since }) => since + SLOW_AFTER - now).filter((left) => left > 0)
    const room = Math.max(0, Math.min(AT_ONCE - quick.length, MOST_AT_ONCE - this.underWay.size))
    const isFull = this.underWay.size >= MOST_AT_ONCE
    return { room, inMs: isFull ? LONGEST_REST : Math.ceil(Math.min(...quick, LONGEST_REST)) }
  }

  private begin(request: MailRequest): void {
    const { clock, log } = this.options
    const end = this.attempt(request)
      .catch(async (error) => {
        // It could not be written down: it is due still, and would be sent again at once.
        if (!this.isOver) log.error({ event: 'mail.failed', err: error })
        await rest(this.toRemove.has(request.id) ? SECOND : UNWRITTEN_PAUSE, this.halt.promise)
      })
      .finally(() => {
        this.underWay.delete(request.id)
        this.wakeUp.resolve()
      })
    this.underWay.set(request.id, { since: clock.monotonic(), end })
  }

  private async attempt(request: MailRequest): Promise<void> {
    const { clock, store } = this.options
    if (this.toRemove.has(request.id)) return await this.remove(request)
    if (clock.now() > expiryOf(request)) return await this.giveUp(request, request.lastError ?? 'not_composed')
    const failure = await this.send(request)
    // What was cut off says nothing of the server.
    if (this.isOver) return
    if (failure) await this.noteTrouble(failure.reason)
    if (!failure || failure.outcome === 'refused') return await this.remove(request)
    const nextAt = clock.now() + pauseAfter(failure, request)
    if (nextAt > expiryOf(request)) return await this.giveUp(request, failure.reason)
    await store.postponeMailRequest(request.id, nextAt, failure.reason)
  }

  /** Gives why it could not; undefined: it was sent, or there is nothing to send. */
  private async send(request: MailRequest): Promise<Failure | undefined> {
    const { compose, count, mailer } = this.options
    try {
      const letter = await compose[request.kind](request)
      if (!letter) return undefined
      await mailer.send({ ...letter, id: mailIdOf(request), at: request.requestedAt })
    } catch (error) {
      return this.isOver ? undefined : this.report(request, error)
    }
    this.toRemove.add(request.id)
    count?.('sent')
    if (!this.isOver) await this.noteTrouble(null)
    return undefined
  }

  private async remove({ id }: MailRequest): Promise<void> {
    await this.options.store.removeMailRequest(id)
    this.toRemove.delete(id)
  }

  private async giveUp(request: MailRequest, reason: string): Promise<void> {
    const { count, log } = this.options
    log.error({ event: 'mail.given_up', ...saidOf(request), code: reason, tries: request.tries })
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
      ...saidOf(request),
      outcome,
      code: reason,
      tries: request.tries + 1,
      ...(step === null ? {} : { step }),
      ...(status === null ? {} : { status }),
      err: error,
    })
    return failure
  }

  /** Keeps what an operator has to change, for `ch202 doctor`, until a mail goes out. */
  private async noteTrouble(reason: Failure['reason'] | null): Promise<void> {
    const { clock, store } = this.options
    if (reason !== null && !OPERATOR_REASONS.has(reason)) return
    const before = (await store.fact(TROUBLE)) || null
    if (reason === null && before === null) return
    await store.setFact(TROUBLE, reason === null ? '' : JSON.stringify({ reason, at: clock.now() }))
  }
}

/** From the row, so that an attempt after a crash has it too; it says nothing of the link. */
function mailIdOf({ id }: MailRequest): string {
  return createHash('sha256').update(`mail ${id}`).digest('hex').slice(0, 32)
}

function saidOf({ requestId }: MailRequest): { requestId?: string } {
  return requestId === null ? {} : { requestId }
}
