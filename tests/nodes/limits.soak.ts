import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { LoginLimits } from '../../services/auth/login/limits.ts'
import { LoginLockout } from '../../services/auth/login/refused-logins.ts'
import type { AuthStore, RefusedLogin } from '../../services/auth/store/index.ts'
import type { Caller } from '../../services/kit/caller.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { Problem } from '../../services/kit/problem.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
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
async function guess(times: number, nameOf: (n: number) => [account: string, address: string], nodes = all) {
  let checks = 0
  let atOnce = 0
  let most = 0
  const refusals = await Promise.all(
    Array.from({ length: times }, async (_, n) => {
      const { limits } = nodes[n % nodes.length] as Node
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

test.each([
  ['account', (n: number) => ['one', `192.0.2.${n}`]],
  ['address', (n: number) => [`account-${n}`, '192.0.2.1']],
] as const)(
  'guesses at a locked %s that come together are refused by what one of them read; a later login reads again',
  async (by, nameOf) => {
    const [{ store }] = all as [Node]
    let reads = 0
    const takePlaces: typeof store.takePlaces = (...values) => {
      reads++
      return store.takePlaces(...values)
    }
    const limits = new LoginLimits(Object.assign(Object.create(store), { takePlaces }), systemClock, 1000, true)
    const subject = by === 'account' ? 'account:one' : 'address:192.0.2.1'
    for (let n = 0; n < MOST[by]; n++) await store.recordFailure([subject], systemClock.now(), () => [])
    const guesses = Array.from({ length: 200 }, (_, n) => limits.begin(...(nameOf(n) as [string, string])))
    for (const { reason } of (await Promise.allSettled(guesses)) as PromiseRejectedResult[])
      expect([reason, reason?.by]).toEqual([expect.any(LoginLockout), by])
    // The first one may have read before the others came.
    expect(reads).toBeLessThanOrEqual(2)
    await store.clearFailures(subject, systemClock.now(), 'forget')
    ;(await limits.begin('one', '192.0.2.1')).abandoned()
  },
  120_000,
)

test('a success gives its places back, and ends the lockout everywhere', async () => {
  const [first, second] = all as [Node, Node]
  for (let n = 0; n < 9; n++) await (await first.limits.begin('one', null)).failed(() => [])
  await (await second.limits.begin('one', null)).succeeded()
  expect((await guess(200, () => ['one', '192.0.2.1'])).checks).toBe(MOST.account)
}, 120_000)

test('a node that stood still answers nothing about passwords whose places the others have taken', async () => {
  const [frozen, other] = all as [Node, Node]
  const attempts = await Promise.all(Array.from({ length: MOST.account }, () => frozen.limits.begin('one', null)))
  frozen.freeze()
  const { checks } = await guess(MOST.account, () => ['one', '192.0.2.1'], [other])
  expect(checks).toBe(MOST.account)
  frozen.thaw()
  const results = attempts.map((attempt, n) => (n % 2 === 0 ? attempt.failed(() => []) : attempt.succeeded()))
  for (const result of await Promise.allSettled(results))
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'overloaded' } })
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

/** A refused login as the routes report it. */
function refuse(node: Node, name: string, ip: string) {
  const noUser = { userId: null, sessionId: null, roles: [], authTime: null, amr: [] }
  const anyone = {
    ...noUser,
    client: null,
    app: null,
    operator: false,
    supportRole: null,
    scraper: false,
    internal: false,
    actor: 'anyone',
  }
  const caller: Caller = { ...anyone, ip, userAgent: null, way: 'api', locale: null, requestId: name }
  const error = new Problem('rate_limited')
  return node.limits.refused.add(error, { key: 'account', userId: null, caller, now: systemClock.now() })
}

const namesOf = (logins: RefusedLogin[]) => logins.map(({ requestId }) => requestId)

test('a refused login is listed by every node: the last of each address at all nodes, whatever comes from others', async () => {
  const names = Array.from({ length: 70 }, (_, n) => `request ${n}`)
  for (const [n, name] of names.entries()) {
    await refuse(all[n % all.length] as Node, name, '192.0.2.1')
    // Two nodes may refuse in the same millisecond.
    await Bun.sleep(1)
  }
  await Promise.all(
    Array.from({ length: 600 }, (_, n) => refuse(all[n % 2] as Node, `other ${n}`, `198.51.${n >> 8}.${n & 255}`)),
  )
  for (const { limits } of all) {
    const ofAddress = await limits.refused.find({ by: 'address', value: '192.0.2.1' })
    expect(namesOf(ofAddress)).toEqual(names.slice(-20).reverse())
    expect(ofAddress[0]).toMatchObject({ code: 'rate_limited', lockedBy: null, ip: '192.0.2.1' })
    expect(namesOf(await limits.refused.find({ by: 'requestId', value: 'other 599' }))).toEqual(['other 599'])
    expect((await limits.refused.find({ by: 'key', value: 'account' })).length).toBe(620)
  }
}, 120_000)

test('refused logins of an address that 500 others displaced, and of a node that has stopped, are deleted', async () => {
  const [first, second, third] = all as [Node, Node, Node]
  const ofAddress = async (value: string) => namesOf(await third.limits.refused.find({ by: 'address', value }))
  await refuse(first, 'displaced', '192.0.2.1')
  await refuse(second, 'of another node', '192.0.2.1')
  await Promise.all(Array.from({ length: 500 }, (_, n) => refuse(first, `${n}`, `198.51.${n >> 8}.${n & 255}`)))
  expect(await ofAddress('192.0.2.1')).toEqual(['of another node'])
  await second.nodes.stop()
  await third.store.forgetRefusedLogins()
  expect([await ofAddress('192.0.2.1'), await ofAddress('198.51.0.1')]).toEqual([[], ['1']])
}, 120_000)
