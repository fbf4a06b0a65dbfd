import type { Clock } from '../clock.ts'

/** Milliseconds. */
const FIRST_DELAY = 50
/** An unreachable target gets what it missed within this time of its return. */
const LONGEST_DELAY = 500
/** The same for a notice that the target refuses: the reason for a refusal takes longer to disappear. */
const LONGEST_DELAY_REFUSED = 30_000

interface Delay {
  refused: boolean
  ms: number
  /** Monotonic milliseconds. */
  until: number
}

/** The subjects whose notices failed, with a retry delay that doubles at each failure. */
export class SubjectBackoff {
  private readonly delays = new Map<string, Delay>()

  constructor(private readonly clock: Clock) {}

  failed(subject: string, refused: boolean): void {
    const longest = refused ? LONGEST_DELAY_REFUSED : LONGEST_DELAY
    const previous = this.delays.get(subject)
    const ms = Math.min(previous === undefined ? FIRST_DELAY : previous.ms * 2, longest)
    this.delays.set(subject, { refused, ms, until: this.clock.monotonic() + ms })
  }

  delivered(subject: string): void {
    this.delays.delete(subject)
  }

  /** Makes every subject due at once, with the first delay again. */
  clear(): void {
    this.delays.clear()
  }

  /** The subjects whose next attempt is not due yet. */
  waiting(): string[] {
    const now = this.clock.monotonic()
    return [...this.delays].filter(([, { until }]) => until > now).map(([subject]) => subject)
  }

  /** The subjects whose notices the target refused. */
  refused(): string[] {
    return [...this.delays].filter(([, delay]) => delay.refused).map(([subject]) => subject)
  }

  /** Forgets every subject but these. @returns milliseconds until the first of them is due; Infinity without any */
  keepOnly(subjects: readonly string[]): number {
    const retained = new Set(subjects)
    let next = Number.POSITIVE_INFINITY
    for (const [subject, { until }] of this.delays)
      if (retained.has(subject)) next = Math.min(next, until)
      else this.delays.delete(subject)
    return next - this.clock.monotonic()
  }
}
