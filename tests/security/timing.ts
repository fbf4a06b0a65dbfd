import { WHOLE } from '../support/whole.ts'

/**
 * The bound of the check: a guess by time alone is right in at most 55 of 100 cases. The suite sends a sixth of the requests,
 * and finds what is seen in 75 of 100: a hash, a call or a write that only some of the kinds cause.
 */
const EVEN = WHOLE ? { least: 0.45, most: 0.55 } : { least: 0.25, most: 0.75 }
const FEWER = WHOLE ? 1 : 6
/** The blocks of a round that run. */
const fewer = (blocks: number) => Math.ceil(blocks / FEWER)
const ROUNDS = 3

/** For each two kinds, how often the first took longer than the second (AUC): 0.5 if they are indistinguishable. */
export type Apart = Record<string, number>

interface Interleaved<Kind extends string> {
  kinds: readonly Kind[]
  /** Kinds are compared within a block alone, so that a machine that gets busier meanwhile makes no difference. */
  blocks: number
  ofEach: number
  /** One request of the kind, read to its end; `n` counts the requests of a kind over all rounds. */
  ask(kind: Kind, n: number, block: number): Promise<unknown>
}

/** How many requests of each kind `timesApart` sends at most: to warm up, and in all rounds. */
export function requestsOfEach({ blocks, ofEach }: Pick<Interleaved<string>, 'blocks' | 'ofEach'>): number {
  return ofEach + ROUNDS * fewer(blocks) * ofEach
}

/**
 * Sends requests of all kinds in random order and compares their times. A real difference shows in every round, chance
 * does not, so the first even round decides.
 * @returns the first even round, or the last one
 */
export async function timesApart<Kind extends string>(interleaved: Interleaved<Kind>): Promise<Apart> {
  const { ask, kinds, ofEach } = interleaved
  const blocks = fewer(interleaved.blocks)
  // Warm up: first requests are slower.
  let n = 0
  for (; n < ofEach; n++) for (const kind of kinds) await ask(kind, n, n)
  for (let round = 1; ; round++) {
    const apart: Apart = {}
    for (let block = 0; block < blocks; block++) {
      const took = Object.fromEntries(kinds.map((kind) => [kind, [] as number[]])) as Record<Kind, number[]>
      const order = shuffled(kinds.flatMap((kind) => Array.from({ length: ofEach }, (_, i) => [kind, n + i] as const)))
      n += ofEach
      for (const [kind, count] of order) {
        const began = performance.now()
        await ask(kind, count, block)
        took[kind].push(performance.now() - began)
      }
      for (const [one, other] of pairsOf(kinds))
        apart[`${one}, ${other}`] = (apart[`${one}, ${other}`] ?? 0) + longerOf(took[one], took[other]) / blocks
    }
    if (areEven(apart) || round === ROUNDS) return apart
  }
}

/** Whether all kinds are indistinguishable. */
export function areEven(apart: Apart): boolean {
  return Object.values(apart).every((auc) => auc >= EVEN.least && auc <= EVEN.most)
}

function pairsOf<T>(all: readonly T[]): (readonly [T, T])[] {
  return all.flatMap((one, i) => all.slice(i + 1).map((other) => [one, other] as const))
}

/** The share of the pairs in which the first is the longer. */
function longerOf(one: readonly number[], other: readonly number[]): number {
  let longer = 0
  for (const a of one) for (const b of other) longer += a > b ? 1 : a === b ? 0.5 : 0
  return longer / (one.length * other.length)
}

function shuffled<T>(all: T[]): T[] {
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[all[i], all[j]] = [all[j] as T, all[i] as T]
  }
  return all
}
