/**
 * Waits for a promise, but no longer than a time limit. No timer outlives the wait.
 * @param ms milliseconds
 * @returns the value of the promise, or undefined after the time limit
 * @throws the reason for which the promise rejects
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: timeout, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, ms)
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Lets several tasks wait for the next time something happens. A task that stops waiting leaves nothing behind. */
export class Signal {
  private readonly waiting = new Set<() => void>()

  /** Resolves at the next `notify`, or after `ms` milliseconds. */
  async next(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiting.add(resolve)
    await withTimeout(promise, ms)
    this.waiting.delete(resolve)
  }

  /** Wakes every task that waits. */
  notify(): void {
    for (const resolve of this.waiting) resolve()
  }

  get hasWaiting(): boolean {
    return this.waiting.size > 0
  }
}
