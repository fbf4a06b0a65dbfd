import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually, PROMPT } from '../support/eventually.ts'
import { type Answer, as, call } from '../support/http.ts'
import { runStatements } from '../support/postgres/shared.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

/** `ENDS=300` runs the long measurement and prints its figures. */
const ENDS = Number(process.env.ENDS ?? (WHOLE ? 100 : 24))
const LONG = process.env.ENDS !== undefined
const V1 = '/api/v1'
const NODES = 3

setDefaultTimeout(Math.max(120_000, ENDS * 1000))

type Urls = ReturnType<AuthNodes['urlsOf']>

const operator = (url: string, request: string, body?: object) => {
  const [method, path] = request.split(' ')
  return call(url, `${method} ${V1}${path}`, { headers: as.operator, ...(body ? { body } : {}) })
}
const bearer = (url: string, { tokens }: TestUser, request: string) => {
  const [method, path] = request.split(' ')
  return call(url, `${method} ${V1}${path}`, { headers: as.bearer(tokens.access_token) })
}

/** Requests whose answer promises that the token is refused from then on. */
const CAUSES: Record<string, (urls: Urls, user: TestUser) => Promise<Answer>> = {
  'a logout': ({ auth }, user) => bearer(auth, user, 'POST /auth/logout'),
  'a logout everywhere': ({ auth }, user) => bearer(auth, user, 'POST /auth/logout-all'),
  'a session deleted': ({ auth }, user) => bearer(auth, user, `DELETE /auth/sessions/${user.tokens.session_id}`),
  'a token revoked': ({ auth }, { tokens }) =>
    call(auth, `POST ${V1}/auth/revoke`, { body: { token: tokens.refresh_token } }),
  'the sessions of a user revoked': ({ auth }, { id }) => operator(auth, `DELETE /auth/sessions?user_id=${id}`),
  'a user disabled': ({ users }, { id }) => operator(users, `PATCH /users/${id}`, { status: 'disabled' }),
  'roles changed': ({ users }, { id }) => operator(users, `PATCH /users/${id}`, { roles: ['USER', 'SALES'] }),
  'a password set': ({ users }, { id }) =>
    operator(users, `POST /users/${id}/set-password`, { new_password: 'quite another phrase' }),
  'a user deleted': ({ users }, { id }) => operator(users, `DELETE /users/${id}`),
}

/** Asks everyone about a token at once. @returns for each who accepts it */
async function acceptedBy(nodes: AuthNodes, { id, tokens }: TestUser, among: readonly number[]): Promise<string[]> {
  const headers = as.bearer(tokens.access_token)
  const { modules, users } = nodes.urlsOf(0)
  const answers = await Promise.all([
    ...among.flatMap((node) => {
      const { auth } = nodes.urlsOf(node)
      return [
        call(auth, `GET ${V1}/auth/sessions`, { headers }).then(({ status }) => (status < 300 ? `auth ${node}` : '')),
        call(auth, `POST ${V1}/auth/validate-token`, {
          headers: as.internal,
          body: { token: tokens.access_token },
        }).then(({ body }) => (body.valid === true ? `validate-token ${node}` : '')),
      ]
    }),
    call(users, `GET ${V1}/users/${id}`, { headers }).then(({ status }) => (status < 300 ? 'users' : '')),
    call(modules, `GET ${V1}/modules`, { headers })
      .then(({ status }) => (status < 300 ? 'modules' : ''))
      .catch(() => ''),
  ])
  return answers.filter(Boolean)
}

/** Registers a user. On a busy machine a database may take longer than a request may. */
function register(nodes: AuthNodes, node: number): Promise<TestUser> {
  return eventually(() => registerUser({ url: nodes.urlsOf(node) }).catch(() => undefined))
}

