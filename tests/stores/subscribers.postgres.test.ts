import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import type { SubscriberStore } from '../../services/kit/feed/stored-subscribers.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'

// The subscribers of the feed, as two nodes write and read them.

let stores: AuthStore[] = []
let first: SubscriberStore
let second: SubscriberStore
/** The numbers of three entries of the feed. */
let entries: [number, number, number]

beforeAll(async () => {
  const config = await newDatabaseConfig()
  stores = [await openAuthStore(config), await openAuthStore(config)]
  const [one, other] = stores.map(({ subscribers }) => subscribers)
  if (!one || !other) throw new Error('A store on PostgreSQL has subscribers')
  first = one
  second = other
  entries = await addEntries()
})
afterAll(async () => {
  for (const store of stores) await store.close()
})

async function addEntries(): Promise<typeof entries> {
  const key = (kid: string) => ({
    kid,
    alg: 'EdDSA' as const,
    x: 'x',
    sealedPrivateKey: new Uint8Array([1]),
    status: 'pending' as const,
    createdAt: 1,
    goneAt: null,
    forAccessTokens: true,
  })
  const [store] = stores
  const first = Number(await store?.addSigningKey(key('one'), null))
  const second = Number(await store?.activateSigningKey('one', { now: 1, goneAt: 2 }, null))
  return [first, second, Number(await store?.addSigningKey(key('two'), null))]
}

const rowOf = async (name: string) => (await second.subscribers()).rows.find((row) => row.name === name)

test('an acknowledgement is committed when it resolves, and each changes the renewal', async () => {
  const renewals = new Set<unknown>()
  for (const acked of [entries[0], entries[0], entries[1]]) {
    await first.acknowledge('one', acked)
    const row = await rowOf('one')
    expect(row?.acked).toBe(acked)
    renewals.add(row?.renewal)
  }
  expect(renewals.size).toBe(3)
})

test('many acknowledgements at once, on two nodes, are all written', async () => {
  const names = Array.from({ length: 50 }, (_, index) => `many-${index}`)
  await Promise.all([
    ...names.map((name) => first.acknowledge(name, entries[0])),
    ...names.toReversed().map((name) => second.acknowledge(name, entries[0])),
  ])
  const { rows } = await first.subscribers()
  expect(rows.filter(({ name }) => name.startsWith('many-')).map(({ acked }) => acked)).toEqual(
    names.map(() => entries[0]),
  )
})

test('an acknowledgement of a number that the feed does not have counts for nothing', async () => {
  // The database was set back: the number was given to an entry that was lost.
  await first.acknowledge('ahead', entries[2] + 1)
  expect(await rowOf('ahead')).toMatchObject({ acked: 0 })
  await first.acknowledge('ahead', entries[2])
  expect(await rowOf('ahead')).toMatchObject({ acked: entries[2] })
})

test('a subscriber that has polled since is not removed', async () => {
  await first.acknowledge('two', entries[0])
  const renewal = (await rowOf('two'))?.renewal ?? 0
  await second.acknowledge('two', entries[1])
  await first.removeSubscriber('two', renewal)
  expect(await rowOf('two')).toMatchObject({ acked: entries[1] })
  await first.removeSubscriber('two', (await rowOf('two'))?.renewal ?? 0)
  expect(await rowOf('two')).toBeUndefined()
  // A row that was removed does not come back with an earlier renewal.
  await first.acknowledge('two', entries[1])
  expect((await rowOf('two'))?.renewal).not.toBe(renewal)
  await first.removeSubscriber('two', null)
  expect(await rowOf('two')).toBeUndefined()
})

test('each change of the keys has a higher number in the feed', () => {
  expect([...entries]).toEqual(entries.toSorted((a, b) => a - b))
  expect(new Set(entries).size).toBe(3)
})
