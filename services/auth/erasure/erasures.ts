import { type Clock, DAY, MINUTE } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { emailKey } from '../../kit/schema/email.ts'
import { withTimeout } from '../../kit/timeout.ts'
import { ERASURE_COMPLETED } from '../audit/erasure-rules.ts'
import { AUTH_ITSELF, type AuditRecordContext, auditEvent } from '../audit/record.ts'
import { nameKey } from '../login/identifier.ts'
import type { RefusedLogins } from '../login/refused-logins.ts'
import type { AuditStore, DueErasure, ErasureStore, Remains } from '../store/index.ts'

interface ErasuresOptions extends AuditRecordContext {
  store: ErasureStore & Pick<AuditStore, 'chainAudit'>
  clock: Clock
  log: Log
  /** Recent logins that were refused, as far as this process has them in memory. */
  refused: Pick<RefusedLogins, 'forget'>
}

/** A deleted user whose data is to be erased, with the names by which others asked for them. */
export interface ErasureRequest {
  userId: string
  emails: string[]
  usernames: string[]
}

/** Milliseconds for which an erasure is repeated: a notice or a mail that was on its way may have brought more. */
const REPEATED_FOR = DAY
const REPEATED_EVERY = 10 * MINUTE
/** Milliseconds that a request waits for the erasure to complete. It goes on afterwards. */
const PATIENCE = 500

/**
 * Erases what auth stores of deleted users beyond their account: mails, events, counts, and the personal parts of rows of the
 * audit. An erasure is recorded first. If the process ends, the next start continues it.
 */
export class Erasures {
  private working: Promise<void> = Promise.resolve()
  private isStopping = false
  private repeatedAt = Number.NEGATIVE_INFINITY

  constructor(private readonly options: ErasuresOptions) {}

  /** Records an erasure and begins it. Resolves when it is complete, or after half a second. May be repeated. */
  async request({ emails, userId, usernames }: ErasureRequest): Promise<void> {
    const { clock, refused, store } = this.options
    const id = userId.toLowerCase()
    const keys = [...new Set([...emails, ...usernames].map(nameKey))]
    await store.beginErasure({ userId: id, emails: [...new Set(emails.map(emailKey))], keys }, clock.now())
    refused.forget(id, keys)
    await withTimeout(
      this.work((one) => one.userId === id),
      PATIENCE,
    )
  }

  /** Continues what is not complete, and repeats what was completed within a day. */
  tidy(): Promise<void> {
    const now = this.options.clock.now()
    const repeats = Math.abs(now - this.repeatedAt) >= REPEATED_EVERY
    if (repeats) this.repeatedAt = now
    return this.work(({ isDone }) => repeats || !isDone)
  }

  /** Resolves when the current step is done. */
  async stop(): Promise<void> {
    this.isStopping = true
    await this.working
  }

  /** Erases one user after another. Logs a failure: the next `tidy` tries again. */
  private work(selects: (due: DueErasure & { isDone: boolean }) => boolean): Promise<void> {
    const { clock, log, store } = this.options
    this.working = this.working.then(async () => {
      try {
        const due = await store.erasuresDue(clock.now() - REPEATED_FOR)
        for (const one of due.filter(selects)) await this.erase(one)
      } catch (error) {
        log.error({ event: 'erasure.failed', err: error })
      }
    })
    return this.working
  }

  private async erase(due: DueErasure): Promise<void> {
    const { clock, store } = this.options
    const { userId } = due
    if (this.isStopping) return
    await store.eraseData(userId)
    // A row that is not chained yet would be chained with what is to be erased.
    await store.chainAudit()
    const remains = (rows: Remains[]) => auditEvent(this.options, AUTH_ITSELF, 'erasure.remains', null, { rows })
    for (let step = await store.eraseAudit(userId, remains); step !== 'done'; ) {
      if (this.isStopping) return
      if (step === 'recorded') await store.chainAudit()
      step = await store.eraseAudit(userId, remains)
    }
    await store.completeErasure(due, clock.now(), (rows) =>
      auditEvent(this.options, AUTH_ITSELF, ERASURE_COMPLETED, userId, { rows }),
    )
  }
}
