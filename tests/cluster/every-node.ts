import { askEach } from '../support/each-service.ts'
import type { Cluster } from './cluster.ts'

/**
 * Sends every running node a request that any valid access token may make, all at once.
 * @returns by the name of the node, the status of a success or the code of a refusal
 */
export async function askEveryNode(system: Cluster, token: string): Promise<Record<string, number | string>> {
  const running = system.all().filter((node) => node.isRunning)
  const results = await Promise.all(
    running.map(async ({ name, service, url }) => {
      const here = { ...system, url: { ...system.url, [service]: url } }
      return [name, (await askEach(here, token, [service]))[service] ?? ''] as const
    }),
  )
  return Object.fromEntries(results)
}

/** The nodes whose answer is another one. @returns their names with their answers */
export function others(answers: Record<string, number | string>, expected: number | string): string[] {
  return Object.entries(answers)
    .filter(([, answer]) => answer !== expected)
    .map(([name, answer]) => `${name}: ${answer}`)
}

/** Times in order, for the figures of a run. @param times milliseconds */
export function percentiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(0)
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`
}
