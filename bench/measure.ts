import type { Measured } from './load.ts'
import type { Measurable } from './processes.ts'

/** How much is measured: all of it, or as much as a minute has room for. */
export interface Scale {
  quick: boolean
  rounds: number
  /** Of one measurement. */
  seconds: number
}

export interface Spread {
  median: number
  least: number
  most: number
}

/** What a ratio must be; `also` says in words what else the case must hold, and whether it did. */
export interface Goal {
  least?: number
  most?: number
}

export interface Result {
  name: string
  /** What ours is, what stands beside it, and in which unit. */
  unit: string
  ours: Spread
  limit: Spread
  limitIs: string
  /** Ours to the limit, of each round. */
  ratio: Spread
  /** None: it is told, and nothing is asked of it. */
  goal?: Goal
  /** Milliseconds of the server's CPU for a thousand requests. */
  cpu?: { ours: number; limit: number }
  /** Anything else that was asked of it, and what came of it. */
  also?: { says: string; holds: boolean }[]
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  const median =
    sorted.length % 2 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
  return { median, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN }
}

export function isMet({ also = [], goal, ratio }: Result): boolean {
  const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY } = goal ?? {}
  return ratio.median >= least && ratio.median <= most && also.every(({ holds }) => holds)
}

/** One measurement of one side: a figure, and the server's CPU time in milliseconds for a thousand requests. */
export interface Figure {
  value: number
  cpu?: number
}

/** Both sides by turns, the one that begins changing, so that what the machine does meanwhile falls on both. */
export async function byTurns(
  rounds: number,
  ours: () => Promise<Figure>,
  limit: () => Promise<Figure>,
): Promise<Pick<Result, 'ours' | 'limit' | 'ratio'> & { cpu?: { ours: number; limit: number } }> {
  const figures: { ours: Figure; limit: Figure }[] = []
  for (let round = 0; round < rounds; round++) {
    const first = round % 2 === 0 ? await ours() : undefined
    const second = await limit()
    figures.push({ ours: first ?? (await ours()), limit: second })
  }
  const side = (which: 'ours' | 'limit') => spreadOf(figures.map((one) => one[which].value))
  const cpuOf = (which: 'ours' | 'limit') => spreadOf(figures.map((one) => one[which].cpu ?? Number.NaN)).median
  const cpu = { ours: cpuOf('ours'), limit: cpuOf('limit') }
  return {
    ours: side('ours'),
    limit: side('limit'),
    ratio: spreadOf(figures.map((one) => one.ours.value / one.limit.value)),
    ...(Number.isNaN(cpu.ours) ? {} : { cpu }),
  }
}

/** What a load made a server do: the rate, or a latency, and its CPU. */
export async function loaded(
  server: Measurable,
  send: () => Promise<Measured>,
  figure: (measured: Measured) => number = ({ rate }) => rate,
): Promise<Figure> {
  const before = server.cpu()
  const measured = await send()
  return { value: figure(measured), cpu: ((server.cpu() - before) / measured.requests) * 1000 }
}
