/** Counters of the password cache, in memory since the start. */
export class CacheStatistics {
  /** Logins checked against the cache. */
  hits = 0
  /** Logins that users had to check. */
  misses = 0
  /** When a user was last synced, in milliseconds since the epoch. */
  lastSyncAt: number | null = null
  /** Rehashes that are under way. */
  pending = 0
}
