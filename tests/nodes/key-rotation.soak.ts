import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import { KeyRotation, ROTATION_LEASE } from '../../services/auth/keys/rotation.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { type Clock, DAY, HOUR, MINUTE, systemClock } from '../../services/kit/clock.ts'
import { type LogFields, silentLog } from '../../services/kit/log.ts'
import { systemRandom } from '../../services/kit/random.ts'
import type { TokenAlg } from '../../services/kit/tokens/algorithms.ts'
import { Sealing } from '../../services/kit/tokens/sealing.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { type TestNode, testNode } from './cluster.ts'

// The rotation of keys by age, by several nodes that share a database.

interface Node extends TestNode<AuthStore> {
  opened: AuthStore
  ring: KeyRing
  rotation: KeyRotation
  failures: LogFields[]
}

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []
/** Milliseconds by which the clocks of all nodes are ahead. */
let ahead = 0
const clock: Clock = { now: () => Date.now() + ahead, monotonic: systemClock.monotonic }
const sealing = new Sealing(['a secret of the nodes'], systemRandom)

/**
 * @param begins called right before the node adds a key
 * @param tokenAlg its TOKEN_ALG: while nodes restart one by one, they do not have the same
 */
async function openNode(
  begins: (node: Node) => Promise<void> = async () => undefined,
  tokenAlg: TokenAlg = 'EdDSA',
): Promise<Node> {
  const opened = await openAuthStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened, failures: [] as LogFields[] } as Node
  const store: AuthStore = Object.assign(Object.create(node.store), {
    async addSigningKey(...values: Parameters<AuthStore['addSigningKey']>) {
      await begins(node)
      return await node.store.addSigningKey(...values)
    },
  })
  node.ring = await KeyRing.open({ store, sealing, clock, tokenAlg })
  node.rotation = new KeyRotation({
    store,
    clock,
    random: systemRandom,
    nodes: node.nodes,
    keyRing: node.ring,
    config: { jwtExpire: HOUR, signingKeyLead: 2 * MINUTE, signingKeyMaxAge: 90 * DAY },
    feed: { waitForAcks: async () => undefined },
    tokens: { clearCache: () => undefined },
    log: { ...silentLog, error: (line) => node.failures.push(line as LogFields) },
  })
  await node.nodes.start()
  all.push(node)
  return node
}

const statuses = async () => (await all[0]?.opened.signingKeys())?.map(({ status }) => status)

beforeEach(async () => {
  config = await newDatabaseConfig()
  ahead = 0
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map(({ rotation }) => rotation.stop()))
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
})

test('one of the nodes publishes the successor of an old key', async () => {
  await openNode()
  await openNode()
  await openNode()
  ahead = 90 * DAY
  for (const { rotation } of all) rotation.start()
  await eventually(async () => (await statuses())?.includes('pending'))
  await Promise.all(all.map(({ rotation }) => rotation.stop()))
  expect(await statuses()).toEqual(['active', 'pending'])
})

test('a node that froze in a rotation adds no key when it returns, because another one has rotated meanwhile', async () => {
  const first = await openNode(async (node) => {
    node.freeze()
    await node.running()
  })
  ahead = 90 * DAY
  first.rotation.start()
  await eventually(() => first.isFrozen())
  const second = await openNode()
  second.rotation.start()
  await eventually(async () => (await second.opened.signingKeys()).length === 2)
  expect(second.nodes.holds(ROTATION_LEASE)).toBe(true)
  first.thaw()
  await eventually(() => first.failures.some(({ event }) => event === 'key.rotation_failed'))
  expect(await statuses()).toEqual(['active', 'pending'])
})

test('a key that one node published is activated by another when its lead is over', async () => {
  const first = await openNode()
  ahead = 90 * DAY
  first.rotation.start()
  await eventually(async () => (await statuses())?.includes('pending'))
  await first.rotation.stop()
  await first.nodes.stop()
  ahead += 2 * MINUTE
  const second = await openNode()
  second.rotation.start()
  await eventually(async () => (await second.opened.signingKeys()).at(-1)?.status === 'active')
  expect(await statuses()).toEqual(['retiring', 'active'])
})

test('16: nodes that restart one by one with another TOKEN_ALG publish one key, which the last of them activates', async () => {
  const keys = async () => (await all[0]?.opened.signingKeys())?.map(({ alg, status }) => `${alg} ${status}`).toSorted()
  const stop = async ({ nodes, rotation }: Node) => {
    await rotation.stop()
    await nodes.stop()
  }
  const [first, second] = [await openNode(), await openNode()]
  first.rotation.start()
  await eventually(() => first.nodes.holds(ROTATION_LEASE))
  await stop(second)
  const third = await openNode(undefined, 'ES256')
  third.rotation.start()
  // A client is created meanwhile: this withdraws no key for access tokens.
  await third.rotation.followClients({ actor: 'operator', ip: null, requestId: null } as never)
  expect([await keys(), third.ring.signing().alg]).toEqual([['EdDSA active'], 'EdDSA'])
  await stop(first)
  await eventually(async () => (await keys())?.includes('ES256 pending'))
  expect(third.ring.signing().alg).toBe('EdDSA')
  await stop(third)
  ahead = 2 * MINUTE
  const fourth = await openNode(undefined, 'ES256')
  expect(fourth.ring.signing().alg).toBe('EdDSA')
  fourth.rotation.start()
  await eventually(async () => (await keys())?.join() === 'ES256 active,EdDSA retiring')
  await third.ring.reload()
  const signers = [third, fourth].map(({ ring }) => ring.signing())
  expect(signers.map(({ alg }) => alg)).toEqual(['ES256', 'ES256'])
  expect(signers[0]?.kid).toBe(String(signers[1]?.kid))
})
