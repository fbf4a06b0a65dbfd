import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { type PostgresLine, startPostgresLine } from '../faults/postgres-line.ts'
import { registerUser, type TestUser } from '../support/actors.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Two nodes of auth. The second one loses the database: it behaves as a service does that has lost auth.

const V1 = '/api/v1'
setDefaultTimeout(120_000)

let nodes: AuthNodes
let line: PostgresLine

beforeAll(async () => {
  nodes = await startAuthNodes(2, {
    env: { REVOCATION_MAX_LAG: '6s' },
    async databaseOf(node, address) {
      if (node === 0) return address
      line = await startPostgresLine(Number(new URL(address).port))
      return line.addressOf(address)
    },
  })
})
afterAll(async () => {
  await nodes?.stop()
  line?.stop()
})

/**
 * Asks the second node about a token. @returns true, the reason why not, or a status
 * @param more headers
 */
async function verdict({ tokens }: TestUser, more: Record<string, string> = {}): Promise<unknown> {
  const { body, status } = await call(nodes.urlsOf(1).auth, `POST ${V1}/auth/validate-token`, {
    headers: { ...as.internal, ...more },
    body: { token: tokens.access_token },
  })
  return status === 200 ? body.valid || body.reason : `${status} ${body.code}`
}

async function logOut({ tokens }: TestUser): Promise<number> {
  const headers = as.bearer(tokens.access_token)
  return (await call(nodes.urlsOf(0).auth, `POST ${V1}/auth/logout`, { headers })).status
}

/** Ways in which a node loses the database. Each gives what restores the connection. */
const LOSSES: Record<string, () => () => void> = {
  'gets no answer'() {
    line.isSilent = true
    return () => {
      line.isSilent = false
    }
  },
  'loses its connections'() {
    line.onQuery = () => 'cut'
    return () => {
      line.onQuery = () => undefined
    }
  },
}

test.each(Object.entries(LOSSES))('a node that %s', async (_, lose) => {
  const register = () => registerUser({ url: nodes.urlsOf(0) })
  const [ended, endedLater, valid] = [await register(), await register(), await register()]
  expect(await logOut(ended)).toBe(204)
  expect(await verdict(ended)).toBe('revoked')
  expect([await verdict(endedLater), await verdict(valid)]).toEqual([true, true])

  const restore = lose()
  const sentAt = performance.now()
  expect(await logOut(endedLater)).toBe(204)
  expect(performance.now() - sentAt).toBeLessThan(PROMPT)
  expect(await verdict(ended)).toBe('revoked')

  // Services ask so: another node has the answer.
  const current = { 'cache-control': 'no-cache' }
  await eventually(
    async () => (await verdict(valid, current)) === '503 database_unavailable' && (await verdict(valid)) === true,
  )
  await eventually(async () => (await verdict(valid)) === '503 database_unavailable')
  expect(await verdict(ended)).toBe('revoked')
  expect(await verdict(endedLater)).toBe('503 database_unavailable')

  restore()
  const verdicts = new Set<unknown>()
  await eventually(async () => {
    verdicts.add(await verdict(endedLater))
    return (await verdict(valid)) === true
  })
  verdicts.add(await verdict(endedLater))
  expect([...verdicts].filter((each) => each !== '503 database_unavailable')).toEqual(['revoked'])
})
