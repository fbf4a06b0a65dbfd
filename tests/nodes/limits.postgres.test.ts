import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { LoginLimits } from '../../services/auth/login/limits.ts'
import { LoginLockout } from '../../services/auth/login/refused-logins.ts'
import type { AuthStore } from '../../services/auth/store/index.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/shared-postgres.ts'
import { type TestNode, testNode } from './cluster.ts'

// Several nodes in one process, each with a store and limits of its own, on one database.

type Node = TestNode<AuthStore> & { opened: AuthStore; limits: LoginLimits }

/** Failures after which an account, or an address, is locked. */
const MOST = { account: 10, address: 300 }

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []

async function openNode(): Promise<Node> {
  const opened = await openAuthStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened } as Node
  node.limits = new LoginLimits(node.store, systemClock, 1000, true)
  await node.nodes.start()
  all.push(node)
  return node
}

beforeEach(async () => {
  config = await newDatabaseConfig()
  all = []
  for (let n = 0; n < 3; n++) await openNode()
})
afterEach(async () => {
  for (const node of all) {
    node.thaw()
    await node.nodes.stop()
    await node.opened.close()
  }
})

/** Guesses passwords at all nodes at once. @returns how many were checked, and how many of those at most at one time */
async function guess(times: number, nameOf: (n: number) => [account: string, address: string]) {
  let checks = 0
  let atOnce = 0
  let most = 0
  const refusals = await Promise.all(
    Array.from({ length: times }, async (_, n) => {
      const { limits } = all[n % all.length] as Node
      try {
        const attempt = await limits.begin(...nameOf(n))
        checks++
        most = Math.max(most, ++atOnce)
        await Bun.sleep(Math.random() * 10)
        atOnce--
        await attempt.failed(() => [])
        return undefined
      } catch (error) {
        return error
      }
    }),
  )
  for (const refusal of refusals) if (refusal) expect(refusal).toBeInstanceOf(LoginLockout)
  return { checks, most }
}

test('of 200 guesses at three nodes at once as many are checked as at one, each time', async () => {
  for (let time = 0; time < 5; time++) {
    const { checks, most } = await guess(200, (n) => [`account-${time}`, `192.0.2.${n}`])
    expect([time, checks, most <= MOST.account]).toEqual([time, MOST.account, true])
  }
}, 120_000)

test('an address has one limit at all nodes', async () => {
  const { checks } = await guess(500, (n) => [`account-${n}`, '192.0.2.1'])
  expect(checks).toBe(MOST.address)
}, 120_000)

test('a success gives its places back, and ends the lockout everywhere', async () => {
  const [first, second] = all as [Node, Node]
  for (let n = 0; n < 9; n++) await (await first.limits.begin('one', null)).failed(() => [])
  await (await second.limits.begin('one', null)).succeeded()
  expect((await guess(200, () => ['one', '192.0.2.1'])).checks).toBe(MOST.account)
}, 120_000)

test('places of a node that dies are free as soon as the others miss it', async () => {
  const [dying, other] = all as [Node, Node]
  for (let n = 0; n < MOST.account; n++) await dying.limits.begin('one', null)
  dying.freeze()
  const waiting = other.limits.begin('one', null)
  let isOver = false
  waiting.then(() => {
    isOver = true
  })
  await Bun.sleep(300)
  expect(isOver).toBe(false)
  await eventually(() => isOver)
  ;(await waiting).abandoned()
}, 120_000)
