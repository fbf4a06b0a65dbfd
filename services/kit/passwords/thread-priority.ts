import { readdirSync, readFileSync } from 'node:fs'
import { setPriority } from 'node:os'

const TASKS = '/proc/self/task'
const POOL = /^Bun Pool/
/** The nice value. Hashes get a fifteenth of a core that requests keep busy; at 10 a sixth, and one request in 100 waits. */
const NICE = 15

/**
 * Lowers the priority of the threads that hash below that of the thread that answers requests: a token check beside
 * hashes on two cores then waits 0.2 ms instead of 3.6 (p99). Only Linux has a priority for each thread (setpriority(2));
 * elsewhere, or without permission, this does nothing.
 */
export function lowerHashingPriority(): void {
  try {
    for (const thread of readdirSync(TASKS))
      if (POOL.test(readFileSync(`${TASKS}/${thread}/comm`, 'utf8'))) setPriority(Number(thread), NICE)
  } catch {
    // Not Linux, no /proc, or a thread that ended meanwhile.
  }
}
