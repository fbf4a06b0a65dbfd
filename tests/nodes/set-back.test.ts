import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, awaitReadiness, call } from '../support/http.ts'
import { runStatements } from '../support/postgres/shared.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// A failover without synchronous replication: the new primary lacks the last transactions. Here the rows of the feed are
// set back while the services run, so that numbers that they have read are given again.

const LOST = 5
const REPETITIONS = 8
setDefaultTimeout(180_000)

let nodes: AuthNodes

beforeAll(async () => {
  nodes = await startAuthNodes(2)
})
afterAll(() => nodes?.stop())

const bearer = ({ tokens }: TestUser) => ({ headers: as.bearer(tokens.access_token) })

async function logOut(node: number, user: TestUser): Promise<void> {
  expect((await call(nodes.urlsOf(node).auth, 'POST /auth/logout', bearer(user))).status).toBe(204)
}

async function register(count: number): Promise<TestUser[]> {
  return await Promise.all(Array.from({ length: count }, () => registerUser({ url: nodes.urlsOf(0) })))
}

/** Asks each node and service with a token. */
async function statusesOf(user: TestUser): Promise<number[]> {
  const requests = [
    [nodes.urlsOf(0).auth, 'GET /auth/me'],
    [nodes.urlsOf(1).auth, 'GET /auth/me'],
    [nodes.urlsOf(0).users, `GET /users/${user.id}`],
    [nodes.urlsOf(0).modules, 'GET /modules'],
  ] as const
  return await Promise.all(requests.map(async ([base, request]) => (await call(base, request, bearer(user))).status))
}

const allReady = async () => {
  for (const node of [0, 1]) {
    const urls = nodes.urlsOf(node)
    await awaitReadiness({ url: Object.fromEntries(SERVICES_WITH_DATABASE.map((name) => [name, urls[name]])) })
  }
}

/** @returns a function that sets the feed back to this moment, in one transaction */
async function rememberFeed(): Promise<() => Promise<unknown>> {
  const counter = "name = 'last_revocation'"
  const [row] = (await runStatements(nodes.databaseUrl, `SELECT value FROM auth.facts WHERE ${counter}`)) as [
    { value: string },
  ]
  const { value } = row
  return () =>
    runStatements(
      nodes.databaseUrl,
      `WITH removed AS (DELETE FROM auth.revocations WHERE seq > ${value} RETURNING 1)
       UPDATE auth.facts SET value = '${value}' WHERE ${counter} AND (SELECT count(*) FROM removed) >= ${LOST}`,
    )
}

async function loseLogouts(): Promise<() => Promise<unknown>> {
  const lost = await register(LOST)
  const setBack = await rememberFeed()
  for (const user of lost) await logOut(0, user)
  return setBack
}

test('nodes and services that read what was lost refuse a token whose session ends afterwards', async () => {
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    await allReady()
    const [user] = (await register(1)) as [TestUser]
    const setBack = await loseLogouts()
    expect(await statusesOf(user)).toEqual([200, 200, 200, 200])
    await setBack()
    await logOut(repetition % 2, user)
    expect(await statusesOf(user)).toEqual([401, 401, 401, 401])
  }
})

test('so do those that stood still meanwhile', async () => {
  await allReady()
  const [first, second] = (await register(2)) as [TestUser, TestUser]
  // As many as are lost, and more: the numbers pass those that the others have read.
  const more = await register(LOST + 1)
  const setBack = await loseLogouts()
  const frozen = [nodes.processes.nodes[1], nodes.processes.users, nodes.processes.modules]
  for (const child of frozen) child?.kill('SIGSTOP')
  await setBack()
  await logOut(0, first)
  for (const user of more) await logOut(0, user)
  await logOut(0, second)
  for (const child of frozen) child?.kill('SIGCONT')
  for (const user of [first, second]) expect(await statusesOf(user)).toEqual([401, 401, 401, 401])
})

test('a module gate that has read a lost choice begins with the first one', async () => {
  await allReady()
  const { modules } = nodes.urlsOf(0)
  const module = { id: 'set-back', name: 'Set back', description: '' }
  expect((await call(modules, 'POST /modules', { headers: as.operator, body: module })).status).toBe(201)
  const [first, lost] = (await register(2)) as [TestUser, TestUser]
  const enable = async (user: TestUser) =>
    expect((await call(modules, `POST /modules/${module.id}/enable`, bearer(user))).status).toBe(200)
  const poll = async (after: number, epoch: string) => {
    const query = new URLSearchParams({ follower: 'gate', module: 'set-back', after: String(after), epoch })
    const request = `GET /modules/sync/feed?${query}`
    return (await call(modules, request, { headers: as.internal })).body
  }
  await enable(first)
  const before = await poll(0, '')
  await enable(lost)
  const ahead = await poll(before.seq, before.epoch)
  expect(ahead.choices).toEqual([{ user: lost.id, enabled: true }])
  await runStatements(
    nodes.databaseUrl,
    `DELETE FROM modules.choices WHERE user_id = '${lost.id}'`,
    `DELETE FROM modules.choice_changes WHERE seq > ${before.seq}`,
    `UPDATE modules.feed SET seq = ${before.seq}`,
  )
  const page = await eventually(async () => {
    const answer = await poll(ahead.seq, ahead.epoch)
    return answer.reset ? answer : undefined
  })
  expect([page.seq, page.choices]).toEqual([before.seq, [{ user: first.id, enabled: true }]])
})
