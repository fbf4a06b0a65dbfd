import { parseArgs } from 'node:util'
import { openAuthStore } from '../db/auth/store.ts'
import type { AuthStore, Session } from '../services/auth/store/index.ts'
import type { AuditEvent } from '../services/kit/outbox/audit.ts'

// The rate of one operation of the store of auth, by many callers at once, without HTTP:
//   bun bench/stores.ts --operation rotate --data-dir x --clients 32 --seconds 3
//   bun bench/stores.ts --operation rotate --database-url postgres://… --clients 32 --seconds 3

const HOUR = 3_600_000

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

const event = (type: string, userId: string): AuditEvent => ({
  id: Bun.randomUUIDv7(),
  at: Date.now(),
  type,
  userId,
  actor: userId,
  ip: '192.0.2.1',
  requestId: Bun.randomUUIDv7(),
  detail: {},
})

function newSession(userId: string): Session {
  const now = Date.now()
  const times = { rotatedAt: now, createdAt: now, lastUsedAt: now, accessUntil: now + HOUR }
  const ends = { expiresAt: now + 24 * HOUR, endsAt: now + 90 * 24 * HOUR }
  const client = {
    ip: '192.0.2.1',
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  }
  return { id: Bun.randomUUIDv7(), userId, kind: 'v1', counter: 0, version: 1, ...times, ...ends, ...client }
}

async function addUser(opened: AuthStore): Promise<string> {
  const userId = Bun.randomUUIDv7()
  const account = {
    userId,
    email: `${userId}@example.org`,
    username: null,
    roles: ['USER'],
    status: 'active' as const,
    emailVerified: true,
    profile: {},
    passwordHash: 'hash',
    version: 1,
  }
  await opened.syncAccount(account, Date.now(), (type) => event(type, userId))
  return userId
}

/** Makes a caller with a user and a session of its own. @returns its next call */
async function newCaller(operation: string): Promise<() => Promise<unknown>> {
  const userId = await addUser(store)
  const session = newSession(userId)
  await store.openSession(session, event('session.created', userId))
  if (operation === 'read') return () => store.sessionById(session.id)
  if (operation === 'open') return () => store.openSession(newSession(userId), event('session.created', userId))
  let counter = 0
  return async () => {
    const now = Date.now()
    const until = { expiresAt: now + 24 * HOUR, accessUntil: now + HOUR }
    const rotation = { sessionId: session.id, counter, now, grace: 10_000, ...until }
    const { outcome } = await store.rotateSession(rotation, (type) => event(type, userId))
    if (outcome !== 'rotated') throw new Error(`A session was ${outcome}`)
    counter++
  }
}

const callers = await Promise.all(Array.from({ length: clients }, () => newCaller(values.operation)))
const work = async (seconds: number) => {
  let calls = 0
  const startedAt = performance.now()
  const end = startedAt + seconds * 1000
  await Promise.all(
    callers.map(async (call) => {
      while (performance.now() < end) {
        await call()
        calls++
      }
    }),
  )
  return calls / ((performance.now() - startedAt) / 1000)
}
await work(0.5)
console.log(JSON.stringify({ rate: await work(Number(values.seconds)) }))
await store.close()
