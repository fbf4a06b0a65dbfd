import { EXIT } from '../exit.ts'

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

/**
 * For work of many items, that it can end between two of them; a second signal ends it at once.
 * @returns `asked` is true from the first one on
 */
export function stopBetweenItems(): { readonly asked: boolean } {
  const stop = { asked: false }
  const first = () => {
    stop.asked = true
  }
  onStop(first, () => process.exit(EXIT.interrupted))
  return stop
}
