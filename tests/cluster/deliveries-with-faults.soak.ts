import { afterAll, describe, expect, test } from 'bun:test'
import type { EventMessage } from '../../services/kit/outbox/events.ts'
import { openBroker } from '../processes/rabbitmq.ts'
import { registerUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call, type Options } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { ScriptedMailServer } from '../support/servers/mail-server.ts'
import { receivers } from '../support/servers/receiver.ts'
import { ownSettings, runTool } from '../support/tool.ts'
import { type Cluster, cluster } from './cluster.ts'
import { Consumer } from './consumer.ts'
import { FAULTS, Faults } from './faults.ts'

const USERS = Number(process.env.SOAK_USERS ?? 20)
const EXCHANGE = 'cluster.events'

async function rowsIn(system: Cluster, service: 'auth' | 'users', table: string): Promise<number> {
  const [row] = await databaseRows<{ n: number }>(system, service, `SELECT count(*) AS n FROM ${table}`)
  return row?.n ?? 0
}

/** Faults of each kind while events, mails and notices are sent. */
const FAULTS_EACH = Number(process.env.SOAK_FAULTS ?? 4)
/** Deliveries that a node may have under way when it dies: 4 to a webhook and 32 to the broker. */
const UNDER_WAY = { webhook: 4, broker: 32 }

/** The names of each user in their order, without those that came again. */
function namesOf(messages: readonly EventMessage[], user: string): string[] {
  const first = new Map(messages.map((message) => [message.id, message]))
  return [...first.values()].flatMap(({ data }) => {
    const { user: changed } = data as { user?: { id: string; name: string } }
    return changed?.id === user ? [changed.name] : []
  })
}

describe('what three nodes of each service send while nodes and the database have faults', () => {
  const mailServer = new ScriptedMailServer()
  const receiver = receivers()
  let broker: Awaited<ReturnType<typeof openBroker>>
  const here = running(
    async (env = {}) => {
      broker = await openBroker()
      const smtp = await mailServer.start()
      const more = { SMTP_URL: `smtp://127.0.0.1:${smtp}`, AMQP_URL: broker.url, AMQP_EXCHANGE: EXCHANGE }
      return await cluster({ ...env, ...more }, { lines: true })
    },
    { RATE_LIMIT: 'off', LOG_LEVEL: 'silent' },
  )
  afterAll(async () => {
    mailServer.stop()
    await broker?.close()
  })

  test('arrives: nothing is missing, events of a user are in order, and the audit is one chain', async () => {
    const { system } = here
    const to = receiver()
    const consumer = new Consumer(broker.url, EXCHANGE, 'user.updated')
    await consumer.open()
    const body = { url: to.url, types: ['user.updated'] }
    await call(system.at(1).url.auth, 'POST /api/v1/admin/webhooks', { headers: as.operator, body })
    const users = await Promise.all(Array.from({ length: USERS }, () => registerUser(system)))
    const faults = new Faults(system)
    let isOver = false
    /** Sends a request until it is answered. A request that was answered with 503 may have had its effect. */
    const untilAnswered = async (service: 'auth' | 'users', request: string, options: Options) => {
      for (let attempt = Math.floor(Math.random() * 3); ; attempt++) {
        const answer = await call(faults.healthy(service, attempt).url, request, options).catch(() => undefined)
        if (answer && answer.status < 500) return { answer, attempts: attempt }
        repeated++
        await Bun.sleep(50)
      }
    }
    let repeated = 0
    const names = new Map(users.map(({ id }) => [id, [] as string[]]))
    const renaming = users.map(async ({ id }) => {
      for (let change = 0; !isOver; change++) {
        const name = `Name ${change}`
        const { answer } = await untilAnswered('users', `PATCH /api/v1/users/${id}`, {
          headers: as.operator,
          body: { name },
        })
        if (answer.status !== 200) throw new Error(answer.text)
        names.get(id)?.push(name)
        await Bun.sleep(100)
      }
    })
    // A new user for each mail: one that was requested twice, because the first answer was lost, may come twice.
    const mailed = new Map<string, number>()
    const mailing = (async () => {
      while (!isOver) {
        const user = await registerUser({
          url: { auth: faults.healthy('auth', mailed.size).url },
        }).catch(() => undefined)
        if (!user) continue
        const before = repeated
        await untilAnswered('auth', 'POST /api/v1/auth/password-reset-request', { body: { email: user.email } })
        // Others repeat their requests too, so this is the most that may have had an effect.
        mailed.set(user.email, 1 + repeated - before)
        await Bun.sleep(100)
      }
    })()
    for (let round = 0; round < FAULTS_EACH; round++)
      for (const kind of FAULTS) {
        await faults.once(kind)
        await Bun.sleep(500)
      }
    isOver = true
    await Promise.all([...renaming, mailing])
    const happened = [...faults.counts].map(([kind, times]) => `${times} × ${kind}`).join(', ')
    const changes = [...names.values()].reduce((sum, { length }) => sum + length, 0)
    await eventually(async () => {
      const { body } = await call(system.url.auth, 'GET /api/v1/admin/webhooks/deliveries?status=pending', {
        headers: as.operator,
      })
      return body.items?.length === 0 && (await rowsIn(system, 'users', 'outbox')) === 0
    })
    await eventually(async () => (await rowsIn(system, 'auth', 'mail_requests')) === 0)
    await eventually(() =>
      users.every(({ id }) => namesOf(consumer.events(), id).length >= (names.get(id)?.length ?? 0)),
    ).catch(() => undefined)
    const lists = { webhook: to.received.map(({ message }) => message), broker: consumer.events() }
    const wrong: string[] = []
    for (const [target, messages] of Object.entries(lists)) {
      for (const { id } of users)
        if (!Bun.deepEquals(namesOf(messages, id), names.get(id)))
          wrong.push(`${target}: ${namesOf(messages, id).join(' < ')} of ${names.get(id)?.length}`)
      const again = messages.length - new Set(messages.map(({ id }) => id)).size
      console.log(`${target}: ${messages.length} messages, ${again} of them again`)
      expect(again).toBeLessThanOrEqual(2 * FAULTS.length * FAULTS_EACH * UNDER_WAY[target as keyof typeof UNDER_WAY])
    }
    const sentTo = Object.groupBy(
      mailServer.messages.map(({ to: address }) => address),
      String,
    )
    const missing = [...mailed.keys()].filter((email) => !sentTo[email])
    const twice = [...mailed].filter(([email, most]) => (sentTo[email]?.length ?? 0) > most).length
    console.log(`while ${happened}: ${mailed.size} mails, ${twice} of them again`)
    console.log(
      `figures: ${changes} events with faults, ${wrong.length} users without order, ${missing.length} missing mails, ` +
        `${repeated} repeated requests`,
    )
    expect({ wrong: wrong.slice(0, 5), missing }).toEqual({ wrong: [], missing: [] })
    const env = ownSettings(system.dataDir, { DATABASE_URL: system.database.adminUrl })
    const { stdout } = await runTool(['doctor', '--only', 'audit,cache,outbox', '-o', 'json'], { env })
    const items: { id: string; status: string }[] = JSON.parse(stdout).items
    expect(items.map(({ id }) => id)).toContain('audit.chain')
    expect(items.filter(({ status }) => status !== 'ok')).toEqual([])
    await consumer.close()
  }, 1_800_000)
})
