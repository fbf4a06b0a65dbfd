import type { Waiting } from '../../kit/outbox/waiting.ts'
import type { CountedSlice } from '../../kit/sliced-count.ts'

/** The numbers of the database that metrics show. Each takes little time, however large the tables are. */
export interface FigureStore {
  waitingMails(): Promise<Waiting>
  waitingDeliveries(receiver: 'webhook' | 'amqp'): Promise<Waiting>
  waitingClientLogouts(): Promise<Waiting>
  /** Counts deliveries that were given up, up to `COUNTED_MOST`. */
  countDeadDeliveries(): Promise<number>
  /** Counts the live sessions among the first `limit` sessions after an id, as `listSessions` lists them. */
  countLiveSessions(now: number, after: string, limit: number): Promise<CountedSlice>
  /** Counts the cached accounts among the first `limit` accounts after an id. */
  countCachedAccounts(after: string, limit: number): Promise<CountedSlice>
}
