import { describe, expect, test } from 'bun:test'
import { PROMPT } from '../support/eventually.ts'
import { running } from '../support/running.ts'
import { cluster } from './cluster.ts'
import { endsOf } from './ends.ts'
import { percentiles } from './every-node.ts'
import { Faults } from './faults.ts'
import { switchModules } from './gates.ts'
import { ACCOUNT_LIMIT, guessDuring, untilPlacesAreFree } from './guesses.ts'
import { Probes } from './probes.ts'
import { refreshTokens, reportRefreshes } from './refreshes.ts'
import { endTokens, report, wrongIn } from './revocations.ts'

// Nodes are killed, frozen and cut off from the database, and the database is restarted and frozen, while the tests run.

/** Ends of every cause together. */
const ENDS = Number(process.env.SOAK_ENDS ?? 1000)
/** Tokens that are each used fifty times at once. */
const REFRESHES = Number(process.env.SOAK_REFRESHES ?? 500)
/** Guesses at once, and how often for each kind of fault. */
const GUESSES = 200
const GUESS_ROUNDS = Number(process.env.SOAK_GUESSES ?? 5)
const SWITCHES = Number(process.env.SOAK_SWITCHES ?? 300)
const NOTHING = { accepted: [], early: [], refused: [] }
// A busy machine may need longer than a client for the answer that it repeats.
const QUIET = { RATE_LIMIT: 'off', LOG_LEVEL: 'silent', REFRESH_REUSE_GRACE: '2m' }

describe('check 16: while nodes and the database are killed, frozen and cut off', () => {
  const here = running((env) => cluster(env, { lines: true }), QUIET)

  test('no node accepts a token after the answer to what ended it', async () => {
    const faults = new Faults(here.system)
    const probes = new Probes(here.system, faults)
    await probes.start()
    faults.start()
    const figures = await endTokens(here.system, ENDS, Object.entries(endsOf(here.system)), faults)
    const happened = await faults.stop()
    const longest = await probes.stop()
    report(`while ${happened}`, figures)
    for (const line of longest) console.log(line)
    for (const line of figures.accepted) console.log(line)
    expect(wrongIn(figures)).toEqual(NOTHING)
  }, 1_800_000)
})

describe('check 12: while nodes and the database are killed, frozen and cut off', () => {
  const here = running((env) => cluster(env, { lines: true }), QUIET)

  test('end with one refresh token while nodes and the database have faults', async () => {
    const faults = new Faults(here.system)
    const probes = new Probes(here.system, faults)
    await probes.start()
    faults.start()
    const figures = await refreshTokens(here.system, REFRESHES, faults)
    const happened = await faults.stop()
    for (const line of await probes.stop()) console.log(line)
    reportRefreshes(`while ${happened}`, figures)
    expect(figures.wrong.slice(0, 9)).toEqual([])
  }, 1_800_000)
})

describe('wrong guesses at once over three nodes', () => {
  const here = running((env) => cluster(env, { lines: true }), {
    TRUSTED_PROXIES: '127.0.0.1',
    LOG_LEVEL: 'silent',
    HASH_QUEUE: '1000',
    // So slow that a fault meets passwords that are being checked.
    BCRYPT_COST: '11',
  })

  test.each(['kill', 'freeze', 'cut'] as const)('while one has the fault %s: no more are answered', async (kind) => {
    for (let round = 0; round < GUESS_ROUNDS; round++) {
      const faults = new Faults(here.system)
      const { recorded, statuses } = await guessDuring(here.system, GUESSES, async () => {
        await Bun.sleep(50 + 400 * Math.random())
        await faults.once(kind, here.system.node('auth', (round % 3) + 1))
      })
      console.log(`${kind}: ${JSON.stringify(statuses)}, ${recorded} recorded`)
      expect(statuses[200]).toBeUndefined()
      expect(statuses[401] ?? 0).toBeLessThanOrEqual(ACCOUNT_LIMIT)
      if (kind === 'kill') expect(recorded).toBeLessThanOrEqual(ACCOUNT_LIMIT)
    }
  })

  test('the places of a node that dies are free for the others', async () => {
    const times: number[] = []
    for (let round = 0; round < GUESS_ROUNDS; round++)
      times.push(await untilPlacesAreFree(here.system, new Faults(here.system)))
    console.log(`places of a dead node are free after ${times.map((ms) => ms.toFixed(0)).join(', ')} ms`)
    expect(Math.max(...times)).toBeLessThan(PROMPT)
  })
})

describe('modules that are switched off while nodes and the database have faults', () => {
  const here = running((env) => cluster(env, { lines: true }), QUIET)

  test('are off for each gate and each node from the answer on', async () => {
    const faults = new Faults(here.system)
    faults.start()
    const { busy, open, switched, times } = await switchModules(here.system, SWITCHES, faults)
    const happened = await faults.stop()
    console.log(`while ${happened}: ${percentiles(times)}`)
    console.log(`figures: ${switched} modules switched off, ${open.length} open after that, ${busy} answers 503`)
    expect(open.slice(0, 9)).toEqual([])
  }, 1_800_000)
})
