import type { Clock } from '../../kit/clock.ts'
import { DAY } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import type { Sealing } from '../keys/sealing.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { AuthStore, Webhook } from '../store/index.ts'
import { AmqpPublisher } from './amqp.ts'
import { Deliverer } from './deliverer.ts'
import { webhookSender } from './http.ts'

/** How many are on their way to one webhook at once. Each has its own: one that is slow holds up no other. */
const WEBHOOK_AT_ONCE = 4
const AMQP_AT_ONCE = 32
/** How long the broker may be away before events for it are given up. */
const AMQP_LIFETIME = 7 * DAY
const DELIVERED_KEPT = 7 * DAY
const DEAD_KEPT = 30 * DAY

/** The target of what goes to the broker; webhooks have their ids. */
const AMQP = 'amqp'

interface OutsideOptions {
  store: AuthStore
  clock: Clock
  random: Random
  log: Log
  config: Pick<Config, 'amqpUrl' | 'amqpExchange' | 'hosts'>
  sealing: Sealing
  feed: Pick<RevocationFeed, 'waitForAcks'>
  version: string
}

/** Tells the outside: each active webhook, and the broker, by a deliverer of its own. */
export class EventDispatcher {
  private readonly webhooks = new Map<string, Deliverer>()
  private readonly amqp: { deliverer: Deliverer; publisher: AmqpPublisher } | undefined
  private running = false
  private changing: Promise<void> = Promise.resolve()

  constructor(private readonly options: OutsideOptions) {
    const { clock, config, log, store } = options
    if (config.amqpUrl !== undefined) {
      const publisher = new AmqpPublisher({ url: config.amqpUrl, exchange: config.amqpExchange, log })
      const send = publisher.send.bind(publisher)
      const deliverer = new Deliverer({ target: AMQP, store, clock, log, atOnce: AMQP_AT_ONCE, inOrder: true, send })
      this.amqp = { deliverer, publisher }
    }
    store.onDeliveries(() => this.wake())
  }

  async start(): Promise<void> {
    this.running = true
    await this.resealAll()
    this.amqp?.publisher.begin()
    this.amqp?.deliverer.start()
    await this.webhooksChanged()
  }

  async stop(): Promise<void> {
    this.running = false
    await this.changing
    await Promise.all([...this.webhooks.values(), this.amqp?.deliverer].map((deliverer) => deliverer?.stop()))
    await this.amqp?.publisher.close()
  }

  wake(): void {
    this.amqp?.deliverer.wake()
    for (const deliverer of this.webhooks.values()) deliverer.wake()
  }

  /** Begins with those that are new, and ends with those that are gone or disabled. */
  webhooksChanged(): Promise<void> {
    this.changing = this.changing.then(() => this.follow())
    return this.changing
  }

  /** Forgets what is long over. Looks for what is due as well: a clock that was set ahead makes it so. */
  async tidy(): Promise<void> {
    const { clock, store } = this.options
    const now = clock.now()
    await store.giveUpDeliveries(AMQP, now - AMQP_LIFETIME, now)
    await store.settleDeliveries(now)
    await store.forgetDeliveries({ delivered: now - DELIVERED_KEPT, dead: now - DEAD_KEPT })
    this.wake()
  }

  private async follow(): Promise<void> {
    if (!this.running) return
    const all = await this.options.store.webhooks()
    const active = new Map(all.filter(({ status }) => status === 'active').map((webhook) => [webhook.id, webhook]))
    for (const [id, deliverer] of this.webhooks)
      if (!active.has(id)) {
        this.webhooks.delete(id)
        // What is on its way may take a while; no one waits for it.
        deliverer.stop()
      }
    for (const webhook of active.values())
      if (!this.webhooks.has(webhook.id)) {
        const deliverer = this.delivererOf(webhook)
        this.webhooks.set(webhook.id, deliverer)
        deliverer.start()
      }
  }

  private delivererOf({ id, sealedSecret, url }: Webhook): Deliverer {
    const { clock, config, log, random, sealing, store, version } = this.options
    const { hosts } = config
    const secret = sealing.open(sealedSecret, sealedName(id))
    if (!secret) log.error({ event: 'webhook.secret_not_opened', target: id })
    const send = webhookSender({ url, secret }, { clock, hosts, random, version })
    const gone = () => this.disable(id)
    return new Deliverer({ target: id, store, clock, log, atOnce: WEBHOOK_AT_ONCE, inOrder: false, send, gone })
  }

  /** Its receiver wants no more. */
  private async disable(id: string): Promise<void> {
    const { clock, feed, log, random, store } = this.options
    const at = clock.now()
    const by = { actor: 'auth', ip: null, requestId: null }
    const event = { id: random.id(), at, type: 'webhook.disabled', userId: null, ...by, detail: { id } }
    const change = await store.setWebhookStatus(id, 'disabled', at, event)
    if (change.outcome !== 'changed') return
    log.warn({ event: 'webhook.disabled', target: id })
    await this.webhooksChanged()
    await feed.waitForAcks(change.seq)
  }

  /** What an older secret sealed is sealed by the first one, so that the older can be taken away. */
  private async resealAll(): Promise<void> {
    const { sealing, store } = this.options
    for (const { id, sealedSecret } of await store.webhooks()) {
      const secret = sealing.open(sealedSecret, sealedName(id))
      if (secret && !sealing.isByFirst(sealedSecret, sealedName(id)))
        await store.resealWebhook(id, sealing.seal(secret, sealedName(id)))
    }
  }
}

/** What the secret of a webhook is sealed under. */
export function sealedName(id: string): string {
  return `webhook ${id}`
}
