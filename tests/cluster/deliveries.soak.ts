import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { newEmail, registerUser, type TestUser } from '../support/actors.ts'
import { atOnce } from '../support/at-once.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { ScriptedMailServer } from '../support/servers/mail-server.ts'
import { receivers } from '../support/servers/receiver.ts'
import { ownSettings, runTool } from '../support/tool.ts'
import { type Cluster, cluster } from './cluster.ts'
import { type NoticeRecorder, recordNotices } from './notice-recorder.ts'

const USERS = Number(process.env.SOAK_USERS ?? 20)
/** Changes of each user. */
const CHANGES = 6

/** How often each value occurs, for the values that do not occur once. */
function notOnce(values: readonly string[]): string[] {
  return Object.entries(Object.groupBy(values, String)).flatMap(([value, list]) =>
    list?.length === 1 ? [] : [`${value} × ${list?.length}`],
  )
}

async function rowsIn(system: Cluster, service: 'auth' | 'users' | 'modules', table: string): Promise<number> {
  const [row] = await databaseRows<{ n: number }>(system, service, `SELECT count(*) AS n FROM ${table}`)
  return row?.n ?? 0
}

/** Renames users, the changes of one user one after the other, each at another node. @returns the names of each user */
async function rename(system: Cluster, users: readonly TestUser[], nodes: number): Promise<Map<string, string[]>> {
  const names = new Map(users.map(({ id }) => [id, [] as string[]]))
  await atOnce(users.length, async (at) => {
    const { id } = users[at] ?? { id: '' }
    for (let change = 0; change < CHANGES; change++) {
      const name = `Name ${change}`
      const url = system.at(((at + change) % nodes) + 1).url.users
      const answer = await call(url, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { name } })
      if (answer.status !== 200) throw new Error(answer.text)
      names.get(id)?.push(name)
    }
  })
  return names
}

describe.each([1, 3])('what %d nodes of each service send', (nodes) => {
  const mailServer = new ScriptedMailServer()
  let recorder: NoticeRecorder
  const receiver = receivers()
  const here = running(
    async (env = {}) => {
      const smtp = await mailServer.start()
      let auth = ''
      recorder = recordNotices(() => auth)
      const system = await cluster(
        { ...env, SMTP_URL: `smtp://127.0.0.1:${smtp}` },
        { nodes, settingsOf: (service) => (service === 'users' ? { AUTH_URL: recorder.url } : {}) },
      )
      auth = system.url.auth
      return system
    },
    { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' },
  )
  let users: TestUser[] = []
  beforeAll(async () => {
    users = await Promise.all(Array.from({ length: USERS }, () => registerUser(here.system)))
  })
  afterAll(async () => {
    mailServer.stop()
    await recorder?.stop()
  })

  test('one mail for each request of a reset', async () => {
    const requested = users.map(({ email }) => email)
    await atOnce(users.length, async (at) => {
      const { auth } = here.system.at((at % nodes) + 1).url
      const body = { email: requested[at] }
      const { status, text } = await call(auth, 'POST /api/v1/auth/password-reset-request', { body })
      if (status !== 202) throw new Error(text)
    })
    await eventually(async () => (await rowsIn(here.system, 'auth', 'mail_requests')) === 0)
    const sentTo = mailServer.messages.map(({ to }) => to)
    const missing = requested.filter((email) => !sentTo.includes(email))
    console.log(`figures: ${requested.length} reset requests, ${sentTo.length} mails, ${missing.length} missing mails`)
    expect({ doubled: notOnce(sentTo), missing }).toEqual({ doubled: [], missing: [] })
  })

  test('each event to a webhook once, those of a user in order', async () => {
    const to = receiver()
    const added = await call(here.system.at(1).url.auth, 'POST /api/v1/admin/webhooks', {
      headers: as.operator,
      body: { url: to.url, types: ['user.updated'] },
    })
    expect(added.status).toBe(201)
    const names = await rename(here.system, users, nodes)
    await eventually(() => new Set(to.received.map(({ id }) => id)).size >= USERS * CHANGES).catch(() => undefined)
    await eventually(async () => {
      const { body } = await call(here.system.url.auth, 'GET /api/v1/admin/webhooks/deliveries?status=pending', {
        headers: as.operator,
      })
      return body.items.length === 0
    })
    const doubled = notOnce(to.received.map(({ id }) => id))
    const ids = new Set<string>()
    const first = to.received.filter(({ id }) => !ids.has(id) && ids.add(id))
    const wrong: string[] = []
    for (const [user, expected] of names) {
      const arrived = first
        .map(({ message }) => message.data as { user_id?: string; user?: { id: string; name: string } })
        .flatMap(({ user: changed }) => (changed?.id === user ? [changed.name] : []))
      if (!Bun.deepEquals(arrived, expected)) wrong.push(arrived.join(' < '))
    }
    console.log(
      `figures: ${USERS * CHANGES} events, ${to.received.length} messages, ${USERS * CHANGES - ids.size} missing events, ` +
        `${doubled.length} doubled events, ${wrong.length} users without order`,
    )
    expect({ missing: USERS * CHANGES - ids.size, doubled, wrong }).toEqual({ missing: 0, doubled: [], wrong: [] })
  })

  test('each notice from users to auth once, those about a user in order', async () => {
    await eventually(async () => (await rowsIn(here.system, 'users', 'outbox')) === 0)
    recorder.forget()
    await rename(here.system, users, nodes)
    // A change of the email has one notice more.
    await atOnce(users.length, async (at) => {
      const { id } = users[at] ?? { id: '' }
      const url = here.system.at((at % nodes) + 1).url.users
      await call(url, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { email: newEmail() } })
    })
    await eventually(async () => (await rowsIn(here.system, 'users', 'outbox')) === 0)
    const { ids, versions } = recorder
    const unordered = [...versions].flatMap(([user, list]) =>
      list.every((version, at) => at === 0 || version >= (list[at - 1] ?? 0)) ? [] : [`${user}: ${list}`],
    )
    const records = [...versions.values()].reduce((sum, list) => sum + list.length, 0)
    console.log(
      `figures: ${USERS * (CHANGES + 1)} changes, ${records} records sent, ${ids.length} other notices, ` +
        `${notOnce(ids).length} doubled notices, ${unordered.length} users with an older record later`,
    )
    expect({ records, doubled: notOnce(ids), unordered }).toEqual({
      records: USERS * (CHANGES + 1),
      doubled: [],
      unordered: [],
    })
  })

  test('one chain of the audit, and copies at auth without a difference', async () => {
    const env = ownSettings(here.system.dataDir, { DATABASE_URL: here.system.database.adminUrl })
    const { stdout } = await runTool(['doctor', '--only', 'audit,cache,outbox', '-o', 'json'], { env })
    const items: { id: string; status: string; message: string }[] = JSON.parse(stdout).items
    expect(items.map(({ id }) => id)).toContain('audit.chain')
    expect(items.filter(({ status }) => status !== 'ok')).toEqual([])
    console.log(`figures: ${await rowsIn(here.system, 'auth', 'audit')} rows of the audit`)
  })
})
