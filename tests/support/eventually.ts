/** Milliseconds after which a wait fails. Most take milliseconds, but may take long on a machine that is busy. */
export const PATIENCE = 60_000
/**
 * Milliseconds. A request that waits for no timeout takes less, even on a busy machine: the upper bound of tests that
 * measure a duration.
 */
export const PROMPT = 20_000
const PAUSE = 20

/**
 * Waits until `check` returns a value other than undefined and false.
 * @returns that value
 * @throws Error after a minute
 */
export async function eventually<T>(check: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = performance.now() + PATIENCE
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value
    if (performance.now() > end) throw new Error(`Not true within ${PATIENCE / 1000} s: ${check}`)
    await Bun.sleep(PAUSE)
  }
}
