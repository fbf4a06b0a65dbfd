import { describe, expect, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { ACCOUNT_LIMIT } from './guesses.ts'

const GUESSES = 200
/** The failures that lock an address. */
const ADDRESS_LIMIT = 300

describe.each([1, 3])('wrong guesses at once, over %d nodes of each service', (nodes) => {
  const here = running((env) => cluster(env, { nodes }), {
    TRUSTED_PROXIES: '127.0.0.1',
    LOG_LEVEL: 'silent',
    // As many as the guesses may wait.
    HASH_QUEUE: '1000',
  })

  const guess = async (n: number, login: string, address: string) => {
    const { auth } = here.system.at((n % nodes) + 1).url
    const headers = { 'x-forwarded-for': address }
    const body = { login, password: `wrong ${n}` }
    return (await call(auth, 'POST /api/v1/auth/login', { headers, body })).status
  }
  const count = (statuses: number[]) => {
    const counts = Object.entries(Object.groupBy(statuses, String)).map(([status, list]) => [status, list?.length])
    console.log(`figures: ${counts.map(([status, times]) => `${times} answers ${status}`).join(', ')}`)
    return Object.fromEntries(counts)
  }

  test('for one account from many addresses: as many are checked as may fail', async () => {
    const { email } = await registerUser(here.system)
    const from = (n: number) => `10.0.${n % 250}.${Math.floor(n / 250) + 1}`
    const statuses = await Promise.all(Array.from({ length: GUESSES }, (_, n) => guess(n, email, from(n))))
    expect(count(statuses)).toEqual({ 401: ACCOUNT_LIMIT, 429: GUESSES - ACCOUNT_LIMIT })
  })

  test('for many accounts from one address: as many are checked as may fail', async () => {
    const statuses: number[] = []
    // In parts, so that none is refused because too many wait.
    for (let part = 0; part < 6; part++) {
      const logins = Array.from({ length: 70 }, (_, n) => guess(n, `nobody-${part}-${n}@example.org`, '10.9.9.9'))
      statuses.push(...(await Promise.all(logins)))
    }
    expect(count(statuses)).toEqual({ 401: ADDRESS_LIMIT, 429: statuses.length - ADDRESS_LIMIT })
  })
})
