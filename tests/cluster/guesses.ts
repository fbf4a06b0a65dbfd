import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import type { Cluster } from './cluster.ts'
import type { Faults } from './faults.ts'

/** The failures that lock an account. */
export const ACCOUNT_LIMIT = 10

/** The results of guesses at one account. */
export interface GuessFigures {
  /** How often each status was answered; 0: no answer. */
  statuses: Record<number, number>
  /** Failed logins in the audit. */
  recorded: number
}

/**
 * Guesses the password of one account, all at once, over the nodes of auth and from many addresses, while a node has a
 * fault.
 * @param begin makes the fault, and resolves when it is over
 */
export async function guessDuring(system: Cluster, times: number, begin: () => Promise<void>): Promise<GuessFigures> {
  const { email, id } = await eventually(() => registerUser(system).catch(() => undefined))
  const guess = async (n: number) => {
    const { auth } = system.at((n % system.nodes.auth.length) + 1).url
    const headers = { 'x-forwarded-for': `10.0.${n % 250}.${Math.floor(n / 250) + 1}` }
    const body = { login: email, password: `wrong ${n}` }
    return await call(auth, 'POST /api/v1/auth/login', { headers, body }).then(
      ({ status }) => status,
      () => 0,
    )
  }
  const guesses = Promise.all(Array.from({ length: times }, (_, n) => guess(n)))
  await Promise.all([guesses, begin()])
  const statuses: Record<number, number> = {}
  for (const status of await guesses) statuses[status] = (statuses[status] ?? 0) + 1
  const [row] = await databaseRows<{ n: number }>(
    system,
    'auth',
    // Rows wait for a moment for their place in the chain.
    `SELECT count(*) AS n FROM (SELECT type, user_id FROM audit UNION ALL SELECT type, user_id FROM unchained_audit) AS audit
     WHERE type = 'login.failed' AND user_id = '${id}'`,
  )
  return { statuses, recorded: row?.n ?? 0 }
}

/**
 * Takes all places of an account at a node, kills it, and guesses at another one.
 * @returns milliseconds from the kill to the answer
 */
export async function untilPlacesAreFree(system: Cluster, faults: Faults): Promise<number> {
  const { email } = await registerUser(system)
  const guess = (n: number, number: number) =>
    call(system.at(number).url.auth, 'POST /api/v1/auth/login', {
      headers: { 'x-forwarded-for': `10.1.1.${n}` },
      body: { login: email, password: `wrong ${n}` },
    })
  const dying = Array.from({ length: 2 * ACCOUNT_LIMIT }, (_, n) => guess(n, 1).catch(() => undefined))
  const places = () => databaseRows<{ n: number }>(system, 'auth', 'SELECT count(*) AS n FROM login_attempts')
  await eventually(async () => ((await places())[0]?.n ?? 0) >= ACCOUNT_LIMIT)
  const fault = faults.once('kill', system.node('auth', 1))
  const killedAt = performance.now()
  await guess(200, 2)
  const took = performance.now() - killedAt
  await Promise.all([fault, ...dying])
  return took
}
