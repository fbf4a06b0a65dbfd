import { call } from './http.ts'
import { nodeAddresses, type System } from './system.ts'

type Counts = Record<'hits' | 'misses' | 'pending', number>

/** Sums what the nodes of auth report about logins in `/health/cache`: each counts the logins that it checked. */
export async function cacheHealth(system: System): Promise<Counts> {
  const sums: Counts = { hits: 0, misses: 0, pending: 0 }
  for (const url of nodeAddresses(system, 'auth')) {
    const { body } = await call(url, 'GET /health/cache')
    for (const name of ['hits', 'misses', 'pending'] as const) sums[name] += body[name]
  }
  return sums
}
