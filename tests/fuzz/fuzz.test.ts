import { expect, test } from 'bun:test'
import { WHOLE } from '../support/whole.ts'
import { fuzz, type Plan } from './run.ts'

const REQUESTS = WHOLE ? 10_000 : 1000
const seed = Date.now() % 2 ** 31
const MIB = 2 ** 20

const PLANS: Plan[] = [
  { layout: 'together', limits: false, requests: 0.42 * REQUESTS, seed },
  { layout: 'apart', limits: false, requests: 0.42 * REQUESTS, seed },
  { layout: 'together', limits: true, requests: 0.16 * REQUESTS, seed },
]

test.each(PLANS)(
  'check 27: $requests generated requests, services $layout, limits $limits: each is answered as documented, none with a 5xx',
  async (plan) => {
    const { byKind, byStatus, failures, memory, requests } = await fuzz(plan)
    console.log(`${plan.layout}: ${requests} requests, seed ${seed}`)
    expect(failures).toEqual([])
    expect(requests).toBeGreaterThanOrEqual(plan.requests)
    // Each kind occurs, and many valid requests succeed: the system has not drifted into a state in which nothing works.
    for (const kind of ['valid', 'broken', 'hostile'] as const) expect(byKind.get(kind)).toBeGreaterThan(requests / 6)
    const done = [...byStatus].reduce((sum, [status, count]) => (status < 300 && status > 0 ? sum + count : sum), 0)
    expect(done).toBeGreaterThan(requests / 10)
    // The collector lets a short run grow to about 110 MiB. A leak of a body for each request would be several times that.
    expect(memory.late - memory.early).toBeLessThan(192 * MIB)
  },
  600_000,
)
