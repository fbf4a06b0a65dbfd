import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { text } from '../../db/engine.ts'
import { Postgres } from '../../db/postgres/engine.ts'
import { type PostgresLine, startPostgresLine } from '../faults/postgres-line.ts'
import { registerUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { sharedPostgres } from '../support/postgres/shared.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// A node that stands still in the transaction of a logout: it has locked the counter of the feed, which every end needs.

/** Milliseconds for which a node that stands still may hold up the others. */
const LIMIT = 2000
setDefaultTimeout(180_000)

let nodes: AuthNodes
let line: PostgresLine

beforeAll(async () => {
  nodes = await startAuthNodes(2, {
    async databaseOf(node, address) {
      if (node === 0) return address
      line = await startPostgresLine(Number(new URL(address).port))
      return line.addressOf(address)
    },
  })
})
afterAll(async () => {
  line.isSilent = false
  await nodes?.stop()
  line?.stop()
})

const ready = (node: number) =>
  eventually(async () => (await call(nodes.urlsOf(node).auth, 'GET /health/ready')).status === 200)

const logOut = (node: number, token: string) =>
  call(nodes.urlsOf(node).auth, 'POST /auth/logout', { headers: as.bearer(token) })

/** Stops the second node where it has locked the counter, and ends a session at the first one. @returns milliseconds */
async function endBesideFrozenNode(): Promise<number> {
  await Promise.all([ready(0), ready(1)])
  const [frozen, other] = [await registerUser({ url: nodes.urlsOf(1) }), await registerUser({ url: nodes.urlsOf(0) })]
  const isFrozen = Promise.withResolvers<void>()
  let hasWritten = false
  line.onQuery = (text) => {
    if (hasWritten) {
      isFrozen.resolve()
      return 'silence'
    }
    // The entry of the feed: the statement that takes the next number.
    hasWritten = text.includes(`["session","${frozen.tokens.session_id}"`)
    return undefined
  }
  const unanswered = logOut(1, frozen.tokens.access_token)
  await isFrozen.promise
  const sentAt = performance.now()
  const { status } = await logOut(0, other.tokens.access_token)
  const took = performance.now() - sentAt
  expect(status).toBe(204)
  line.onQuery = () => undefined
  line.isSilent = false
  // It made nothing: the client may try again.
  expect((await unanswered).status).toBe(503)
  await ready(1)
  expect((await logOut(1, frozen.tokens.access_token)).status).toBe(204)
  for (const { tokens } of [frozen, other])
    for (const node of [0, 1])
      expect(
        (await call(nodes.urlsOf(node).auth, 'GET /auth/me', { headers: as.bearer(tokens.access_token) })).status,
      ).toBe(401)
  return took
}

test('an end of a session waits less than two seconds for a node that stands still with the counter', async () => {
  const durations: number[] = []
  await eventually(async () => {
    durations.push(Math.round(await endBesideFrozenNode()))
    // A busy machine may add to one of them.
    return durations.some((duration) => duration < LIMIT)
  }).finally(() => console.info(`took ${durations.join(', ')} ms`))
})

test('a transaction that the server ended, because its process stood still, is repeated', async () => {
  const url = await (await sharedPostgres()).newDatabase()
  const engine = new Postgres({ url, schema: 'public', tables: new Set(), patience: PROMPT })
  let runs = 0
  await engine.write(function* (tx) {
    yield* tx.get(text('SELECT 1'))
    const end = performance.now() + LIMIT
    if (++runs === 1) while (performance.now() < end);
    yield* tx.get(text('SELECT 1'))
  })
  expect(runs).toBe(2)
  await engine.close()
})
