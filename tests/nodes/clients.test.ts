import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { type Answer, as, call } from '../support/http.ts'
import {
  askEachWithScope,
  assertionClaims,
  assertionFields,
  basic,
  createClient,
  each,
  newClientKey,
  newClientName,
  requestToken,
  signAssertion,
  tokenOf,
} from '../support/oauth/clients.ts'
import { keyServers } from '../support/servers/key-servers.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Check 52: clients over two nodes of auth on one database.

setDefaultTimeout(300_000)
const NODES = 2
const ISSUER = 'https://auth.example.org'

let nodes: AuthNodes
beforeAll(async () => {
  nodes = await startAuthNodes(NODES, { env: { OAUTH_PRIVATE_HOSTS: '127.0.0.1' } })
})
afterAll(() => nodes?.stop())

const at = (node: number) => ({ url: nodes.urlsOf(node) })
const operate = (node: number, request: string, body?: object): Promise<Answer> =>
  call(at(node).url.auth, request, { headers: as.operator, ...(body ? { body } : {}) })
/** Sends requests to both nodes at once. @returns the statuses, sorted */
const atBoth = async (count: number, send: (node: number) => Promise<Answer>) =>
  (await Promise.all(Array.from({ length: count }, (_, n) => send(n % NODES)))).map(({ status }) => status).sort()

describe('check 52: clients over two nodes', () => {
  const servers = keyServers()

  test('of 50 parallel uses of one assertion, one succeeds', async () => {
    for (let round = 0; round < 5; round++) {
      const key = await newClientKey()
      const { id } = await createClient(at(0), { jwks_uri: servers(key).url })
      const assertion = await signAssertion(key, assertionClaims(id, ISSUER))
      const statuses = await atBoth(50, (node) => requestToken(at(node), assertionFields(assertion)))
      expect(statuses).toEqual([200, ...Array(49).fill(401)])
    }
  })

  const ENDS: [name: string, end: (node: number, id: string) => Promise<Answer>][] = [
    ['disabled', (node, id) => operate(node, `PATCH /admin/clients/${id}`, { status: 'disabled' })],
    ['without its scopes', (node, id) => operate(node, `PATCH /admin/clients/${id}`, { scopes: [] })],
    ['deleted', (node, id) => operate(node, `DELETE /admin/clients/${id}`)],
  ]
  test.each(ENDS)(
    'tokens of a client that is %s at one node are refused by all services with the answer',
    async (_, end) => {
      for (let round = 0; round < 6; round++) {
        const client = await createClient(at(round), { scopes: ['introspect'] })
        const token = await tokenOf(at(round + 1), client)
        for (let node = 0; node < NODES; node++)
          expect(await askEachWithScope(at(node), token)).toEqual(each('insufficient_scope'))
        expect((await end(round % NODES, client.id)).status).toBeOneOf([200, 204])
        for (let node = 0; node < NODES; node++)
          expect(await askEachWithScope(at(node), token)).toEqual(each('token_revoked'))
        const answer = await requestToken(
          at(round + 1),
          { scope: 'introspect' },
          basic(client.id, client.client_secret),
        )
        expect(answer.status).toBeOneOf([400, 401])
      }
    },
  )

  test('a token that is revoked at one node is refused by all services with the answer', async () => {
    const client = await createClient(at(0))
    for (let round = 0; round < 6; round++) {
      const token = await tokenOf(at(round), client)
      expect((await call(at(round + 1).url.auth, 'POST /auth/revoke', { body: { token } })).status).toBe(200)
      for (let node = 0; node < NODES; node++)
        expect(await askEachWithScope(at(node), token)).toEqual(each('token_revoked'))
    }
  })

  test('a secret that is rotated at one node works at the other at once, and the ended one does not', async () => {
    const client = await createClient(at(0))
    const { body } = await operate(1, `POST /admin/clients/${client.id}/secret`, { only: true })
    const status = async (node: number, secret: string) =>
      (await requestToken(at(node), {}, basic(client.id, secret))).status
    expect([await status(0, body.client_secret), await status(0, client.client_secret)]).toEqual([200, 401])
  })

  test('of clients with one name that are created at once, one is', async () => {
    for (let round = 0; round < 5; round++) {
      const body = { name: newClientName() }
      expect(await atBoth(20, (node) => operate(node, 'POST /admin/clients', body))).toEqual([
        201,
        ...Array(19).fill(409),
      ])
    }
  })
})
