import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { type ChannelModel, type ConsumeMessage, connect } from 'amqplib'
import { DAY } from '../../services/kit/clock.ts'
import type { EventMessage } from '../../services/kit/outbox/events.ts'
import { InstanceInTime } from '../faults/instance-in-time.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { byOperator, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import { freePort } from '../support/servers/ports.ts'
import { WHOLE } from '../support/whole.ts'
import { type Broker, openBroker } from './rabbitmq.ts'

// Erlang starts slowly on a busy machine.
setDefaultTimeout(120_000)

const EXCHANGE = 'shop.events'
const QUEUE = 'everything'

let broker: Broker
beforeAll(async () => {
  broker = await openBroker()
})
afterAll(() => broker?.close())

/** Collects the messages of a queue. `open` connects, and connects again after a restart of the broker. */
class Consumer {
  readonly messages: ConsumeMessage[] = []
  private connection: ChannelModel | undefined

  constructor(private readonly url: string) {}

  async open(): Promise<void> {
    this.connection = await connect(this.url)
    this.connection.on('error', () => undefined)
    const channel = await this.connection.createChannel()
    channel.on('error', () => undefined)
    await channel.assertExchange(EXCHANGE, 'topic', { durable: true })
    await channel.assertQueue(QUEUE, { durable: true })
    await channel.bindQueue(QUEUE, EXCHANGE, 'user.*')
    await channel.consume(QUEUE, (message) => {
      if (!message) return
      this.messages.push(message)
      channel.ack(message)
    })
  }

  events(): EventMessage[] {
    return this.messages.map(({ content }) => JSON.parse(content.toString()))
  }

  async close(): Promise<void> {
    await this.connection?.close().catch(() => undefined)
  }
}

