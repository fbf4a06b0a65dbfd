import { type ChannelModel, type ConsumeMessage, connect } from 'amqplib'
import type { EventMessage } from '../../services/kit/outbox/events.ts'

/** Collects what a broker gets, from before the first event. */
export class Consumer {
  private readonly messages: ConsumeMessage[] = []
  private connection: ChannelModel | undefined

  constructor(
    private readonly url: string,
    private readonly exchange: string,
    private readonly pattern: string,
  ) {}

  async open(): Promise<void> {
    this.connection = await connect(this.url)
    this.connection.on('error', () => undefined)
    const channel = await this.connection.createChannel()
    await channel.assertExchange(this.exchange, 'topic', { durable: true })
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, this.exchange, this.pattern)
    await channel.consume(queue, (message) => message && this.messages.push(message), { noAck: true })
  }

  events(): EventMessage[] {
    return this.messages.map(({ content }) => JSON.parse(content.toString()))
  }

  async close(): Promise<void> {
    await this.connection?.close().catch(() => undefined)
  }
}
