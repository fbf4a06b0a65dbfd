import { afterEach, beforeEach, expect, test } from 'bun:test'
import { openAuthStore } from '../../db/auth/store.ts'
import { MailQueue } from '../../services/auth/mail/queue.ts'
import type { AuthStore, MailRequest } from '../../services/auth/store/index.ts'
import { systemClock } from '../../services/kit/clock.ts'
import { silentLog } from '../../services/kit/log.ts'
import { eventually } from '../support/eventually.ts'
import { newDatabaseConfig } from '../support/postgres/shared.ts'
import { type TestNode, testNode } from './cluster.ts'

// Several nodes in one process, each with a store and a queue of mails of its own, on one database.

type Node = TestNode<AuthStore> & { opened: AuthStore; mails: MailQueue }

let config: Awaited<ReturnType<typeof newDatabaseConfig>>
let all: Node[] = []
/** How often the server of mails got each, by the address. */
let sent: Map<string, number>
let senders: Set<string>
/** Stands in for the mail server: a test sets what happens to each mail. */
let serve: (node: Node, to: string) => Promise<void>

async function openNode(): Promise<Node> {
  const opened = await openAuthStore(config)
  const node = { ...(await testNode(`node ${all.length}`, opened)), opened } as Node
  const compose = async ({ email }: MailRequest) => ({ to: email, subject: 'A mail', text: 'It says this.', html: '' })
  node.mails = new MailQueue({
    store: node.store,
    nodes: node.nodes,
    clock: systemClock,
    log: silentLog,
    mailer: {
      async send({ to }) {
        await node.running()
        await serve(node, to)
        sent.set(to, (sent.get(to) ?? 0) + 1)
        senders.add(node.name)
        await node.running()
      },
      close: () => undefined,
    },
    compose,
  })
  await node.nodes.start()
  node.mails.start()
  all.push(node)
  return node
}

let count = 0
async function ask(node: Node): Promise<string> {
  const id = `mail-${count++}`
  const email = `${id}@example.org`
  await node.mails.add({
    id,
    kind: 'password_reset',
    email,
    userId: null,
    locale: null,
    data: {},
    requestedAt: Date.now(),
    ip: null,
    requestId: null,
  })
  return email
}

const noneWaiting = () => eventually(async () => (await all.at(-1)?.opened.waitingMails())?.count === 0)

beforeEach(async () => {
  config = await newDatabaseConfig()
  sent = new Map()
  senders = new Set()
  serve = () => Bun.sleep(Math.random() * 5)
})
afterEach(async () => {
  for (const node of all) node.thaw()
  await Promise.all(all.map(({ mails }) => mails.stop()))
  await Promise.all(all.map(({ nodes }) => nodes.stop()))
  for (const { opened } of all) await opened.close()
  all = []
})

test('each mail is sent once, whichever node was asked for it', async () => {
  const nodes = [await openNode(), await openNode(), await openNode()]
  const emails = await Promise.all(Array.from({ length: 60 }, (_, index) => ask(nodes[index % 3] as Node)))
  await noneWaiting()
  expect([...sent].toSorted()).toEqual(emails.map((email): [string, number] => [email, 1]).toSorted())
  expect(senders.size).toBe(3)
})

test('the mails of a node that dies before it sent them are sent by another, once', async () => {
  const [first] = [await openNode(), await openNode()]
  const begun = Promise.withResolvers<void>()
  serve = async (node) => {
    if (node !== first) return
    first.freeze()
    begun.resolve()
    await node.running()
  }
  const email = await ask(first)
  await begun.promise
  await eventually(() => sent.get(email) === 1)
  await eventually(async () => (await all[1]?.opened.waitingMails())?.count === 0)
  expect([...senders]).toEqual(['node 1'])
})

test('a mail whose node dies between the success and its record is sent twice, and never a third time', async () => {
  const [first] = [await openNode(), await openNode()]
  const email = await ask(first)
  serve = async (node) => {
    if (node === first) first.freeze()
  }
  await eventually(() => sent.get(email) === 2)
  serve = async () => undefined
  first.thaw()
  await eventually(() => first.nodes.isSure())
  await noneWaiting()
  await ask(first)
  await noneWaiting()
  expect(sent.get(email)).toBe(2)
})

test('a mail that an operator has sent again on another node is sent by that one, once', async () => {
  const [first, second] = [await openNode(), await openNode()]
  let isDown = true
  serve = async () => {
    if (isDown) throw new Error('The server is gone')
  }
  const email = await ask(first)
  const mail = () => second.opened.mailById(email.replace('@example.org', ''))
  await eventually(async () => (await mail())?.tries === 1)
  // Long after the next attempt of the first node would be due, if it were the one that sends it.
  await first.opened.postponeMailRequest((await mail())?.id ?? '', Date.now() + 3_600_000, 'deferred')
  isDown = false
  const event = { id: crypto.randomUUID(), at: 1, type: 'mail.retried', userId: null, actor: 'operator' }
  await second.opened.retryMail((await mail())?.id ?? '', false, Date.now(), {
    ...event,
    ip: null,
    requestId: null,
    detail: {},
  })
  second.mails.wake()
  await eventually(() => sent.get(email) === 1)
  await eventually(async () => (await mail())?.status === 'sent')
  expect([...senders]).toEqual(['node 1'])
})

test('a failure of a node that lost the mail does not postpone it for the node that has it', async () => {
  const [first, second] = [await openNode(), await openNode()]
  const begun = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  serve = async (node) => {
    if (node === first) {
      first.freeze()
      await node.running()
      throw new Error('The server is gone')
    }
    begun.resolve()
    await released.promise
  }
  await ask(first)
  await begun.promise
  first.thaw()
  await eventually(() => first.nodes.isSure())
  await Bun.sleep(300)
  const [row] = await second.opened.mailRequestsDue(Date.now(), Number.MAX_SAFE_INTEGER, 9)
  expect(row?.tries).toBe(0)
  released.resolve()
  await noneWaiting()
  expect([...sent.values()]).toEqual([1])
})
