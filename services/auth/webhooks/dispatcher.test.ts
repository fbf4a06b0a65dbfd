import { expect, test } from 'bun:test'
import { systemClock } from '../../kit/clock.ts'
import { silentLog } from '../../kit/log.ts'
import { systemRandom } from '../../kit/random.ts'
import { Sealing } from '../../kit/tokens/sealing.ts'
import type { DeliveryStore, EventStore, WebhookStore } from '../store/index.ts'
import { EventDispatcher } from './dispatcher.ts'

/** A dispatcher without a broker, whose store reads its webhooks by `read`. */
function dispatcherReading(read: WebhookStore['webhooks']): EventDispatcher {
  const store = { webhooks: read, onDeliveries: () => undefined }
  return new EventDispatcher({
    store: store as unknown as DeliveryStore & EventStore & WebhookStore,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    config: { amqpUrl: undefined, amqpExchange: 'ch202', hosts: [] },
    sealing: new Sealing(['secret'], systemRandom),
    feed: { waitForAcks: async () => undefined },
    version: '0.0.0',
  })
}

test('a failed read of the webhooks fails neither the next change nor the stop', async () => {
  let fails = false
  const dispatcher = dispatcherReading(async () => {
    if (fails) throw new Error('disk I/O error')
    return []
  })
  await dispatcher.start()
  fails = true
  await expect(dispatcher.webhooksChanged()).rejects.toThrow('disk I/O error')
  fails = false
  await dispatcher.webhooksChanged()
  fails = true
  await expect(dispatcher.webhooksChanged()).rejects.toThrow('disk I/O error')
  await dispatcher.stop()
})
