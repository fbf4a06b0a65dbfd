import { parseArgs } from 'node:util'
import { openAuthStore } from '../db/auth/store.ts'
import { AuditChaining } from '../services/auth/audit/chaining.ts'
import type { AuthStore } from '../services/auth/store/index.ts'
import { systemClock } from '../services/kit/clock.ts'
import { DatabaseUnavailable } from '../services/kit/database-unavailable.ts'
import { silentLog } from '../services/kit/log.ts'
import { Nodes } from '../services/kit/nodes/nodes.ts'
import { accountOf, event, HOUR, newSession } from './sessions.ts'

// The rate of one operation of the store of auth, by many callers at once, without HTTP. Prints `ready`, and begins at the
// next line of its input, so that several processes begin together:
//   echo | bun bench/stores.ts --operation rotate --data-dir x --clients 32 --seconds 3
//   echo | bun bench/stores.ts --operation rotate --database-url postgres://… --clients 32 --seconds 3

/** The output of a process at its end. */
export interface StoreRate {
  calls: number
  seconds: number
  /** Milliseconds of CPU that the calls took in this process. */
  cpu: number
  /** Calls that the database did not answer in time: their requests would get a 503. They do not count as calls. */
  unavailable: number
}

/** Sessions that each caller of `end` has to end. */
const SESSIONS = 200
/** Sessions that a caller opens at once. */
const BATCH = 4

const { values } = parseArgs({
  options: {
    operation: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
    'database-url': { type: 'string' },
    clients: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '3' },
  },
})
const clients = Number(values.clients)
const store = await openAuthStore({ dataDir: values['data-dir'], databaseUrl: values['database-url'] ?? null })
const description = { process: '', address: '', version: '' }
const nodes = new Nodes({ store, description, clock: systemClock, log: silentLog })
// One of the processes chains the audit of all meanwhile, as the service does.
const chaining = new AuditChaining({ store, nodes, log: silentLog })
await nodes.start()
chaining.start()

/** Repeats a call until the database answers. */
async function answered<Result>(call: () => Promise<Result>): Promise<Result> {
  for (;;)
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error
    }
}

async function addUser(opened: AuthStore): Promise<string> {
  const userId = Bun.randomUUIDv7()
  await opened.syncAccount(accountOf(userId), Date.now(), (type) => event(type, userId))
  return userId
}

/** Makes a caller with a user and a session of its own. @returns its next call, which gives false when no session is left */
async function newCaller(operation: string): Promise<() => Promise<unknown>> {
  const userId = await addUser(store)
  const session = newSession(userId)
  await store.openSession(session, event('session.created', userId))
  if (operation === 'read') return () => store.sessionById(session.id)
  if (operation === 'open') return () => store.openSession(newSession(userId), event('session.created', userId))
  if (operation === 'end') {
    const ids: string[] = []
    // A session whose commit got no answer may have been written: each attempt opens another one.
    const open = async () => {
      const next = newSession(userId)
      await store.openSession(next, event('session.created', userId))
      return next.id
    }
    while (ids.length < SESSIONS) ids.push(...(await Promise.all(Array.from({ length: BATCH }, () => answered(open)))))
    return async () => {
      const id = ids.pop()
      if (id === undefined) return false
      return await store.endSession(id, userId, { reason: 'logout', now: Date.now() }, event('session.logout', userId))
    }
  }
  let counter = 0
  return async () => {
    const now = Date.now()
    const until = { expiresAt: now + 24 * HOUR, accessUntil: now + HOUR }
    const rotation = { sessionId: session.id, counter, now, grace: 10_000, ...until }
    const { outcome } = await store.rotateSession(rotation, (type) => event(type, userId))
    // Repeated: an earlier call got no answer, but was written.
    if (outcome !== 'rotated' && outcome !== 'repeated') throw new Error(`A session was ${outcome}`)
    counter++
  }
}

const callers = await Promise.all(Array.from({ length: clients }, () => answered(() => newCaller(values.operation))))
const work = async (seconds: number): Promise<StoreRate> => {
  let [calls, unavailable] = [0, 0]
  const [startedAt, before] = [performance.now(), process.cpuUsage()]
  const end = startedAt + seconds * 1000
  await Promise.all(
    callers.map(async (call) => {
      while (performance.now() < end) {
        try {
          if ((await call()) === false) return
          calls++
        } catch (error) {
          if (!(error instanceof DatabaseUnavailable)) throw error
          unavailable++
        }
      }
    }),
  )
  const { system, user } = process.cpuUsage(before)
  return { calls, seconds: (performance.now() - startedAt) / 1000, cpu: (system + user) / 1000, unavailable }
}
await work(0.5)
console.log('ready')
for await (const _ of console) break
console.log(JSON.stringify(await work(Number(values.seconds))))
await chaining.stop()
await nodes.stop()
await store.close()
