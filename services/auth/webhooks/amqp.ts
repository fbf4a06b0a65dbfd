import type { ChannelModel, ConfirmChannel } from 'amqplib'
import { SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import { type Event, messageOf } from '../../kit/outbox/events.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { Delivery } from '../store/index.ts'
import type { DeliveryOutcome } from './deliverer.ts'

/** How long the broker may take to answer before the connection counts as lost. */
const PATIENCE = 10 * SECOND
const HEARTBEAT_SECONDS = 10
const FIRST_BACKOFF = SECOND / 4
const LONGEST_BACKOFF = 15 * SECOND
/** How long a stop waits for the broker. */
const STOP_PATIENCE = SECOND

interface Connection {
  model: ChannelModel
  channel: ConfirmChannel
}

/** Publishes events to a topic exchange of a message broker (AMQP 0-9-1), over one connection that it reopens. */
export class AmqpPublisher {
  private connection: Promise<Connection> | undefined
  private isClosed = false
  private readonly closing = Promise.withResolvers<void>()
  private isUnreachable = false

  constructor(private readonly options: { url: string; exchange: string; log: Log }) {}

  /** Connects before there are events, so that consumers find the exchange to bind to. Retries until it succeeds. */
  async begin(): Promise<void> {
    for (let backoff = FIRST_BACKOFF; !this.isClosed; backoff = Math.min(2 * backoff, LONGEST_BACKOFF)) {
      const connection = this.open()
      try {
        await connection
        return
      } catch (error) {
        this.lose(connection, error)
      }
      await withTimeout(this.closing.promise, backoff)
    }
  }

  /** Publishes an event. Resolves when the broker has confirmed it; after a failure another connection is opened. */
  async send({ event }: Delivery): Promise<DeliveryOutcome> {
    const connection = this.open()
    try {
      await this.publish((await connection).channel, event)
      return { delivered: true, status: null }
    } catch (error) {
      this.lose(connection, error)
      return { delivered: false, status: null, error: 'broker_away', retryIn: 0, unreachable: true }
    }
  }

  /** Closes the connection, and waits briefly for the broker. */
  async close(): Promise<void> {
    this.isClosed = true
    this.closing.resolve()
    const closed = this.connection?.then(({ model }) => model.close()).catch(() => undefined)
    this.connection = undefined
    if (closed) await withTimeout(closed, STOP_PATIENCE)
  }

  private async publish(channel: ConfirmChannel, event: Event): Promise<void> {
    const content = Buffer.from(JSON.stringify(messageOf(event)))
    const confirmation = Promise.withResolvers<void>()
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
      (error) => (error ? confirmation.reject(error) : confirmation.resolve()),
    )
    const isConfirmed = await withTimeout(
      confirmation.promise.then(() => true),
      PATIENCE,
    )
    if (!isConfirmed) throw new Error('The broker did not confirm an event in time')
  }

  /** Returns the open connection, or opens one. */
  private open(): Promise<Connection> {
    if (this.isClosed) return Promise.reject(new Error('The publisher is closed'))
    if (!this.connection) {
      const connection = this.connect(() => this.lose(connection))
      this.connection = connection
    }
    return this.connection
  }

  private async connect(onClose: () => void): Promise<Connection> {
    const { exchange, log, url } = this.options
    // `require` rather than `import`, as for the mail library: an import would wait for the threads that hash passwords.
    const { connect } = require('amqplib') as typeof import('amqplib')
    const model = await connect(withHeartbeat(url), { timeout: PATIENCE })
    // An `error` event without a listener ends the process. Calls that are under way report the failure themselves.
    model.on('error', () => undefined)
    try {
      const channel = await model.createConfirmChannel()
      channel.on('error', () => undefined)
      await channel.assertExchange(exchange, 'topic', { durable: true })
      // Registered only now: an earlier refusal is thrown below, with its reason.
      for (const emitter of [model, channel]) emitter.on('close', onClose)
      this.isUnreachable = false
      log.info({ event: 'amqp.connected' })
      return { model, channel }
    } catch (error) {
      model.close().catch(() => undefined)
      throw error
    }
  }

  /** Abandons a connection: the next attempt opens another one. */
  private lose(connection: Promise<Connection>, error?: unknown): void {
    // Many attempts share a connection, and each of them reports its end.
    if (this.connection !== connection || this.isClosed) return
    this.connection = undefined
    connection.then(({ model }) => model.close()).catch(() => undefined)
    if (!this.isUnreachable) this.options.log.warn({ event: 'amqp.lost', ...lossFields(error) })
    this.isUnreachable = true
  }
}

/** Returns what to log about a lost connection: the protocol's name of a refusal, whose text may quote what was sent. */
function lossFields(error: unknown): { reason?: string; err?: unknown } {
  if (error === undefined) return {}
  const reason = error instanceof Error ? /\b\d{3} \(([A-Z-]+)\)/.exec(error.message)?.[1] : undefined
  return reason === undefined ? { err: error } : { reason }
}

/** Adds a heartbeat to the address of the broker, unless the operator set one. */
function withHeartbeat(url: string): string {
  const address = new URL(url)
  if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS))
  return address.href
}
