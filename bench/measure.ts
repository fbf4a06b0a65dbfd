import type { LoadResult } from './load.ts'
import type { Measurable } from './processes.ts'

/** The amount of measuring: everything, or the few cases that take a minute. */
export interface BenchOptions {
  quick: boolean
  rounds: number
  /** Seconds of one measurement. */
  seconds: number
}

/** The figures of several rounds. */
export interface Spread {
  median: number
  least: number
  most: number
}

/** The bounds of a ratio. */
export interface Goal {
  least?: number
  maximum?: number
}

/** The result of a case: Ch202 beside a limit of this machine, or beside other software. */
export interface Result {
  name: string
  /** The unit of `ours` and `limit`. */
  unit: string
  ours: Spread
  limit: Spread
  /** The thing that the limit was measured on. */
  limitIs: string
  /** Ours divided by the limit, in each round. */
  ratio: Spread
  /** Undefined: the result is reported without a goal. */
  goal?: Goal
  /** Milliseconds of the server's CPU per thousand requests. */
  cpu?: { ours: number; limit: number }
  /** Further conditions, in words, and whether they hold. */
  also?: { says: string; holds: boolean }[]
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median =
    sorted.length % 2 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
  return { median, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN }
}

/** Whether a result meets its goal and its further conditions. */
export function isMet({ also = [], goal, ratio }: Result): boolean {
  const { least = Number.NEGATIVE_INFINITY, maximum: most = Number.POSITIVE_INFINITY } = goal ?? {}
  return ratio.median >= least && ratio.median <= most && also.every(({ holds }) => holds)
}

/** One measurement of one side: a figure, and the server's CPU time in milliseconds per thousand requests. */
export interface Figure {
  value: number
  cpu?: number
}

/** Measures both sides in every round, in alternating order, so that other work of the machine affects both alike. */
export async function measureBoth(
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
  const side = (which: 'ours' | 'limit') => spreadOf(figures.map((figure) => figure[which].value))
  const cpuOf = (which: 'ours' | 'limit') => spreadOf(figures.map((figure) => figure[which].cpu ?? Number.NaN)).median
  const cpu = { ours: cpuOf('ours'), limit: cpuOf('limit') }
  return {
    ours: side('ours'),
    limit: side('limit'),
    ratio: spreadOf(figures.map(({ limit, ours }) => ours.value / limit.value)),
    ...(Number.isNaN(cpu.ours) ? {} : { cpu }),
  }
}

/** Measures a server under load: its CPU time, and a figure of the load, by default the rate. */
export async function underLoad(
  server: Measurable,
  send: () => Promise<LoadResult>,
  figure: (measured: LoadResult) => number = ({ rate }) => rate,
): Promise<Figure> {
  const before = server.cpu()
  const measured = await send()
  return { value: figure(measured), cpu: ((server.cpu() - before) / measured.requests) * 1000 }
}
