import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { ProblemCode } from '../../kit/problem.ts'

/** Failed logins of one account or address. Times are milliseconds since the epoch. */
export interface LoginFailures {
  /** When each failure happened, oldest first; failures of the last day only. */
  times: number[]
  /** Failures before this time no longer lead to a lockout. */
  clearedAt: number
}

/** A login that was refused before the password was checked. Times are milliseconds since the epoch. */
export interface RefusedLogin {
  at: number
  code: ProblemCode
  /** The lockout that refused the login; null for another reason. */
  lockedBy: 'account' | 'address' | null
  lockedUntil: number | null
  /** The key by which a failure of this login would be counted (see `failureKey`). */
  key: string
  userId: string | null
  ip: string | null
  requestId: string
  /** The address as `limitKey` returns it; empty for a login without one. */
  address: string
}

/** Positions a refused login among those of its address at a node. */
export interface RefusedPosition {
  /** One of a few: the login that has it is replaced. */
  place: number
  /** Grows with each login. */
  number: number
}

/** Selects refused logins, by one of their properties. */
export interface RefusedBy {
  by: 'address' | 'key' | 'requestId'
  value: string
}

/** Failed logins, by subject: `account:` or `address:` with a key (see `LoginLimits`). */
export interface LoginLimitStore {
  /** Whether other nodes may use the database: then `takePlaces` counts the attempts of all, and otherwise nobody calls it. */
  readonly isShared: boolean
  loginFailures(subject: string): Promise<LoginFailures>
  /**
   * Takes a place of each subject for an attempt of this node, or none.
   * @param attempt a number that this node gives once
   * @param isFree decides for the subject at `index`, with the attempts of all nodes that are under way
   * @returns the failures of each subject
   */
  takePlaces(
    attempt: number,
    subjects: string[],
    isFree: (index: number, failures: LoginFailures, underWay: number) => boolean,
  ): Promise<{ hasPlaces: boolean; failures: LoginFailures[] }>
  /**
   * Gives the places of attempts of this node back.
   * @returns the attempts that had theirs until now: the others may have removed this node, and taken them
   */
  leavePlaces(attempts: number[]): Promise<number[]>
  /**
   * Records a failure of each subject.
   * @param events builds the audit rows from the updated failures, in the order of `subjects`
   */
  recordFailure(subjects: string[], now: number, events: (failures: LoginFailures[]) => AuditEvent[]): Promise<void>
  /** Ends the lockout. @param times `keep`: the failures still count towards the limit per day; `forget`: deletes them */
  clearFailures(subject: string, now: number, times: 'keep' | 'forget'): Promise<void>
  /** Deletes failures older than a day. */
  forgetFailures(now: number): Promise<void>
  /**
   * Stores a refused login for the operators who ask any node. Alone on a database, a node keeps them in memory.
   * @param forgotten an address whose refused logins of this node are deleted
   */
  storeRefusedLogin(login: RefusedLogin, position: RefusedPosition, forgotten: string | null): Promise<void>
  /** The refused logins of all nodes, oldest first. */
  refusedLogins(which: RefusedBy): Promise<RefusedLogin[]>
  /** Deletes the refused logins of nodes that are gone. */
  forgetRefusedLogins(): Promise<void>
}
