/** Resolves when `promise` does, or after `ms` milliseconds. A process that exits does not wait for the timer. */
export async function waitAtMost(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([timeout, promise])
  clearTimeout(timer)
}
