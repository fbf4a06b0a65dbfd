import { afterAll, beforeAll, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import type { SubscriberStore } from '../../services/kit/feed/stored-subscribers.ts'
import { newDatabaseConfig } from '../support/shared-postgres.ts'

// The subscribers of the feed, as two nodes write and read them.

let stores: AuthStore[] = []
let first: SubscriberStore
let second: SubscriberStore

beforeAll(async () => {
  const config = await newDatabaseConfig()
  stores = [await openAuthStore(config), await openAuthStore(config)]
  const [one, other] = stores.map(({ subscribers }) => subscribers)
  if (!one || !other) throw new Error('A store on PostgreSQL has subscribers')
  first = one
  second = other
})
afterAll(async () => {
  for (const store of stores) await store.close()
})

const rowOf = async (name: string) => (await second.subscribers()).find((row) => row.name === name)

test('an acknowledgement is committed when it resolves, and each changes the renewal', async () => {
  const renewals = new Set<unknown>()
  for (const acked of [3, 3, 5]) {
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
    ...names.map((name) => first.acknowledge(name, 1)),
    ...names.toReversed().map((name) => second.acknowledge(name, 1)),
  ])
  const rows = await first.subscribers()
  expect(rows.filter(({ name }) => name.startsWith('many-')).map(({ acked }) => acked)).toEqual(names.map(() => 1))
})

test('a subscriber that has polled since is not removed', async () => {
  await first.acknowledge('two', 1)
  const renewal = (await rowOf('two'))?.renewal ?? 0
  await second.acknowledge('two', 2)
  await first.removeSubscriber('two', renewal)
  expect(await rowOf('two')).toMatchObject({ acked: 2 })
  await first.removeSubscriber('two', (await rowOf('two'))?.renewal ?? 0)
  expect(await rowOf('two')).toBeUndefined()
  // A row that was removed does not come back with an earlier renewal.
  await first.acknowledge('two', 2)
  expect((await rowOf('two'))?.renewal).not.toBe(renewal)
  await first.removeSubscriber('two', null)
  expect(await rowOf('two')).toBeUndefined()
})

test('activating a key has a number in the feed', async () => {
  const [store] = stores
  const key = {
    kid: 'next',
    alg: 'EdDSA',
    x: 'x',
    sealedPrivateKey: new Uint8Array([1]),
    status: 'pending' as const,
    createdAt: 1,
    goneAt: null,
  }
  const added = (await store?.addSigningKey(key, null)) ?? 0
  expect(await store?.activateSigningKey('next', { now: 1, goneAt: 2 }, null)).toBe(added + 1)
})
