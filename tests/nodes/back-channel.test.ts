import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { SQL } from 'bun'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { logoutReceiver, logoutRows, verifyLogout } from '../support/servers/logout-receiver.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Contract 16: notices to apps over two nodes of auth on one database.

setDefaultTimeout(300_000)
const NODES = 2
const USERS = 12

let nodes: AuthNodes
beforeAll(async () => {
  nodes = await startAuthNodes(NODES, { env: { OAUTH_PRIVATE_HOSTS: '127.0.0.1' } })
})
afterAll(() => nodes?.stop())

const receiver = logoutReceiver()
const at = (node: number) => ({ url: nodes.urlsOf(node) })
/** Signs users in to an app. */
const signIn = async (app: Awaited<ReturnType<typeof createApp>>) => {
  const users = []
  for (let n = 0; n < USERS; n++) {
    const user = await registerUser(at(n))
    await tokensFor(at(n), user.tokens.access_token, app)
    users.push(user)
  }
  return users
}
const logOut = (node: number, { tokens }: { tokens: { access_token: string } }) =>
  call(at(node).url.auth, 'POST /auth/logout', { headers: as.bearer(tokens.access_token), body: {} })
const toldOf = (id: string, node = 1) => eventually(async () => (await logoutRows(at(node), id)).length === 1)

test('sessions that end at either node: an app is told of each once', async () => {
  const app = await createApp(at(0), { backchannel_logout_uri: `${receiver.url}/` })
  const users = await signIn(app)
  await Promise.all(users.map((user, n) => logOut(n, user)))
  for (const { id } of users) await toldOf(id)
  for (const { id } of users) {
    const [received, ...others] = receiver.about(id)
    expect(others).toEqual([])
    await verifyLogout(at(1), received?.token ?? '', 'https://auth.example.org', app.id)
  }
})

/** The node that sends. */
async function sendingNode(): Promise<number> {
  const sql = new SQL(nodes.databaseUrl)
  const rows = await sql`SELECT process FROM auth.nodes JOIN auth.leases ON owner = nodes.name
    WHERE leases.name = 'client logouts'`
  await sql.close()
  return nodes.processes.nodes.findIndex(({ pid }) => rows[0].process.endsWith(`:${pid}`))
}

test('the other node sends what a node that was killed did not', async () => {
  const app = await createApp(at(0), { backchannel_logout_uri: `${receiver.url}/` })
  const users = await signIn(app)
  receiver.answers = () => new Response(null, { status: 503 })
  const killed = await sendingNode()
  expect(killed).toBeOneOf([0, 1])
  await Promise.all(users.map((user) => logOut(killed, user)))
  await eventually(() => users.some(({ id }) => receiver.about(id).length > 0))
  nodes.processes.nodes[killed]?.kill('SIGKILL')
  receiver.answers = () => new Response()
  for (const { id } of users) await toldOf(id, 1 - killed)
})
