import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { emptyResponse, type Receiver, receivers } from '../support/servers/receiver.ts'
import { type AuthNodes, startAuthNodes } from './auth-processes.ts'

// Webhooks that are changed at one node of auth, while events happen at others.

const COUNT = 3
const EVENTS = 20
setDefaultTimeout(180_000)

const open = receivers()
let nodes: AuthNodes

beforeAll(async () => {
  nodes = await startAuthNodes(COUNT)
})
afterAll(() => nodes?.stop())

const at = (node: number) => ({ url: nodes.urlsOf(node) })

async function addWebhook(node: number, { url }: Receiver, types = ['session.created']): Promise<string> {
  const body = { url, types }
  const answer = await call(nodes.urlsOf(node).auth, 'POST /admin/webhooks', { headers: as.operator, body })
  expect(answer.status).toBe(201)
  return answer.body.id
}

/** Makes an event at a node. @returns the id of the session that it is about */
async function logInAt(node: number, { email }: TestUser): Promise<string> {
  const answer = await logIn(at(node), email)
  expect(answer.status).toBe(200)
  return answer.body.session_id
}

const sessionsIn = ({ received }: Receiver) => received.map(({ message }) => String(message.data.session_id))

test('a webhook gets the events of every node from the moment of its creation, whichever node created it, each once', async () => {
  const users = await Promise.all(Array.from({ length: COUNT }, (_, node) => registerUser(at(node))))
  for (let node = 0; node < COUNT; node++) {
    const receiver = open()
    const id = await addWebhook(node, receiver)
    const events = users.flatMap((user) => Array.from({ length: COUNT }, (_, other) => logInAt(other, user)))
    const sessions = await Promise.all(events)
    await receiver.has(sessions.length)
    await call(nodes.urlsOf(node).auth, `DELETE /admin/webhooks/${id}`, { headers: as.operator })
    expect(sessionsIn(receiver).toSorted()).toEqual(sessions.toSorted())
  }
})

test.each([
  ['deleted', (id: string, node: number) => change('DELETE', id, node)],
  ['disabled', (id: string, node: number) => change('PATCH', id, node, { status: 'disabled' })],
] as const)('a webhook that is %s at one node gets nothing more from any node', async (_, end) => {
  const user = await registerUser(at(0))
  const ended = open(() => emptyResponse(500))
  const control = open(() => emptyResponse(500))
  const id = await addWebhook(0, ended)
  await addWebhook(1, control)
  const pending = await Promise.all(Array.from({ length: EVENTS }, (_, number) => logInAt(number % COUNT, user)))
  await ended.has(1)
  await control.has(1)
  await end(id, 2)
  // An attempt that had begun may arrive later. A user has one at a time.
  const before = ended.received.length + 1
  const later = await Promise.all(Array.from({ length: EVENTS }, (_, number) => logInAt(number % COUNT, user)))
  // The other webhook shows that both kinds of attempts are made meanwhile: the first of later events, and repeated ones.
  await eventually(() => {
    const sessions = sessionsIn(control)
    const isRepeated = pending.some((session) => sessions.indexOf(session) < sessions.lastIndexOf(session))
    return later.every((session) => sessions.includes(session)) && isRepeated
  })
  expect(ended.received.length).toBeLessThanOrEqual(before)
  expect(sessionsIn(ended).filter((session) => later.includes(session))).toEqual([])
})

async function change(method: string, id: string, node: number, body?: object): Promise<void> {
  const answer = await call(nodes.urlsOf(node).auth, `${method} /admin/webhooks/${id}`, { headers: as.operator, body })
  expect([200, 204]).toContain(answer.status)
}

// The last test: it kills a node.
test('a webhook whose node dies right after its creation gets the events of the other nodes, each once', async () => {
  const dead = COUNT - 1
  const receiver = open()
  const users = await Promise.all(Array.from({ length: dead }, (_, node) => createUser(at(node))))
  const id = await addWebhook(dead, receiver)
  nodes.processes.nodes[dead]?.kill('SIGKILL')
  const events = users.flatMap((user) => Array.from({ length: EVENTS }, (_, number) => logInAt(number % dead, user)))
  const sessions = await Promise.all(events)
  await receiver.has(sessions.length)
  await eventually(async () => {
    const path = `GET /admin/webhooks/deliveries?webhook=${id}&status=pending`
    return (await call(nodes.urlsOf(0).auth, path, { headers: as.operator })).body.items.length === 0
  })
  expect(sessionsIn(receiver).toSorted()).toEqual(sessions.toSorted())
})
