import { expect, setDefaultTimeout, test } from 'bun:test'
import { PASSWORD, registerUser } from '../support/actors.ts'
import { readChain } from '../support/audit-chain.ts'
import { eventually, PATIENCE } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { databaseRows, storedBytes } from '../support/postgres/database-rows.ts'
import { type ProcessSystem, processes } from '../support/processes.ts'
import { WHOLE } from '../support/whole.ts'
import { seeded } from './rounds.ts'

setDefaultTimeout(WHOLE ? 600_000 : 240_000)

/** Kills in the middle of an erasure. */
const INTERRUPTIONS = WHOLE ? 30 : 3
/** Far more than are needed. */
const ROUNDS_MAX = 20 * INTERRUPTIONS
/** Failed logins of each user: rows of the audit, whose personal parts are erased. */
const LOGINS = 12

/** Registers a user whose email, name and browser are found nowhere else. */
async function lived(system: ProcessSystem, canary: string): Promise<string> {
  const email = `${canary}@example.org`
  const { id } = await registerUser(system, { email, username: canary, name: `Name ${canary}` })
  const headers = { 'user-agent': `Browser/${canary}` }
  for (let n = 0; n < LOGINS; n++)
    await call(system.url.auth, 'POST /api/v1/auth/login', {
      headers,
      body: { login: email, password: `${PASSWORD}${n}` },
    })
  return id
}

/** How far an erasure is, in the database of auth. */
async function stateOf(system: ProcessSystem, id: string): Promise<'not begun' | 'begun' | 'completed'> {
  const [row] = await databaseRows<{ done_at: number | null }>(
    system,
    'auth',
    `SELECT done_at FROM erasures WHERE user_id = '${id}'`,
  )
  if (!row) return 'not begun'
  return row.done_at === null ? 'begun' : 'completed'
}

test('an erasure that a kill interrupts is completed after the restart, and leaves nothing', async () => {
  const seed = Date.now()
  const random = seeded(seed)
  const system = await processes('together', { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  const ids: string[] = []
  /** Milliseconds after the begin at which the kill comes, at the latest: fewer, until they are within an erasure. */
  let latest = 10
  let interrupted = 0
  try {
    while (interrupted < INTERRUPTIONS) {
      expect([seed, ids.length < ROUNDS_MAX]).toEqual([seed, true])
      const canary = `canary-${seed}-${ids.length}-`
      const id = await lived(system, canary)
      ids.push(id)
      // The test finds what it looks for.
      expect(await remainsOf(system, canary)).toBe(true)
      const erase = () => call(system.url.users, `POST /api/v1/users/${id}/erase`, { headers: as.operator, body: {} })
      const answer = erase().then(
        ({ status }) => status,
        () => undefined,
      )
      // Without a pause: an erasure takes a few milliseconds.
      for (const end = performance.now() + PATIENCE; (await stateOf(system, id)) === 'not begun'; )
        if (performance.now() > end) throw new Error(`The erasure did not begin, seed ${seed}`)
      await Bun.sleep(random() * latest)
      await system.kill('auth')
      const state = await stateOf(system, id)
      if (state === 'begun') interrupted++
      else latest *= 0.7
      await system.start('auth')
      const status = await answer
      expect([seed, [202, undefined].includes(status)]).toEqual([seed, true])
      await eventually(async () => (await stateOf(system, id)) === 'completed')
    }
    const { report, rows } = await readChain(system)
    expect([seed, report.fault]).toEqual([seed, undefined])
    const about = rows.filter(({ user_id }) => ids.includes(String(user_id)))
    expect(about.filter(({ type }) => type === 'erasure.completed').length).toBeGreaterThanOrEqual(ids.length)
    for (const { actor, ip, type } of about)
      if (actor !== 'operator') expect([seed, type, ip]).toEqual([seed, type, null])
    await system.terminate('auth')
    expect([seed, await remainsOf(system, `canary-${seed}`)]).toEqual([seed, false])
  } finally {
    await system.stop()
  }
})

async function remainsOf(system: ProcessSystem, canary: string): Promise<boolean> {
  return (await storedBytes(system)).some((bytes) => bytes.toString('latin1').includes(canary))
}
