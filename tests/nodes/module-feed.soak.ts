import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { openModulesStore } from '../../db/modules/store.ts'
import { ModuleGate } from '../../services/kit/access/module-gate.ts'
import type { Caller } from '../../services/kit/caller.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { silentLog } from '../../services/kit/log.ts'
import { ModuleFeed } from '../../services/modules/feed.ts'
import type { ModulesStore } from '../../services/modules/store.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'

// Two nodes of modules that share a database, and a gate that polls one of them, or both in turn.

setDefaultTimeout(120_000)

const MODULE = 'billing'
const ROUNDS = 30
const POLLED: Record<string, (poll: number) => number> = {
  'the first node': () => 0,
  'the second node': () => 1,
  'both nodes in turn': (poll) => poll % 2,
}
let nodeOf = POLLED['the first node']
const stores: ModulesStore[] = []
const feeds: ModuleFeed[] = []
let gate: ModuleGate

beforeAll(async () => {
  const config = await newDatabaseConfig()
  for (let node = 0; node < 2; node++) {
    const store = await openModulesStore(config)
    const feed = new ModuleFeed({ store, clock: systemClock, log: silentLog })
    feed.start()
    stores.push(store)
    feeds.push(feed)
  }
  await stores[0]?.addModule(
    {
      id: MODULE,
      name: 'Billing',
      description: '',
      version: '1.0.0',
      requiredRoles: [],
      requires: [],
      defaultEnabled: false,
      createdAt: 1,
    },
    [],
  )
  let polls = 0
  gate = new ModuleGate(MODULE, {
    name: 'one',
    source: {
      async poll(module, subscriber, after, epoch) {
        const feed = feeds[nodeOf?.(polls++) ?? 0]
        if (!feed) throw new Error('There is no node')
        return await feed.poll(module, { subscriber, after, epoch })
      },
      // Without a lease, on a busy machine, the gate asks.
      async modulesOf(user) {
        const states = (await stores[0]?.modulesOf(user)) ?? []
        return states.filter(({ enabledAt }) => enabledAt !== null).map(({ module }) => module.id)
      },
    },
    clock: systemClock,
    log: silentLog,
  })
  await gate.start(10_000)
})
afterAll(async () => {
  for (const feed of feeds) feed.close()
  await gate?.stop()
  await Promise.all(feeds.map((feed) => feed.stop()))
  for (const store of stores) await store.close()
})

async function isAdmitted(userId: string): Promise<boolean> {
  const caller = { userId, roles: [], requestId: 'r', operator: false } as unknown as Caller
  try {
    await gate.admit(caller, ['user'])
    return true
  } catch {
    return false
  }
}

test.each(Object.entries(POLLED))('a change on either node is in effect at a gate that polls %s', async (_, chosen) => {
  nodeOf = chosen
  const wrong: unknown[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const node = round % 2
    const [store, feed] = [stores[node], feeds[node]]
    await store?.enableModule(MODULE, { userId: 'ana', roles: [] }, 1, [])
    await feed?.announce(MODULE)
    if (!(await isAdmitted('ana'))) wrong.push({ round, enabled: true })
    await store?.disableModule(MODULE, 'ana', [])
    await feed?.announce(MODULE)
    if (await isAdmitted('ana')) wrong.push({ round, enabled: false })
  }
  expect(wrong).toEqual([])
})

test('a node without subscribers of its own also announces the removal of a user', async () => {
  const [first, second] = feeds
  await stores[0]?.enableModule(MODULE, { userId: 'ben', roles: [] }, 1, [])
  await first?.announce(MODULE)
  expect(await isAdmitted('ben')).toBe(true)
  const third = new ModuleFeed({ store: stores[1] as ModulesStore, clock: systemClock, log: silentLog })
  await stores[1]?.removeUser('ben')
  await third.announceAll()
  expect(await isAdmitted('ben')).toBe(false)
  third.close()
  expect(second).toBeDefined()
})

test('a gate that has stopped holds up one change at most, and is removed', async () => {
  await gate.stop()
  await stores[0]?.enableModule(MODULE, { userId: 'cem', roles: [] }, 1, [])
  await feeds[0]?.announce(MODULE)
  await eventually(async () => {
    await feeds[0]?.prune()
    return (await stores[0]?.subscribers?.subscribers())?.rows.length === 0
  })
})
