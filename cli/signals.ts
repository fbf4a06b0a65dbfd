/** A Ctrl-C may come twice: from the terminal, and passed on by the `bun run` that started us. */
const SAME = 500

/**
 * What SIGINT, SIGTERM and SIGHUP do.
 * @param again for a second one that is meant: not the echo of the first
 */
export function onStop(first: () => void, again: () => void): void {
  let firstAt: number | undefined
  const stop = () => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      first()
    } else if (performance.now() - firstAt > SAME) again()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
}
