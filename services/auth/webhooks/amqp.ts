import type { ChannelModel, ConfirmChannel } from 'amqplib'
import { SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { type Event, messageOf } from '../../kit/outbox/events.ts'
import type { Delivery } from '../store/index.ts'
import { type Outcome, rest } from './deliverer.ts'

/** A broker that says nothing for so long is away. */
const PATIENCE = 10 * SECOND
const HEARTBEAT_SECONDS = 10
const FIRST_PAUSE = SECOND / 4
const LONGEST_PAUSE = 15 * SECOND
/** How long a stop waits for a broker that says nothing. */
const STOP_PATIENCE = SECOND

interface Connection {
  model: ChannelModel
  channel: ConfirmChannel
}

/** Publishes events to a topic exchange of a message broker (AMQP 0-9-1), over one connection that it opens again. */
export class AmqpPublisher {
  private connection: Promise<Connection> | undefined
  private closed = false
  private readonly closing = Promise.withResolvers<void>()
  private away = false

  constructor(private readonly options: { url: string; exchange: string; log: Log }) {}

  /** Connects before there is anything to send, so that who waits for the first event finds the exchange to bind to. */
  async begin(): Promise<void> {
    for (let pause = FIRST_PAUSE; !this.closed; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      const connection = this.open()
      try {
        await connection
        return
      } catch (error) {
        this.lost(connection, error)
      }
      await rest(pause, this.closing.promise)
    }
  }

  /** Resolves when the broker has confirmed it, or did not: then the connection is given up. */
  async send({ event }: Delivery): Promise<Outcome> {
    const connection = this.open()
    try {
      await this.publish((await connection).channel, event)
      return { delivered: true, status: null }
    } catch (error) {
      this.lost(connection, error)
      return { delivered: false, status: null, error: 'broker_away', retryIn: 0, unreachable: true }
    }
  }

  async close(): Promise<void> {
    this.closed = true
    this.closing.resolve()
    const closed = this.connection?.then(({ model }) => model.close()).catch(() => undefined)
    this.connection = undefined
    if (closed) await rest(STOP_PATIENCE, closed)
  }

  private async publish(channel: ConfirmChannel, event: Event): Promise<void> {
    const content = Buffer.from(JSON.stringify(messageOf(event)))
    const confirmed = Promise.withResolvers<void>()
    channel.publish(
      this.options.exchange,
      event.type,
      content,
      {
        persistent: true,
        messageId: event.id,
        type: event.type,
        contentType: 'application/json',
        timestamp: Math.floor(event.at / SECOND),
      },
      (error) => (error ? confirmed.reject(error) : confirmed.resolve()),
    )
    const timer = setTimeout(() => confirmed.reject(new Error('The broker does not confirm')), PATIENCE)
    await confirmed.promise.finally(() => clearTimeout(timer))
  }

  private open(): Promise<Connection> {
    if (this.closed) return Promise.reject(new Error('The publisher is closed'))
    if (!this.connection) {
      const connection = this.connect(() => this.lost(connection))
      this.connection = connection
    }
    return this.connection
  }

  private async connect(closed: () => void): Promise<Connection> {
    const { exchange, log, url } = this.options
    // Loaded where it is used; required, as the mail library is, so that it does not wait for the threads that hash.
    const { connect } = require('amqplib') as typeof import('amqplib')
    const model = await connect(withHeartbeat(url), { timeout: PATIENCE })
    // Without listeners either would end the process. What was under way is told of by its own failure.
    model.on('error', () => undefined)
    try {
      const channel = await model.createConfirmChannel()
      channel.on('error', () => undefined)
      await channel.assertExchange(exchange, 'topic', { durable: true })
      // Only now: what is refused before is told of with its reason.
      for (const emitter of [model, channel]) emitter.on('close', closed)
      this.away = false
      log.info({ event: 'amqp.connected' })
      return { model, channel }
    } catch (error) {
      model.close().catch(() => undefined)
      throw error
    }
  }

  /** The next try opens another. */
  private lost(connection: Promise<Connection>, error?: unknown): void {
    // Many wait for one connection, and each tells of its end.
    if (this.connection !== connection || this.closed) return
    this.connection = undefined
    connection.then(({ model }) => model.close()).catch(() => undefined)
    if (!this.away) this.options.log.warn({ event: 'amqp.lost', ...whyLost(error) })
    this.away = true
  }
}

/** The text of such an error may quote what was sent; the name that the protocol gives to a refusal does not. */
function whyLost(error: unknown): { reason?: string; err?: unknown } {
  if (error === undefined) return {}
  const reason = error instanceof Error ? /\b\d{3} \(([A-Z-]+)\)/.exec(error.message)?.[1] : undefined
  return reason === undefined ? { err: error } : { reason }
}

function withHeartbeat(url: string): string {
  const address = new URL(url)
  if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS))
  return address.href
}
