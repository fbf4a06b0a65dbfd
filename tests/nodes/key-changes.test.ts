import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { createClient, idTokensBy } from '../support/oauth/clients.ts'
import { sliced } from '../support/whole.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Operators who change the signing keys at two nodes at the same moment.

const REPETITIONS = 40
const OPERATOR = { headers: as.operator }
setDefaultTimeout(300_000)

let nodes: AuthNodes

beforeAll(async () => {
  nodes = await startAuthNodes(2)
})
afterAll(() => nodes?.stop())

interface Key {
  kid: string
  status: string
}

const ask = (node: number, request: string) => call(nodes.urlsOf(node).auth, request, OPERATOR)
const keysAt = async (node: number): Promise<Key[]> => (await ask(node, 'GET /admin/keys')).body.items
const rotate = (node: number, query = '') => ask(node, `POST /admin/keys/rotate${query}`)
const remove = (node: number, kid: string | undefined) => ask(node, `DELETE /admin/keys/${kid}`)

/** The keys that both nodes have. @throws when they differ, two are pending, or not exactly one signs */
async function agreedKeys(): Promise<Key[]> {
  const [first, second] = [await keysAt(0), await keysAt(1)]
  expect(second).toEqual(first)
  const count = (status: string) => first.filter((key) => key.status === status).length
  expect([count('active'), count('pending') <= 1]).toEqual([1, true])
  return first
}

const kidOf = (keys: readonly Key[], status: string) => keys.find((key) => key.status === status)?.kid

/** Removes what an earlier change left, so that each begins with one key. */
async function beginWithOneKey(): Promise<string> {
  const keys = await agreedKeys()
  for (const { kid, status } of keys) if (status !== 'active') expect((await remove(0, kid)).status).toBe(204)
  return String(kidOf(keys, 'active'))
}

/** Changes at two nodes, and what must hold of their answers and of the keys afterwards. */
const CHANGES: Record<string, (active: string) => Promise<void>> = {
  async 'two rotations: both have the same pending key'(active) {
    const answers = await Promise.all([rotate(0), rotate(1)])
    const keys = await agreedKeys()
    expect(keys).toHaveLength(2)
    expect([kidOf(keys, 'active'), answers.map(({ status }) => status)]).toEqual([active, [201, 201]])
    expect(answers.map(({ body }) => body.kid)).toEqual([kidOf(keys, 'pending'), kidOf(keys, 'pending')])
  },
  async 'two rotations that sign at once: each answers a key that has signed'() {
    const answers = await Promise.all([rotate(0, '?now=true'), rotate(1, '?now=true')])
    const keys = await agreedKeys()
    const kids = new Set(keys.map(({ kid }) => kid))
    expect(answers.map(({ body, status }) => [status, kids.has(body.kid)])).toEqual([
      [201, true],
      [201, true],
    ])
    expect(answers.map(({ body }) => body.kid)).toContain(kidOf(keys, 'active'))
    expect(kidOf(keys, 'pending')).toBeUndefined()
  },
  async 'a rotation, and one that signs at once'() {
    const answers = await Promise.all([rotate(0), rotate(1, '?now=true')])
    const keys = await agreedKeys()
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    expect(answers[1]?.body.kid).toBe(String(kidOf(keys, 'active')))
  },
  async 'the pending key signs at one node and is removed at the other'() {
    const pending = (await rotate(0)).body.kid
    const [signing, removal] = await Promise.all([rotate(0, '?now=true'), remove(1, pending)])
    const keys = await agreedKeys()
    expect([signing.status, removal.status]).toEqual([201, 204])
    expect(keys.map(({ kid }) => kid)).not.toContain(pending)
  },
  async 'the active key is removed at one node, and its successor at the other'(active) {
    const pending = (await rotate(1)).body.kid
    const answers = await Promise.all([remove(0, active), remove(1, pending)])
    const keys = await agreedKeys()
    expect(answers.map(({ status }) => status)).toEqual([204, 204])
    expect(keys.map(({ kid }) => kid).filter((kid) => kid === active || kid === pending)).toEqual([])
  },
  async 'the active key is removed at both nodes: one of them may find it gone'(active) {
    const answers = await Promise.all([remove(0, active), remove(1, active)])
    const keys = await agreedKeys()
    expect(keys.map(({ kid }) => kid)).not.toContain(active)
    const statuses = answers.map(({ status }) => status).toSorted()
    expect([statuses[0], statuses[1] === 204 || statuses[1] === 404]).toEqual([204, true])
  },
}

test.each(sliced(Object.entries(CHANGES), 3))('%s', async (_, change) => {
  for (let repetition = 0; repetition < REPETITIONS; repetition++) await change(await beginWithOneKey())
  // A token that the last key signs is good at both nodes.
  const { tokens } = await registerUser({ url: nodes.urlsOf(0) })
  for (const node of [0, 1])
    expect(
      await call(nodes.urlsOf(node).auth, 'GET /auth/me', { headers: as.bearer(tokens.access_token) }),
    ).toMatchObject({ status: 200 })
})

describe('16: clients of an algorithm that no other uses', () => {
  const create = async (node: number, alg: string) =>
    (await createClient({ url: nodes.urlsOf(node) }, idTokensBy(alg))).id
  const removeClient = async (node: number, id: string) =>
    expect((await ask(node, `DELETE /admin/clients/${id}`)).status).toBe(204)
  const published = async (node: number) =>
    (await ask(node, 'GET /.well-known/jwks.json')).body.keys.filter(({ alg }: { alg: string }) => alg !== 'EdDSA')
  const activeAt = async (node: number, name: string) =>
    (await ask(node, 'GET /admin/keys')).body.items
      .filter(({ alg, status }: { alg: string; status: string }) => alg === name && status === 'active')
      .map(({ kid }: Key) => kid)

  test('have one key, at both nodes when the answer is sent; it retires with the last of them', async () => {
    for (let repetition = 0; repetition < 5; repetition++) {
      const ids = await Promise.all([create(0, 'ES256'), create(1, 'ES256')])
      const kids = [await activeAt(0, 'ES256'), await activeAt(1, 'ES256')]
      expect(kids[0]).toHaveLength(1)
      expect(kids[1]).toEqual(kids[0])
      for (const node of [0, 1]) expect((await published(node)).map(({ kid }: Key) => kid)).toContain(kids[0][0])
      // One node deletes the last one while the other creates the next one: the key is there, old or new.
      const [next] = await Promise.all([create(1, 'ES256'), ...ids.map((id) => removeClient(0, id))])
      await eventually(async () => {
        const now = [await activeAt(0, 'ES256'), await activeAt(1, 'ES256')]
        return now[0].length === 1 && now[0][0] === now[1][0]
      })
      await removeClient(0, next)
      expect(await activeAt(0, 'ES256')).toEqual([])
      await eventually(async () => (await activeAt(1, 'ES256')).length === 0)
    }
  })
})
