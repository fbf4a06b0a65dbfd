/** Milliseconds. Waits that normally take milliseconds may take this long on a machine that is busy with other work. */
export const PATIENCE = 60_000
/** Milliseconds. Whatever waits for no timeout takes less, on a busy machine too. Timeouts are longer or have their own tests. */
export const PROMPT = 20_000
const PAUSE = 20

/**
 * Waits until `check` gives a value.
 * @param check gives undefined or false as long as the wait goes on
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
