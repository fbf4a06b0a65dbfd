import { type Clock, DAY, SECOND } from '../../kit/clock.ts'
import type { Log } from '../../kit/log.ts'
import type { Nodes } from '../../kit/nodes/nodes.ts'
import type { Config } from '../../kit/process/config.ts'
import type { Random } from '../../kit/random.ts'
import { withTimeout } from '../../kit/timeout.ts'
import type { Sealing } from '../../kit/tokens/sealing.ts'
import { AUTH_ITSELF, auditEvent } from '../audit/record.ts'
import { webhookSecretName } from '../keys/sealing.ts'
import type { RevocationFeed } from '../sessions/revocation-feed.ts'
import type { DeliveryStore, EventStore, Webhook, WebhookStore } from '../store/index.ts'
import { AmqpPublisher } from './amqp.ts'
import { Deliverer } from './deliverer.ts'
import { webhookSender } from './http.ts'
import type { DeliveryCount, DeliveryOutcomeName } from './outcome.ts'

/** How many deliveries to one webhook may be under way at once. A slow webhook does not hold up the others. */
const WEBHOOK_AT_ONCE = 4
const AMQP_AT_ONCE = 32
/** How long the broker may be down before its events are given up. */
const AMQP_LIFETIME = 7 * DAY
/** How long delivered and failed deliveries stay in the list. */
const DELIVERED_LIFETIME = 7 * DAY
const DEAD_LIFETIME = 30 * DAY

/** The target of deliveries to the broker. The target of any other delivery is the id of its webhook. */
const AMQP = 'amqp'
/** How often a node looks for deliveries that another one stored, and for webhooks that another one changed. */
const LOOK_EVERY = SECOND / 4
const LOOKS_PER_UPDATE = 4

interface DispatcherOptions {
  store: DeliveryStore & EventStore & WebhookStore
  /** The nodes that share the store. Absent: this one is alone. */
  nodes?: Nodes
  clock: Clock
  random: Random
  log: Log
  config: Pick<Config, 'amqpUrl' | 'amqpExchange' | 'hosts'>
  sealing: Sealing
  feed: Pick<RevocationFeed, 'waitForAcks'>
  version: string
  count?: DeliveryCount
}

/** Dispatches events: one `Deliverer` for each active webhook, and one for the message broker. */
export class EventDispatcher {
  private readonly webhooks = new Map<string, Deliverer>()
  private readonly amqp: { deliverer: Deliverer; publisher: AmqpPublisher } | undefined
  private isRunning = false
  private readonly stopping = Promise.withResolvers<void>()
  private watching: Promise<void> = Promise.resolve()
  private lastUpdate: Promise<void> = Promise.resolve()

  constructor(private readonly options: DispatcherOptions) {
    const { clock, config, count, log, nodes, store } = options
    if (config.amqpUrl !== undefined) {
      const publisher = new AmqpPublisher({ url: config.amqpUrl, exchange: config.amqpExchange, log })
      const send = publisher.send.bind(publisher)
      const parts = { target: AMQP, store, nodes, clock, log }
      const deliverer = new Deliverer({
        ...parts,
        atOnce: AMQP_AT_ONCE,
        inOrder: true,
        send,
        count: (outcome) => count?.('amqp', outcome),
      })
      this.amqp = { deliverer, publisher }
    }
    store.onDeliveries(() => this.wake())
  }

  /** Starts to deliver, after resealing the secrets of webhooks. @throws when the store fails */
  async start(): Promise<void> {
    this.isRunning = true
    await this.resealAll()
    // Not awaited: the broker may be down.
    this.amqp?.publisher.begin()
    this.amqp?.deliverer.start()
    await this.webhooksChanged()
    if (this.options.nodes?.isShared) this.watching = this.watch()
  }

  /** Stops all deliverers, and closes the connection to the broker. */
  async stop(): Promise<void> {
    this.isRunning = false
    this.stopping.resolve()
    await this.watching
    await this.lastUpdate
    await Promise.all([...this.webhooks.values(), this.amqp?.deliverer].map((deliverer) => deliverer?.stop()))
    await this.amqp?.publisher.close()
  }

