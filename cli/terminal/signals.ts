import { EXIT } from '../exit.ts'

/** Milliseconds in which a second signal is an echo: Ctrl-C reaches us from the terminal and from `bun run`. */
const ECHO = 500

/**
 * Handles SIGINT, SIGTERM and SIGHUP.
 * @param first called for the first signal
 * @param again called for a second signal that is not an echo of the first
 */
export function onStop(first: () => void, again: () => void): void {
  let firstAt: number | undefined
  const stop = () => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      first()
    } else if (performance.now() - firstAt > ECHO) again()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
}

/**
 * Lets work on many items stop between two of them; a second signal exits at once.
 * @returns `requested` is true after the first signal
 */
export function stopBetweenItems(): { readonly requested: boolean } {
  const stop = { requested: false }
  const first = () => {
    stop.requested = true
  }
  onStop(first, () => process.exit(EXIT.interrupted))
  return stop
}
