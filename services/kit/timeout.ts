// Part of `ch202/guard`, which runs on Node 20: without `Promise.withResolvers`.

/**
 * Waits for a promise, but no longer than a time limit. No timer outlives the wait.
 * @param ms milliseconds
 * @returns the value of the promise, or undefined after the time limit
 * @throws the reason for which the promise rejects
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
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
    let wake = () => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.waiting.add(wake)
    await withTimeout(woken, ms)
    this.waiting.delete(wake)
  }

  /** Wakes every task that waits. */
  notify(): void {
    for (const wake of this.waiting) wake()
  }
}
