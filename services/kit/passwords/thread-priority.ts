import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'

/** The nice value. Hashes get a fifteenth of a core that requests keep busy; at 10 a sixth, and one request in 100 waits. */
const NICE = 15

/**
 * Lowers the priority of the calling thread below that of the thread that answers requests: a token check beside hashes on
 * two cores then waits 0.2 ms instead of 3.6 (p99). Only Linux has a priority for each thread (setpriority(2)) and names
 * the calling one (`/proc/thread-self`); elsewhere, or without permission, this does nothing.
 */
export function lowerThreadPriority(): void {
  try {
    const thread = /\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]
    // 0 would mean the first thread, which answers requests.
    if (thread !== undefined) setPriority(Number(thread), NICE)
  } catch {
    // Not Linux, no /proc, or no permission.
  }
}
