import type { AuditEvent } from '../../kit/outbox/audit.ts'
import type { Client } from './clients.ts'

/** A notice to a client that a session has ended (OpenID Connect Back-Channel Logout). Times are milliseconds since the epoch. */
export interface ClientLogout {
  id: string
  clientId: string
  userId: string
  sessionId: string
  /** Why the session has ended. */
  reason: string
  /** When it has ended. */
  at: number
  tries: number
  /** When the next attempt is due. */
  nextAt: number
  /** Why the last attempt failed, in our own words. */
  lastError: string | null
}

/** A notice that is due, with what an attempt takes. */
export type DueLogout = Pick<ClientLogout, 'at' | 'clientId' | 'id' | 'sessionId' | 'tries' | 'userId'> & {
  uri: string
  alg: Client['idTokenAlg']
}

/** The clients that are still to be told of the end of a session. */
export interface ClientLogoutStore {
  /** Returns the notice of each active client that has waited longest, if it is due. */
  clientLogoutsDue(now: number): Promise<DueLogout[]>
  /** Deletes a notice that its client acknowledged, unless the session has ended again since. */
  finishClientLogout(id: string, event: AuditEvent): Promise<void>
  postponeClientLogout(id: string, nextAt: number, error: string): Promise<void>
  /**
   * Deletes the notices of a client about sessions that ended before a time.
   * @param event makes the event of each
   */
  giveUpClientLogouts(clientId: string, before: number, event: (notice: ClientLogout) => AuditEvent): Promise<void>
  /**
   * Deletes the notices of clients that are deleted, disabled, or no longer want any.
   * @param latest a notice whose `nextAt` is later becomes due: a clock that ran ahead set that time
   */
  settleClientLogouts(latest: number): Promise<void>
  /** Calls `listener` after each commit that adds notices. */
  onClientLogouts(listener: () => void): void
}
