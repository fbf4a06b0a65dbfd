import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { DatabaseUnavailable } from '../../services/kit/database-unavailable.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually } from '../support/eventually.ts'
import { DATABASE, type PostgresPair, startPostgresPair } from './postgres-pair.ts'

// Two servers, both of which believe that they are the primary. Some connections of a node lead to the old one.

setDefaultTimeout(180_000)

const ROUNDS = 40

/** A change that has a number in the feed. */
const KEY = {
  kid: 'next',
  alg: 'EdDSA' as const,
  x: 'x',
  sealedPrivateKey: new Uint8Array([1]),
  status: 'pending' as const,
  createdAt: 1,
  goneAt: null,
  forAccessTokens: true,
}

let pair: PostgresPair
let mixed: AuthStore
let current: AuthStore
beforeAll(async () => {
  pair = await startPostgresPair()
  const address = pair.database.addressOf('auth')
  mixed = await openAuthStore({ dataDir: '', databaseUrl: address, nodeName: 'mixed' })
})
afterAll(async () => {
  await mixed?.close()
  await current?.close()
  await pair?.stop()
})

test('a standby that nodes reach is unavailable, and left when it is not the primary', async () => {
  pair.entry.leadTo(pair.standby.port, 'close')
  const codes = new Set<string>()
  await eventually(async () => {
    const write = mixed.addSigningKey(KEY, null)
    const error: unknown = await write.then(
      () => new Error('The standby has written'),
      (reason) => reason,
    )
    if (!(error instanceof DatabaseUnavailable)) throw error
    codes.add(error.code)
    return codes.has('25006')
  })
  // Nothing closes the connections to the standby.
  pair.entry.leadTo(pair.primary.port, 'leave')
  await eventually(() =>
    mixed.probe().then(
      () => true,
      () => false,
    ),
  )
})

test('a page for a poll comes from a server that has the poll, and so what was ended before', async () => {
  const { subscribers } = mixed
  if (!subscribers) throw new Error('A store on PostgreSQL has subscribers')
  const old = pair.primary
  await pair.promote()
  current = await openAuthStore({ dataDir: '', databaseUrl: pair.primary.addressOf(DATABASE) })
  const seq = (await current.addSigningKey(KEY, null)) ?? 0
  // As a balancer does that has not noticed yet.
  pair.entry.leadTo([old.port, pair.primary.port], 'close')
  const results = { current: 0, stale: 0, unavailable: 0 }
  const poll = async (round: number) => {
    try {
      const acknowledgement = await subscribers.acknowledge(`subscriber-${round}`, 0)
      const page = await mixed.revocationsAfter(seq - 1, 10, acknowledgement)
      results[page.revocations.length === 1 ? 'current' : 'stale']++
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error
      results.unavailable++
    }
  }
  await atOnce(ROUNDS, poll)
  pair.entry.leadTo(pair.primary.port, 'leave')
  await eventually(async () => {
    const before = results.current
    await atOnce(8, poll)
    return results.current === before + 8
  })
  console.log(`polls: ${JSON.stringify(results)}`)
  expect(results.stale).toBe(0)
})
