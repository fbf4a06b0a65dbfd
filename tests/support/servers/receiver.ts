import { afterEach } from 'bun:test'
import { Webhook } from 'standardwebhooks'
import type { EventMessage } from '../../../services/kit/outbox/events.ts'
import { eventually } from '../eventually.ts'

export interface Received {
  id: string
  headers: Record<string, string>
  body: string
  message: EventMessage
  path: string
}

/** Answers a message. @param at its number, from 1 */
type Answers = (received: Received, at: number) => Response | Promise<Response>

/** A receiver of webhooks. Tests change its responses while it runs. */
export class Receiver {
  readonly received: Received[] = []
  answers: Answers = () => new Response(null, { status: 204 })
  private readonly server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const headers = Object.fromEntries(request.headers)
      const body = await request.text()
      const path = new URL(request.url).pathname
      const received = { id: headers['webhook-id'] ?? '', headers, body, message: JSON.parse(body), path }
      this.received.push(received)
      return this.answers(received, this.received.length)
    },
  })

  get url(): string {
    return `http://127.0.0.1:${this.server.port}/hook`
  }

  /** Resolves when `count` messages have arrived. */
  async has(count: number): Promise<Received[]> {
    await eventually(() => this.received.length >= count).catch(() => {
      throw new Error(`${this.received.length} of ${count} have arrived`)
    })
    return this.received
  }

  types(): string[] {
    return this.received.map(({ message }) => message.type)
  }

  close(): Promise<void> {
    return this.server.stop(true)
  }
}

/** Opens receivers for the tests of the file or `describe` that calls it, and closes them after each test. */
export function receivers(): (answers?: Answers) => Receiver {
  const open: Receiver[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()))
  })
  return (answers) => {
    const receiver = new Receiver()
    if (answers) receiver.answers = answers
    open.push(receiver)
    return receiver
  }
}

/** A response without a body. */
export function emptyResponse(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers })
}

/** The message of a webhook. @throws when its signature is invalid */
export function verified(secret: string, { body, headers }: Received): EventMessage {
  return new Webhook(secret).verify(body, headers) as EventMessage
}
