import { afterAll, beforeAll, expect, test } from 'bun:test'
import { BATCH } from '../../db/write-in-batches.ts'
import type { AuthStore, DeliveryFilter, Webhook } from '../../services/auth/store/index.ts'
import { HOUR } from '../../services/kit/clock.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import { WHOLE } from '../support/whole.ts'
import { event, id, NOW } from './auth-suite.ts'

/**
 * The tests of events, deliveries and webhooks that every auth store must pass.
 * @param open opens an empty store, which the suite closes
 */
export function webhookStoreSuite(open: () => Promise<AuthStore>): void {
  let store: AuthStore
  beforeAll(async () => {
    store = await open()
  })
  afterAll(() => store.close())

  const webhookOf = (changes: Partial<Webhook> = {}): Webhook => ({
    id: id(),
    url: 'https://example.org',
    description: null,
    types: ['user.updated'],
    sealedSecret: new Uint8Array(8),
    status: 'active',
    createdAt: NOW,
    ...changes,
  })
  const eventOf = (changes: Partial<Event> = {}): Event => ({
    id: id(),
    type: 'user.updated',
    at: NOW,
    userId: id(),
    data: { name: 'Ana' },
    ...changes,
  })
  const deliveriesTo = async (target: string) => (await store.listDeliveries({ target }, { size: 200, page: 1 })).rows
  const totals = async () => {
    const [pending, dead] = await Promise.all(
      (['pending', 'dead'] as const).map((status) => store.listDeliveries({ status }, { size: 1, page: 1 })),
    )
    return { pending: pending?.total, dead: dead?.total }
  }

  test('events are written once, for their subscribers only, and wake the listeners', async () => {
    let wakes = 0
    store.onDeliveries(() => wakes++)
    await store.addEvents([eventOf()], NOW)
    const [webhook, other] = [webhookOf(), webhookOf({ types: ['user.created'] })]
    for (const added of [webhook, other]) expect(await store.addWebhook(added, 99, event())).toBeGreaterThan(0)
    expect([...store.subscribedTypes()].toSorted()).toEqual(['user.created', 'user.updated'])
    const event1 = eventOf()
    await store.addEvents([event1, eventOf({ type: 'user.deleted' })], NOW + 5)
    await store.addEvents([event1], NOW + 9)
    expect(await deliveriesTo(webhook.id)).toEqual([
      expect.objectContaining({ event: event1, status: 'pending', tries: 0, since: NOW + 5, nextAt: NOW + 5 }),
    ])
    expect(await deliveriesTo(other.id)).toEqual([])
    await new Promise(setImmediate)
    expect(wakes).toBe(1)
    for (const added of [webhook, other]) await store.removeWebhook(added.id, NOW, event())
    expect([...store.subscribedTypes()]).toEqual([])
  })

  test('deliveries are due at their time, and finish once', async () => {
    const webhook = webhookOf()
    await store.addWebhook(webhook, 99, event())
    await store.addEvents([eventOf({ id: id() }), eventOf()], NOW)
    const due = (now: number, latest = now + HOUR) => store.deliveriesDue(webhook.id, now, latest, 10)
    const [first, second] = await due(NOW)
    const [a, b] = [first?.seq ?? 0, second?.seq ?? 0]
    const [ofA, ofB] = [
      { seq: a, since: NOW },
      { seq: b, since: NOW },
    ]
    await store.postponeDelivery(ofA, NOW + 500, { status: 503, error: 'refused' })
    await store.finishDelivery(ofB, 'delivered', { status: 200, error: null }, NOW)
    await store.finishDelivery(ofB, 'dead', { status: null, error: 'timeout' }, NOW)
    expect([await store.nextDelivery(webhook.id, NOW), (await due(NOW + 499)).length]).toEqual([NOW + 500, 0])
    // Postponed by a clock that ran ahead.
    expect((await due(NOW, NOW + 400)).map(({ seq }) => seq)).toEqual([a])
    expect((await store.oldestDeliveries(webhook.id, 10)).map(({ seq }) => seq)).toEqual([a])
    expect(await deliveriesTo(webhook.id)).toMatchObject([
      { seq: b, status: 'delivered', tries: 1, lastStatus: 200, finishedAt: NOW },
      { seq: a, status: 'pending', tries: 1, lastStatus: 503, lastError: 'refused' },
    ])
    await store.giveUpDeliveries(webhook.id, NOW, NOW)
    expect(await totals()).toEqual({ pending: 1, dead: 0 })
    await store.giveUpDeliveries(webhook.id, NOW + 1, NOW)
    expect(await totals()).toEqual({ pending: 0, dead: 1 })
    const replay = (filter: DeliveryFilter) => store.replayDeliveries(filter, NOW + 7, () => event())
    expect(await replay({ target: webhook.id, status: 'dead' })).toBe(1)
    expect((await due(NOW + 7)).map(({ seq, since, tries }) => [seq, since, tries])).toEqual([[a, NOW + 7, 0]])
    await store.removeWebhook(webhook.id, NOW, event())
    expect(await totals()).toEqual({ pending: 0, dead: 0 })
  })

  test('what waits for webhooks and for the broker is counted apart, with its oldest time; dead letters too', async () => {
    const webhook = webhookOf()
    await store.addWebhook(webhook, 99, event())
    const read = async () => [
      await store.waitingDeliveries('webhook'),
      await store.waitingDeliveries('amqp'),
      await store.countDeadDeliveries(),
    ]
    expect(await read()).toEqual([{ count: 0, oldest: null }, { count: 0, oldest: null }, 0])
    await store.addEvents([eventOf()], NOW + 5)
    await store.addEvents([eventOf(), eventOf()], NOW + 9)
    expect(await read()).toEqual([{ count: 3, oldest: NOW + 5 }, { count: 0, oldest: null }, 0])
    await store.giveUpDeliveries(webhook.id, NOW + 6, NOW)
    expect(await read()).toEqual([{ count: 2, oldest: NOW + 9 }, { count: 0, oldest: null }, 1])
    await store.removeWebhook(webhook.id, NOW, event())
    expect(await read()).toEqual([{ count: 0, oldest: null }, { count: 0, oldest: null }, 0])
  })

  test('R29: a pending delivery is sent at once when it is named; the failure of an earlier attempt does not change it', async () => {
    const webhook = webhookOf()
    await store.addWebhook(webhook, 99, event())
    await store.addEvents([eventOf()], NOW)
    const [delivery] = await deliveriesTo(webhook.id)
    const seq = delivery?.seq ?? 0
    const before = { seq, since: NOW }
    const FAILED = { status: 503, error: 'refused' }
    const replay = (filter: DeliveryFilter) => store.replayDeliveries(filter, NOW + 7, () => event())
    const state = async () =>
      (await deliveriesTo(webhook.id)).map(({ nextAt, since, status, tries }) => [status, tries, nextAt, since])
    await store.postponeDelivery(before, NOW + HOUR, FAILED)
    for (const filter of [{ target: webhook.id }, { target: webhook.id, status: 'dead' as const }])
      expect(await replay(filter)).toBe(0)
    expect(await state()).toEqual([['pending', 1, NOW + HOUR, NOW]])
    expect(await replay({ target: webhook.id, status: 'pending' })).toBe(1)
    expect(await state()).toEqual([['pending', 0, NOW + 7, NOW + 7]])
    // The attempt that began before the replay.
    await store.postponeDelivery(before, NOW + HOUR, FAILED)
    await store.finishDelivery(before, 'dead', FAILED, NOW)
    expect(await state()).toEqual([['pending', 0, NOW + 7, NOW + 7]])
    await store.finishDelivery(before, 'delivered', { status: 204, error: null }, NOW)
    expect(await state()).toEqual([['delivered', 1, NOW + 7, NOW + 7]])
    expect(await replay({ seq })).toBe(1)
    expect(await replay({ seq })).toBe(1)
    await store.removeWebhook(webhook.id, NOW, event())
  })

  test('events are deleted with the last of their deliveries', async () => {
    const [webhook, other] = [webhookOf(), webhookOf()]
    for (const added of [webhook, other]) await store.addWebhook(added, 99, event())
    const event1 = eventOf()
    await store.addEvents([event1], NOW)
    for (const [target, status] of [
      [webhook, 'delivered'],
      [other, 'dead'],
    ] as const)
      for (const delivery of await deliveriesTo(target.id))
        await store.finishDelivery(delivery, status, { status: 1, error: null }, NOW)
    const counts = async () => [(await deliveriesTo(webhook.id)).length, (await deliveriesTo(other.id)).length]
    const steps: [delivered: number, dead: number, expected: number[]][] = [
      [NOW, NOW, [1, 1]],
      [NOW + 1, NOW, [0, 1]],
      [NOW + 1, NOW + 1, [0, 0]],
    ]
    for (const [delivered, dead, expected] of steps) {
      await store.forgetDeliveries({ delivered, dead })
      expect(await counts()).toEqual(expected)
    }
    // The event can be written again, so it was deleted.
    await store.addEvents([event1], NOW)
    expect(await counts()).toEqual([1, 1])
    for (const added of [webhook, other]) await store.removeWebhook(added.id, NOW, event())
  })

  test('many deliveries of a webhook are changed in batches, and other requests are answered in between', async () => {
    const batches = WHOLE ? 10 : 3
    const many = batches * BATCH + 500
    const addMany = async () => {
      for (let added = 0; added < many; added += 500)
        await store.addEvents(
          Array.from({ length: 500 }, () => eventOf()),
          NOW,
        )
    }
    const webhook = webhookOf()
    await store.addWebhook(webhook, 99, event())
    await addMany()
    const count = totals
    /** Counts the turns of the event loop until `work` ends. */
    const turns = async (work: Promise<unknown>): Promise<number> => {
      let count = 0
      let isOver = false
      const end = work.finally(() => {
        isOver = true
      })
      while (!isOver) {
        await new Promise(setImmediate)
        count++
      }
      await end
      return count
    }
    expect(await turns(store.giveUpDeliveries(webhook.id, NOW + 1, NOW))).toBeGreaterThan(batches)
    expect(await count()).toEqual({ pending: 0, dead: many })
    const audited: number[] = []
    const replay = store.replayDeliveries({ target: webhook.id, status: 'dead' }, NOW, (count) => {
      audited.push(count)
      return event()
    })
    expect(await turns(replay)).toBeGreaterThan(batches)
    expect([await replay, audited, await count()]).toEqual([many, [many], { pending: many, dead: 0 }])
    const off = store.setWebhookStatus(webhook.id, 'disabled', NOW, event())
    while ((await store.webhooks())[0]?.status === 'active') await new Promise(setImmediate)
    // Enabled before the disabling is finished: pending deliveries have failed, new ones are pending.
    await store.setWebhookStatus(webhook.id, 'active', NOW, event())
    await store.addEvents([eventOf()], NOW)
    await off
    expect(await count()).toEqual({ pending: 1, dead: many })
    await store.replayDeliveries({ target: webhook.id }, NOW, () => event())
    expect(await turns(store.setWebhookStatus(webhook.id, 'disabled', NOW, event()))).toBeGreaterThan(batches)
    expect(await count()).toEqual({ pending: 0, dead: many + 1 })
    // All finished deliveries, even when many came in one minute.
    await store.setWebhookStatus(webhook.id, 'active', NOW, event())
    await store.addEvents([eventOf()], NOW)
    expect(await turns(store.forgetDeliveries({ delivered: 0, dead: NOW + 1 }))).toBeGreaterThan(batches)
    expect(await count()).toEqual({ pending: 1, dead: 0 })
    await addMany()
    expect(await turns(store.removeWebhook(webhook.id, NOW, event()))).toBeGreaterThan(batches)
    expect(await count()).toEqual({ pending: 0, dead: 0 })
  })

  test('events that are added while a webhook is removed or disabled leave nothing pending', async () => {
    for (const round of Array.from({ length: 10 }, (_, index) => index)) {
      const webhook = webhookOf()
      await store.addWebhook(webhook, 99, event())
      const end = async () => {
        if (round % 2) return await store.removeWebhook(webhook.id, NOW, event())
        return await store.setWebhookStatus(webhook.id, 'disabled', NOW, event())
      }
      const add = () => store.addEvents([eventOf(), eventOf()], NOW)
      await Promise.all([add(), add(), end(), add(), add()])
      const rest = (await deliveriesTo(webhook.id)).filter(({ status }) => round % 2 || status === 'pending')
      expect([round, rest]).toEqual([round, []])
      await store.removeWebhook(webhook.id, NOW, event())
    }
    expect([...store.subscribedTypes()]).toEqual([])
  })

  test('an event that a list has twice is stored once; the deliveries have the order of the events', async () => {
    const [webhook, all] = [webhookOf(), webhookOf({ types: [], createdAt: NOW + 1 })]
    for (const added of [all, webhook]) await store.addWebhook(added, 99, event())
    const [a, b, c] = [eventOf(), eventOf({ type: 'user.deleted' }), eventOf()]
    await store.addEvents([c, b, a, { ...c, at: NOW + 9 }], NOW)
    const { rows } = await store.listDeliveries({}, { size: 9, page: 1 })
    expect(rows.toReversed().map(({ event, target }) => [event.id, event.at, target])).toEqual([
      [c.id, NOW, webhook.id],
      [c.id, NOW, all.id],
      [b.id, NOW, all.id],
      [a.id, NOW, webhook.id],
      [a.id, NOW, all.id],
    ])
    for (const added of [webhook, all]) await store.removeWebhook(added.id, NOW, event())
  })

  test('adding, changing and removing a webhook each have an entry in the feed; the number of webhooks is limited', async () => {
    const before = await store.lastRevocation()
    const webhook = webhookOf()
    expect(await store.addWebhook(webhook, 0, event())).toBeNull()
    expect(await store.addWebhook(webhook, 1, event())).toBeGreaterThan(before)
    expect(await store.addWebhook(webhookOf(), 1, event())).toBeNull()
    await store.addEvents([eventOf()], NOW)
    expect(await store.setWebhookStatus(webhook.id, 'disabled', NOW, event())).toEqual({
      outcome: 'changed',
      seq: expect.any(Number),
    })
    expect(await deliveriesTo(webhook.id)).toMatchObject([{ status: 'dead', lastError: 'webhook_disabled' }])
    expect(await store.setWebhookStatus(webhook.id, 'disabled', NOW, event())).toEqual({ outcome: 'unchanged' })
    expect(await store.setWebhookStatus('unknown', 'disabled', NOW, event())).toEqual({ outcome: 'not_found' })
    expect(await store.replayDeliveries({ target: webhook.id }, NOW, () => event())).toBe(0)
    await store.resealWebhook(webhook.id, new Uint8Array([7]))
    expect(await store.webhooks()).toMatchObject([{ id: webhook.id, status: 'disabled', types: ['user.updated'] }])
    expect([...((await store.webhooks())[0]?.sealedSecret ?? [])]).toEqual([7])
    expect(await store.removeWebhook(webhook.id, NOW, event())).toBeGreaterThan(before)
    expect(await store.removeWebhook(webhook.id, NOW, event())).toBeNull()
    const { revocations } = await store.revocationsAfter(before, 10)
    expect(revocations.map(({ kind }) => kind)).toEqual(['events', 'events', 'events'])
  })
}
