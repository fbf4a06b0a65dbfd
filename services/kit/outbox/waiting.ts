import type { Clock } from '../clock.ts'
import type { LabelledValue, Metrics } from '../process/metrics.ts'

/** The entries of an outbox that wait. */
export interface Waiting {
  /** How many entries, up to `COUNTED_MOST`. */
  count: number
  /** The time of the oldest, in milliseconds since the epoch; null: nothing waits, or its time is not known. */
  oldest: number | null
}

/** The entries of an outbox that are counted: a scrape is as quick after days without a receiver as on any other day. */
export const COUNTED_MOST = 10_000

const WAITING = {
  name: 'ch202_outbox_waiting',
  help: `Entries of an outbox that wait to be delivered; ${COUNTED_MOST}: that many or more`,
}
const OLDEST = {
  name: 'ch202_outbox_oldest_seconds',
  help: 'How long the oldest entry of an outbox has waited, in seconds',
}

/**
 * Adds the metrics of the outboxes of a service.
 * @param outboxes reads what waits in each, by its name
 */
export function addOutboxMetrics(
  metrics: Metrics,
  clock: Pick<Clock, 'now'>,
  outboxes: Readonly<Record<string, () => Promise<Waiting>>>,
): void {
  let reading: Promise<[outbox: string, waiting: Waiting][]> | undefined
  /** Reads all once for both metrics of a scrape. */
  const readAll = () => {
    reading ??= Promise.all(
      Object.entries(outboxes).map(async ([outbox, read]) => [outbox, await read()] as [string, Waiting]),
    ).finally(() => {
      reading = undefined
    })
    return reading
  }
  const each = (figure: (waiting: Waiting) => number | undefined) => async (): Promise<LabelledValue[]> =>
    (await readAll()).flatMap(([outbox, waiting]) => {
      const value = figure(waiting)
      return value === undefined ? [] : [{ labels: { outbox }, value }]
    })
  metrics.gauge(
    WAITING.name,
    WAITING.help,
    each(({ count }) => count),
  )
  metrics.gauge(
    OLDEST.name,
    OLDEST.help,
    each(({ count, oldest }) => {
      if (count === 0) return 0
      return oldest === null ? undefined : Math.max(0, clock.now() - oldest) / 1000
    }),
  )
}
