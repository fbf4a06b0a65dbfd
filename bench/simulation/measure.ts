import { parseArgs } from 'node:util'
import { openAuthStore } from '../../db/auth/store.ts'
import { startPostgres } from '../../tests/support/postgres/server.ts'
import { DURABLE } from '../cases/postgres.ts'
import { cpuWithChildren, parentOf } from '../processes.ts'
import { accountOf, event, HOUR, newSession } from '../sessions.ts'

// Measures what the statements of the feed cost on this machine, for the simulation:
//   bun bench/simulation/measure.ts [--seconds 2]

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '2' } } })
const SECONDS = Number(values.seconds)

const server = await startPostgres(DURABLE)
try {
  const [[process_]] = (await server.run(
    'postgres',
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
  )) as [[number]]
  const postmaster = parentOf(process_)
  const store = await openAuthStore({ dataDir: '', databaseUrl: await server.newDatabase() })
  const subscribers = store.subscribers
  if (!subscribers) throw new Error('The database has no subscribers')

  /** Runs a call again and again, by several callers. Times in microseconds, for each call. */
  const costOf = async (name: string, call: (caller: number) => Promise<unknown>, callers = 1) => {
    const run = async (seconds: number) => {
      let calls = 0
      const [cpu, before, startedAt] = [process.cpuUsage(), cpuWithChildren(postmaster), performance.now()]
      await Promise.all(
        Array.from({ length: callers }, async (_, caller) => {
          while (performance.now() - startedAt < seconds * 1000) {
            await call(caller)
            calls++
          }
        }),
      )
      const { system, user } = process.cpuUsage(cpu)
      return {
        node: (system + user) / calls,
        server: ((cpuWithChildren(postmaster) - before) * 1000) / calls,
        elapsed: ((performance.now() - startedAt) * 1000 * callers) / calls,
      }
    }
    await run(0.3)
    const cost = await run(SECONDS)
    const rounded = Object.fromEntries(Object.entries(cost).map(([key, value]) => [key, Math.round(value)]))
    console.log(JSON.stringify({ name, ...rounded }))
  }

  await costOf('read the feed', () => store.revocationsAfter(0, 2000))
  await costOf('acknowledge', (caller) => subscribers.acknowledge(`subscriber-${caller}`, 1))
  await costOf('acknowledge, 8 at once', (caller) => subscribers.acknowledge(`subscriber-${caller}`, 1), 8)

  // Groups of one, and of many: the difference is what each call costs beside its transaction.
  for (const callers of [1, 64]) {
    const users = await Promise.all(
      Array.from({ length: callers }, async () => {
        const userId = Bun.randomUUIDv7()
        await store.syncAccount(accountOf(userId), Date.now(), (type) => event(type, userId))
        return userId
      }),
    )
    const open = async (caller: number) => {
      const userId = users[caller] ?? ''
      const session = newSession(userId)
      await store.openSession(session, event('session.created', userId))
      return { userId, id: session.id }
    }
    await costOf(`open a session, ${callers} at once`, open, callers)
    await costOf(
      `open a session and end it, ${callers} at once`,
      async (caller) => {
        const { id, userId } = await open(caller)
        await store.endSession(id, userId, { reason: 'logout', now: Date.now() }, event('session.logout', userId))
      },
      callers,
    )
    const rotated = await Promise.all(users.map(async (_, caller) => ({ ...(await open(caller)), counter: 0 })))
    await costOf(
      `rotate a session, ${callers} at once`,
      async (caller) => {
        const session = rotated[caller]
        const now = Date.now()
        const until = { expiresAt: now + 24 * HOUR, accessUntil: now + HOUR }
        const rotation = { sessionId: session?.id ?? '', counter: session?.counter ?? 0, now, grace: 10_000, ...until }
        await store.rotateSession(rotation, (type) => event(type, session?.userId ?? ''))
        if (session) session.counter++
      },
      callers,
    )
  }
  let rows = 8
  for (const count of [10, 100, 600]) {
    while (rows < count) await subscribers.acknowledge(`subscriber-${rows++}`, 1)
    await costOf(`read ${count} subscribers`, () => subscribers.subscribers())
  }
  await store.close()
} finally {
  await server.stop()
}