/** A proxy in front of the broker that counts the connections. */
async function countingProxy(port: number) {
  const counted = { open: 0, opened: 0, port: 0, close: () => void server.close() }
  const server = createServer((socket) => {
    counted.open++
    counted.opened++
    const behind = createConnection(port, '127.0.0.1')
    socket.pipe(behind).pipe(socket)
    for (const one of [socket, behind]) one.on('error', () => undefined)
    socket.on('close', () => {
      counted.open--
      behind.destroy()
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  counted.port = (server.address() as AddressInfo).port
  return counted
}

/** Changes of each user at a time. */
const ROUNDS = WHOLE ? 20 : 8

/** Removes the messages that arrived again, as at-least-once delivery allows. */
function withoutRepetitions(events: EventMessage[]): EventMessage[] {
  return [...new Map(events.map((event) => [event.id, event])).values()]
}

test('every event reaches the exchange, in order per user, while the broker and auth restart', async () => {
  const consumer = new Consumer(broker.url)
  await consumer.open()
  const system = await processes('apart', {
    AMQP_URL: broker.url,
    AMQP_EXCHANGE: EXCHANGE,
    RATE_LIMIT: 'off',
  })
  try {
    const email = newEmail()
    const users = await Promise.all(
      [email, ...Array.from({ length: 5 }, newEmail)].map(async (each) => {
        const body = { email: each, password: PASSWORD }
        return (await call(system.url.users, 'POST /api/v1/users', byOperator(body))).body.id as string
      }),
    )
    let round = 0
    /** Renames each user the given number of times. */
    const change = async (rounds: number) => {
      for (const last = round + rounds; round < last; ) {
        round++
        const name = `name ${round}`
        const changed = users.map((id) => call(system.url.users, `PATCH /api/v1/users/${id}`, byOperator({ name })))
        for (const { status } of await Promise.all(changed)) expect(status).toBe(200)
      }
    }
    await change(ROUNDS)
    await eventually(() => consumer.messages.length > 20)
    const streaming = change(ROUNDS)
    await broker.kill()
    await streaming
    // Nothing else is affected.
    expect((await logIn(system, email)).status).toBe(200)
    expect((await call(system.url.auth, 'GET /health')).status).toBe(200)
    await change(ROUNDS)
    await system.kill('auth')
    await change(5)
    await system.start('auth')
    await Promise.all([broker.start(), change(ROUNDS)])
    await consumer.open()
    await change(5)
    const names = Array.from({ length: round }, (_, at) => `name ${at + 1}`)
    const namesOf = (id: string) =>
      withoutRepetitions(consumer.events())
        .filter(({ data, type }) => data.user_id === id && type === 'user.updated')
        .map(({ data }) => (data.user as { name: string }).name)
    await eventually(() => users.every((id) => namesOf(id).length >= round)).catch(() => undefined)
    for (const id of users) {
      expect(namesOf(id)).toEqual(names)
      const types = consumer.events().filter(({ data }) => data.user_id === id)
      expect(types[0]?.type).toBe('user.created')
    }
    for (const [at, { fields, properties }] of consumer.messages.entries()) {
      const event = consumer.events()[at]
      expect([fields.exchange, fields.routingKey]).toEqual([EXCHANGE, event?.type as string])
      expect(properties).toMatchObject({
        messageId: event?.id,
        type: event?.type,
        contentType: 'application/json',
        deliveryMode: 2,
        timestamp: Math.floor(Date.parse(event?.timestamp ?? '') / 1000),
      })
    }
    // Events of sessions were published too, and no queue is bound to them.
    const deliveryCount = async (query: string) =>
      (await call(system.url.auth, `GET /api/v1/admin/webhooks/deliveries?${query}`, byOperator())).body.total
    await eventually(async () => (await deliveryCount('webhook=amqp&status=pending')) === 0)
    expect(await deliveryCount('webhook=amqp&status=dead')).toBe(0)
    expect(system.output()).toContain('"event":"amqp.lost"')
    expect(system.output()).not.toContain('guest')
  } finally {
    await system.stop()
    await consumer.close()
  }
})

test('the exchange exists before the first event; a broker that refuses is in the log, and keeps no connection open', async () => {
  const password = 'canary-of-the-broker'
  const wrong = new URL(broker.url)
  wrong.password = password
  const connection = await connect(broker.url)
  connection.on('error', () => undefined)
  const channel = await connection.createChannel()
  await channel.assertExchange('of.another.kind', 'direct', { durable: true })
  const proxy = await countingProxy(Number(new URL(broker.url).port))
  const settings: Record<string, string>[] = [
    { AMQP_URL: broker.url, AMQP_EXCHANGE: 'early.events' },
    { AMQP_URL: wrong.href },
    { AMQP_URL: `amqp://guest:guest@127.0.0.1:${proxy.port}`, AMQP_EXCHANGE: 'of.another.kind' },
  ]
  const systems = await Promise.all(settings.map((env) => processes('together', env)))
  try {
    const [good, refused, other] = systems.map((system) => system.output)
    await eventually(() => good?.().includes('"event":"amqp.connected"'))
    await channel.checkExchange('early.events')
    await eventually(() => refused?.().includes('"event":"amqp.lost","reason":"ACCESS-REFUSED"'))
    expect(refused?.()).not.toContain(password)
    await eventually(() => other?.().includes('"event":"amqp.lost","reason":"PRECONDITION-FAILED"'))
    await eventually(() => proxy.opened > 2)
    await eventually(() => proxy.open <= 1)
  } finally {
    await Promise.all(systems.map((system) => system.stop()))
    await connection.close()
    proxy.close()
  }
})

test('deliveries to a broker that is down for 7 days fail, and can be replayed', async () => {
  const password = 'canary-of-the-broker'
  const instance = new InstanceInTime({ AMQP_URL: `amqp://ch202:${password}@127.0.0.1:${freePort()}/shop` })
  await instance.start()
  try {
    const body = { email: newEmail(), password: PASSWORD }
    expect((await instance.ask('POST /api/v1/users', byOperator(body))).status).toBe(201)
    const delivery = async () => {
      const { body, text } = await instance.ask('GET /api/v1/admin/webhooks/deliveries?webhook=amqp', byOperator())
      expect(text).not.toContain(password)
      return body.items[0]
    }
    const tried = await eventually(async () => ((await delivery())?.tries > 1 ? await delivery() : undefined))
    expect(tried).toMatchObject({ status: 'pending', last_error: 'broker_away', last_status: null })
    await instance.pass(7 * DAY - 1000)
    expect(await delivery()).toMatchObject({ status: 'pending' })
    await instance.pass(60_000)
    await eventually(async () => (await delivery()).status === 'dead')
    const replayed = await instance.ask('POST /api/v1/admin/webhooks/replay', byOperator({ webhook: 'amqp' }))
    expect(replayed.body).toEqual({ replayed: 1 })
    expect(await delivery()).toMatchObject({ status: 'pending' })
  } finally {
    await instance.stop()
  }
})
