import type { AuditEvent } from '../../kit/outbox/audit.ts'

/** Failed logins of one account or address. Times are milliseconds since the epoch. */
export interface LoginFailures {
  /** When each failure happened, oldest first; failures of the last day only. */
  times: number[]
  /** Failures before this time no longer lead to a lockout. */
  clearedAt: number
}

/** Failed logins, by subject: `account:` or `address:` with a key (see `LoginLimits`). */
export interface LoginLimitStore {
  loginFailures(subject: string): Promise<LoginFailures>
  /**
   * Records a failure of each subject.
   * @param events builds the audit rows from the updated failures, in the order of `subjects`
   */
  recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]): Promise<void>
  /** Ends the lockout. @param times `keep`: the failures still count towards the limit per day; `forget`: deletes them */
  clearFailures(subject: string, now: number, times: 'keep' | 'forget'): Promise<void>
  /** Deletes failures older than a day. */
  forgetFailures(now: number): Promise<void>
}
