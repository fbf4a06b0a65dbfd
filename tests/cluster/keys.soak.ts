import { describe, expect, test } from 'bun:test'
import { decodeProtectedHeader } from 'jose'
import { logIn, registerUser, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { type Cluster, cluster } from './cluster.ts'
import { askEveryNode, others } from './every-node.ts'

const STARTS = Number(process.env.SOAK_STARTS ?? 4)
const ROTATIONS = Number(process.env.SOAK_ROTATIONS ?? 6)

const keysOf = (system: Cluster) =>
  databaseRows<{ kid: string; status: string }>(system, 'auth', 'SELECT kid, status FROM signing_keys')
const activeOf = async (system: Cluster) => (await keysOf(system)).filter(({ status }) => status === 'active')
const publishedBy = async (url: string): Promise<string[]> => {
  const { body } = await call(url, 'GET /.well-known/jwks.json')
  return body.keys.map(({ kid }: { kid: string }) => kid).toSorted()
}

describe('starts of three nodes at once on an empty database', () => {
  test('make one key', async () => {
    const counts: number[] = []
    const differences: string[] = []
    for (let round = 0; round < STARTS; round++) {
      const system = await cluster({ LOG_LEVEL: 'silent' })
      try {
        counts.push((await keysOf(system)).length)
        const { tokens } = await registerUser(system)
        differences.push(...others(await askEveryNode(system, tokens.access_token), 200))
      } finally {
        await system.stop()
      }
    }
    console.log(`figures: ${STARTS} starts, ${counts.filter((keys) => keys !== 1).length} with several keys`)
    expect({ counts, differences }).toEqual({ counts: counts.map(() => 1), differences: [] })
  })
})

describe('a rotation of the signing key', () => {
  const here = running(cluster, { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  const rotate = (n: number) =>
    call(here.system.at(n).url.auth, 'POST /api/v1/admin/keys/rotate?now=true', { headers: as.operator })
  const loggedInAt = async (n: number, user: TestUser): Promise<string> => {
    const { body, status, text } = await logIn(here.system.at(n), user.email)
    if (status !== 200) throw new Error(text)
    return body.access_token
  }

  test('leaves one active key, which every node signs with, publishes and verifies with', async () => {
    const user = await registerUser(here.system)
    const wrong: string[] = []
    for (let round = 0; round < ROTATIONS; round++) {
      const { body, status } = await rotate((round % 3) + 1)
      if (status !== 201) wrong.push(`${round}: ${status}`)
      const active = await activeOf(here.system)
      if (active.length !== 1 || active[0]?.kid !== body.kid) wrong.push(`${round}: ${active.length} active`)
      for (let n = 1; n <= 3; n++) {
        const token = await loggedInAt(n, user)
        if (decodeProtectedHeader(token).kid !== body.kid) wrong.push(`${round}: auth-${n} signs with another key`)
        const published = await publishedBy(here.system.at(n).url.auth)
        if (!published.includes(body.kid)) wrong.push(`${round}: auth-${n} does not publish it`)
        wrong.push(...others(await askEveryNode(here.system, token), 200).map((one) => `${round}: ${one}`))
      }
    }
    console.log(`figures: ${ROTATIONS} rotations, ${wrong.length} faults of rotations`)
    expect(wrong).toEqual([])
  })

  test('at every node at once leaves one active key and at most one pending', async () => {
    const counts: Record<string, number>[] = []
    for (let round = 0; round < ROTATIONS; round++) {
      const answers = await Promise.all([1, 2, 3].map(rotate))
      expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
      const keys = await keysOf(here.system)
      const of = (status: string) => keys.filter((key) => key.status === status).length
      counts.push({ active: of('active'), pending: of('pending') })
    }
    expect(counts).toEqual(counts.map(() => ({ active: 1, pending: 0 })))
  })

  test('that removes the active key: no node accepts its tokens', async () => {
    const user = await registerUser(here.system)
    const wrong: string[] = []
    for (let round = 0; round < ROTATIONS; round++) {
      const token = await loggedInAt((round % 3) + 1, user)
      const { kid } = decodeProtectedHeader(token)
      const removed = await call(here.system.at(((round + 1) % 3) + 1).url.auth, `DELETE /api/v1/admin/keys/${kid}`, {
        headers: as.operator,
      })
      if (removed.status !== 204) wrong.push(`${round}: ${removed.status} ${removed.body.code}`)
      wrong.push(...others(await askEveryNode(here.system, token), 'invalid_token').map((one) => `${round}: ${one}`))
    }
    console.log(`figures: ${ROTATIONS} removals, ${wrong.length} faults of removals`)
    expect(wrong).toEqual([])
  })
})
