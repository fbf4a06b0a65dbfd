import { afterAll, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { openModulesStore } from '../../db/modules/store.ts'
import { startPostgresProxy } from '../support/postgres/proxy.ts'
import { newDatabaseConfig, postgresTraits } from '../support/postgres/shared.ts'
import { account, event, NOW, session } from './auth-suite.ts'

// How often a method waits for PostgreSQL. Far from the database, that is what it costs: every gate polls a few times a
// second, and a transaction holds one of the few connections for as long as it waits.

const config = await newDatabaseConfig()
let turns = 0
const proxy = await startPostgresProxy(Number(new URL(config.databaseUrl).port), {
  atBytes: () => {
    turns++
  },
})
const counted = { ...config, databaseUrl: proxy.addressOf(config.databaseUrl) }
const modules = await openModulesStore(counted)
const auth = await openAuthStore(counted)
afterAll(async () => {
  await modules.close()
  await auth.close()
  proxy.stop()
})

await modules.addModule(
  {
    id: 'a',
    name: 'A',
    description: '',
    version: '1',
    requiredRoles: [],
    requires: [],
    defaultEnabled: false,
    createdAt: 1,
  },
  [],
)

const newUser = () => Bun.randomUUIDv7()
const poll = {
  modules: await modules.subscribers?.acknowledge('a/one', 0),
  auth: await auth.subscribers?.acknowledge('one', 0),
}
const switchOn = () =>
  modules.enableModule('a', { userId: newUser(), roles: [] }, NOW, [
    { target: 'auth', kind: 'audit', subject: newUser(), payload: {} },
  ])

const { userId } = account()
let version = 1
const record = () => ({ ...account({ userId, email: 'one@example.org', version }), passwordHash: `hash ${version}` })
await auth.syncAccount(record(), NOW, event)
const logIn = () => auth.openSession(session(userId, { version }), event())
async function changePassword() {
  version++
  expect((await auth.syncAccount(record(), NOW, event)).ended.sessions).toBe(1)
}
async function endSessions() {
  expect((await auth.endSessionsOf(userId, { reason: 'logout', now: NOW }, event())).sessions).toBe(1)
}

let another = ''
async function registerAnother() {
  another = newUser()
  await auth.syncAccount(
    { ...account({ userId: another, email: `${another}@example.org` }), passwordHash: 'hash' },
    NOW,
    event,
  )
  await auth.openSession(session(another), event())
}
async function deleteAnother() {
  expect((await auth.deleteAccount(another, NOW, event)).sessions).toBe(1)
}

interface Method {
  call(): Promise<unknown>
  /** The round trips with prepared statements, which are sent at once. */
  expected: number
  /** The round trips through a pooler, where one statement is sent after another. */
  throughPooler: number
  /** Makes what the call needs. */
  prepare?(): Promise<unknown>
}

const METHODS: Record<string, Method> = {
  'the number of the last change of a module': { call: () => modules.lastChange('a'), expected: 1, throughPooler: 1 },
  'a page of the feed of a module': {
    call: () => modules.changesAfter('a', 0, 10, poll.modules),
    expected: 3,
    throughPooler: 6,
  },
  'a page of the feed of revocations': {
    call: () => auth.revocationsAfter(0, 10, poll.auth),
    expected: 3,
    throughPooler: 4,
  },
  'a change of a choice': { call: switchOn, expected: 4, throughPooler: 9 },
  'a change of a password': { prepare: logIn, call: changePassword, expected: 6, throughPooler: 14 },
  'the end of all sessions of a user': { prepare: logIn, call: endSessions, expected: 4, throughPooler: 6 },
  'the deletion of a user': { prepare: registerAnother, call: deleteAnother, expected: 7, throughPooler: 19 },
}

test.each(Object.entries(METHODS))(
  '%s takes few round trips',
  async (_, { call, expected, prepare, throughPooler }) => {
    let counted = 0
    // Each connection is made, and prepares the statements, when it is first used.
    for (let n = 0; n < 13; n++) {
      await prepare?.()
      const before = turns
      await call()
      counted = turns - before
    }
    expect(counted).toBe(postgresTraits().has('pooler') ? throughPooler : expected)
  },
)