function figures(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(0)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`
}

const EVERY_NODE = Array.from({ length: NODES }, (_, node) => node)

describe('three nodes of auth on one database', () => {
  let nodes: AuthNodes
  beforeAll(async () => {
    nodes = await startAuthNodes(NODES)
  })
  afterAll(() => nodes?.stop())

  test('they sign with one key', async () => {
    const kids = await Promise.all(
      EVERY_NODE.map(async (node) => {
        const { body } = await call(nodes.urlsOf(node).auth, `GET ${V1}/.well-known/jwks.json`)
        return body.keys.map(({ kid }: { kid: string }) => kid)
      }),
    )
    expect(kids[0]).toHaveLength(1)
    expect(kids).toEqual(Array(NODES).fill(kids[0]))
  })

  test.each(sliced(Object.entries(CAUSES), 3))('no node and no service accepts a token after %s', async (name, end) => {
    const times: number[] = []
    const accepted: { round: number; by: string[]; output: string }[] = []
    const printed = nodes.output().length
    await atOnce(ENDS, async (round) => {
      const user = await eventually(async () => {
        const one = await register(nodes, round + 1)
        // A token in the memory of a node is checked again for its revocation only.
        await eventually(async () => (await acceptedBy(nodes, one, EVERY_NODE)).length === 2 * NODES + 2)
        const sentAt = performance.now()
        const { status } = await end(nodes.urlsOf(round), one)
        if (status === 503) return undefined
        times.push(performance.now() - sentAt)
        expect(status).toBeWithin(200, 205)
        return one
      })
      const by = await acceptedBy(nodes, user, EVERY_NODE)
      if (by.length > 0) accepted.push({ round, by, output: nodes.output().slice(printed) })
    })
    // A service that a busy machine has cut off from auth decides by what it knows (contract 5), and says so.
    const isCutOff = ({ by, output }: (typeof accepted)[number]) =>
      by.every((name) => name === 'users' || name === 'modules') && output.includes('feed.lost')
    expect(accepted.filter((one) => !isCutOff(one))).toEqual([])
    expect(Math.max(...times)).toBeLessThan(PROMPT)
    if (LONG) console.log(`${ENDS} × ${name}: 0 accepted; ${figures(times)}`)
  })

  test('while a node freezes again and again and a service is killed, ends are answered, and nobody accepts a token', async () => {
    const frozen = nodes.processes.nodes[2]
    let isOver = false
    const freeze = async () => {
      while (!isOver) {
        frozen?.kill('SIGSTOP')
        await Bun.sleep(1500)
        frozen?.kill('SIGCONT')
        await Bun.sleep(700)
      }
    }
    const times: number[] = []
    const accepted: unknown[] = []
    const users: TestUser[] = []
    await atOnce(Math.min(ENDS, 100), async () => void users.push(await register(nodes, 0)))
    for (const one of users) await acceptedBy(nodes, one, EVERY_NODE)
    const freezing = freeze()
    await atOnce(users.length, async (round) => {
      if (round === 10) nodes.processes.modules.kill('SIGKILL')
      const one = users[round] as TestUser
      const sentAt = performance.now()
      const { status } = await bearer(nodes.urlsOf(round % 2).auth, one, 'POST /auth/logout')
      if (status === 503) return
      times.push(performance.now() - sentAt)
      expect(status).toBe(204)
      // The request to the frozen node arrives while it is frozen, and is answered when it continues.
      const by = await acceptedBy(nodes, one, EVERY_NODE)
      if (by.length > 0) accepted.push({ round, by })
    })
    isOver = true
    await freezing
    expect(accepted).toEqual([])
    expect(times).not.toBeEmpty()
    expect(Math.max(...times)).toBeLessThan(PROMPT)
    if (LONG) console.log(`frozen and killed: ${figures(times)}`)
  })

  test('a rotated key verifies on every node before it signs, and signs on every node', async () => {
    const rotated = await operator(nodes.urlsOf(0).auth, 'POST /admin/keys/rotate?now=true')
    expect(rotated.status).toBe(201)
    for (const node of EVERY_NODE) {
      const { tokens } = await register(nodes, node)
      const [header = ''] = tokens.access_token.split('.')
      expect(JSON.parse(Buffer.from(header, 'base64url').toString()).kid).toBe(rotated.body.kid)
      for (const other of EVERY_NODE) {
        const { auth } = nodes.urlsOf(other)
        const { body } = await call(auth, `POST ${V1}/auth/validate-token`, {
          headers: as.internal,
          body: { token: tokens.access_token },
        })
        expect([node, other, body.valid]).toEqual([node, other, true])
      }
    }
  })

  test('a webhook that one node adds counts at every node when it is answered', async () => {
    const subscribedTypes = async (node: number) => {
      const query = new URLSearchParams({ follower: `test-${node}`, after: '0', epoch: '' })
      const { body } = await call(nodes.urlsOf(node).auth, `GET ${V1}/auth/revocations?${query}`, {
        headers: as.internal,
      })
      return body.wanted
    }
    expect(await Promise.all(EVERY_NODE.map(subscribedTypes))).toEqual(EVERY_NODE.map(() => []))
    const webhook = { url: 'https://shop.example.org/hook', types: ['module.enabled'] }
    const added = await operator(nodes.urlsOf(1).auth, 'POST /admin/webhooks', webhook)
    expect(added.status).toBe(201)
    expect(await Promise.all(EVERY_NODE.map(subscribedTypes))).toEqual(EVERY_NODE.map(() => webhook.types))
    await operator(nodes.urlsOf(2).auth, `DELETE /admin/webhooks/${added.body.id}`)
    expect(await Promise.all(EVERY_NODE.map(subscribedTypes))).toEqual(EVERY_NODE.map(() => []))
  })

  test('a removed key verifies nowhere when it is answered', async () => {
    const user = await register(nodes, 1)
    const [header = ''] = user.tokens.access_token.split('.')
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
    expect((await operator(nodes.urlsOf(2).auth, `DELETE /admin/keys/${kid}`)).status).toBe(204)
    expect(await acceptedBy(nodes, user, EVERY_NODE)).toEqual([])
    for (const node of EVERY_NODE) {
      const next = await register(nodes, node)
      expect(await acceptedBy(nodes, next, EVERY_NODE)).toHaveLength(2 * NODES + 1)
    }
  })

  test('a node that stops leaves the feed, and one that is killed is removed from it', async () => {
    const subscribers = async () => {
      const rows = await runStatements(nodes.databaseUrl, "SELECT name FROM auth.subscribers WHERE name LIKE 'auth-%'")
      return rows.length
    }
    expect(await subscribers()).toBe(NODES)
    const [, stopped, killed] = nodes.processes.nodes
    stopped?.kill('SIGTERM')
    await stopped?.exited
    expect(await subscribers()).toBe(NODES - 1)
    killed?.kill('SIGKILL')
    await eventually(async () => {
      const user = await register(nodes, 0)
      await bearer(nodes.urlsOf(0).auth, user, 'POST /auth/logout')
      return (await subscribers()) === 1
    })
  })
})