  /**
   * Starts deliverers for new webhooks, and stops those of deleted and disabled ones.
   * @throws when the webhooks cannot be read
   */
  webhooksChanged(): Promise<void> {
    const update = this.lastUpdate.then(() => this.update())
    // A failed update is reported to its caller only: the next one reads all webhooks again.
    this.lastUpdate = update.catch(() => undefined)
    return update
  }

  /** Deletes old deliveries, and looks for due ones: a clock that was set forward makes some due. */
  async tidy(): Promise<void> {
    const { clock, store } = this.options
    const now = clock.now()
    await store.giveUpDeliveries(AMQP, now - AMQP_LIFETIME, now)
    await store.settleDeliveries(now)
    await store.forgetDeliveries({ delivered: now - DELIVERED_LIFETIME, dead: now - DEAD_LIFETIME })
    this.wake()
  }

  /** Looks for what other nodes stored: this one delivers it if it has the lease of the target. */
  private async watch(): Promise<void> {
    for (let look = 1; this.isRunning; look++) {
      await withTimeout(this.stopping.promise, LOOK_EVERY)
      if (!this.isRunning) return
      try {
        if (look % LOOKS_PER_UPDATE === 0) await this.webhooksChanged()
        await this.wakeDue()
      } catch (error) {
        this.options.log.error({ event: 'delivery.failed', err: error })
      }
    }
  }

  /** Wakes the deliverers of targets with a delivery that is due. */
  private async wakeDue(): Promise<void> {
    const { clock, store } = this.options
    const deliverers = new Map(this.webhooks)
    if (this.amqp) deliverers.set(AMQP, this.amqp.deliverer)
    const targets = [...deliverers].filter(([, deliverer]) => deliverer.holdsTarget).map(([target]) => target)
    if (targets.length === 0) return
    for (const target of await store.targetsDue(targets, clock.now())) deliverers.get(target)?.wake()
  }

  private wake(): void {
    this.amqp?.deliverer.wake()
    for (const deliverer of this.webhooks.values()) deliverer.wake()
  }

  /** Makes the running deliverers those of the active webhooks. */
  private async update(): Promise<void> {
    if (!this.isRunning) return
    const all = await this.options.store.webhooks()
    const active = new Map(all.filter(({ status }) => status === 'active').map((webhook) => [webhook.id, webhook]))
    for (const [id, deliverer] of this.webhooks)
      if (!active.has(id)) {
        this.webhooks.delete(id)
        // Not awaited: deliveries that are under way may take a while.
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
    const { clock, config, count, log, nodes, random, sealing, store, version } = this.options
    const { hosts } = config
    const secret = sealing.open(sealedSecret, webhookSecretName(id))
    if (!secret) log.error({ event: 'webhook.secret_not_opened', target: id })
    const send = webhookSender({ url, secret }, { clock, hosts, random, version })
    const unsubscribed = () => this.disable(id)
    const parts = {
      target: id,
      store,
      nodes,
      clock,
      log,
      count: (outcome: DeliveryOutcomeName) => count?.('webhook', outcome),
    }
    return new Deliverer({ ...parts, atOnce: WEBHOOK_AT_ONCE, inOrder: false, send, unsubscribed })
  }

  /** Disables a webhook whose receiver answered 410. */
  private async disable(id: string): Promise<void> {
    const { clock, feed, log, store } = this.options
    const event = auditEvent(this.options, AUTH_ITSELF, 'webhook.disabled', null, { id })
    const change = await store.setWebhookStatus(id, 'disabled', clock.now(), event)
    if (change.outcome !== 'changed') return
    log.warn({ event: 'webhook.disabled', target: id })
    await this.webhooksChanged()
    await feed.waitForAcks(change.seq)
  }

  /** Reseals secrets that an older CH202_SECRET sealed with the first one, so that the older one can be removed. */
  private async resealAll(): Promise<void> {
    const { sealing, store } = this.options
    for (const { id, sealedSecret } of await store.webhooks()) {
      const name = webhookSecretName(id)
      const secret = sealing.open(sealedSecret, name)
      if (secret && !sealing.isByFirst(sealedSecret, name)) await store.resealWebhook(id, sealing.seal(secret, name))
    }
  }
}
