import { DAY, timestamp } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { AuditStore } from '../store/index.ts'
import { AUTH_ITSELF, type AuditRecordContext, auditEvent } from './record.ts'

interface AuditRetentionOptions extends AuditRecordContext {
  store: Pick<AuditStore, 'chainAudit' | 'trimAudit' | 'removeTrimmedAudit'>
  log: Log
  /** Milliseconds for which rows are kept; undefined: forever. */
  retention: number | undefined
}

/** Milliseconds between two removals: each adds a row to the audit. */
const EVERY = DAY

/**
 * Removes the rows of the audit that are older than AUDIT_RETENTION. A row of the audit says first which ones, with the hash
 * of the last of them, so that the chain can still be verified, also when the removal is interrupted.
 */
export class AuditRetention {
  private latest = Number.NEGATIVE_INFINITY
  private working: Promise<void> | undefined
  private isStopping = false

  constructor(private readonly options: AuditRetentionOptions) {}

  /** Removes what is due, unless that was done within a day. Logs a failure: the next call tries again. */
  tidy(): Promise<void> {
    const { clock, retention } = this.options
    const now = clock.now()
    // A clock that was set back counts as a day that has passed.
    if (retention === undefined || this.isStopping || Math.abs(now - this.latest) < EVERY) return Promise.resolve()
    this.working ??= this.remove(now, now - retention).finally(() => {
      this.working = undefined
    })
    return this.working
  }

  /** Resolves when the batch that is being removed is gone. */
  async stop(): Promise<void> {
    this.isStopping = true
    await this.working
  }

  private async remove(now: number, before: number): Promise<void> {
    const { log, store } = this.options
    try {
      // What an interrupted removal has left.
      await this.removeTrimmed()
      const hasMore = await store.trimAudit(before, now, ({ hash, rows, seq }) =>
        auditEvent(this.options, AUTH_ITSELF, 'audit.trimmed', null, { rows, until: timestamp(before), seq, hash }),
      )
      if (hasMore) await this.removeTrimmed()
      this.latest = now
    } catch (error) {
      log.error({ event: 'audit.not_trimmed', err: error })
    }
  }
  /** Removes the rows that may be removed. The row that says so is chained before. */
  private async removeTrimmed(): Promise<void> {
    const { store } = this.options
    await store.chainAudit()
    while (!this.isStopping && (await store.removeTrimmedAudit()));
  }
}
