import { type Clock, DAY, MINUTE, SECOND } from '../kit/clock.ts'
import type { Log } from '../kit/log.ts'
import { type Mail, type Mailer, MailRefused } from './mailer.ts'
import type { AuthStore, MailKind, MailRequest } from './store.ts'

/** As many connections to the mail server. */
const AT_ONCE = 8
const FIRST_PAUSE = SECOND
const LONGEST_PAUSE = MINUTE
/** How long a stop waits for a mail that is on its way: it goes out again after the next start. */
const STOP_PATIENCE = 3 * SECOND

/** How long a mail is of use when it can't be sent at once, in milliseconds. */
const LIFETIME: Record<MailKind, number> = { password_reset: 30 * MINUTE, email_changed: DAY }

interface MailQueueOptions {
  store: AuthStore
  clock: Clock
  log: Log
  mailer: Mailer
  /** What the mail of a request says; null: there is no one to be told. */
  compose: Record<MailKind, (request: MailRequest) => Promise<Mail | null>>
}

/**
 * Sends mails after the answers to what asked for them: what can't be sent now is tried again while it is of use, each
 * in its own time, so that one that fails holds up no other.
 */
export class MailQueue {
  private running = false
  private loop: Promise<void> = Promise.resolve()
  private wake = Promise.withResolvers<void>()

  constructor(private readonly options: MailQueueOptions) {}

  start(): void {
    this.running = true
    this.loop = this.work()
  }

  async stop(): Promise<void> {
    this.running = false
    this.wake.resolve()
    await Promise.race([this.loop, Bun.sleep(STOP_PATIENCE)])
  }

  /** Writes down that a mail is to go out. A second time under the same id it is there already. */
  async ask(request: Omit<MailRequest, 'tries' | 'nextAt'>): Promise<void> {
    await this.options.store.addMailRequest({ ...request, tries: 0, nextAt: request.requestedAt })
    this.wake.resolve()
  }

  private async work(): Promise<void> {
    while (this.running) {
      this.wake = Promise.withResolvers()
      let pause: number
      try {
        pause = await this.sendDue()
      } catch (error) {
        this.options.log.error({ event: 'mail.failed', err: error })
        pause = FIRST_PAUSE
      }
      if (pause > 0) await Promise.race([this.wake.promise, Bun.sleep(pause)])
    }
  }

  /** Gives how long nothing more is due, in milliseconds. */
  private async sendDue(): Promise<number> {
    const { clock, store } = this.options
    const now = clock.now()
    const due = await store.mailRequestsDue(now, now + LONGEST_PAUSE, AT_ONCE)
    await Promise.all(due.map((request) => this.attempt(request)))
    if (due.length > 0) return 0
    const next = await store.nextMailRequest()
    // A clock may be set: never longer than a minute.
    return next === null ? LONGEST_PAUSE : Math.min(Math.max(next - now, 1), LONGEST_PAUSE)
  }

  private async attempt(request: MailRequest): Promise<void> {
    const { clock, compose, log, mailer, store } = this.options
    const said = request.requestId === null ? {} : { requestId: request.requestId }
    try {
      if (clock.now() - request.requestedAt > LIFETIME[request.kind]) log.warn({ event: 'mail.given_up', ...said })
      else {
        const mail = await compose[request.kind](request)
        if (mail) await mailer.send(mail)
      }
    } catch (error) {
      log.error({ event: 'mail.failed', ...said, err: error })
      // The server knows no such mailbox: it will not know it in a minute.
      if (!(error instanceof MailRefused)) {
        const pause = Math.min(FIRST_PAUSE * 2 ** Math.min(request.tries, 16), LONGEST_PAUSE)
        return store.postponeMailRequest(request.id, clock.now() + pause)
      }
    }
    await store.removeMailRequest(request.id)
  }
}
