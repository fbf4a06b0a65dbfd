import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { AuthStore, DeliveryFilter, Webhook } from '../../services/auth/store/index.ts'
import { HOUR } from '../../services/kit/clock.ts'
import type { Event } from '../../services/kit/outbox/events.ts'
import { event, id, NOW } from './auth-suite.ts'

/**
 * What every implementation of the store must do with events for the outside, and with who wants them.
 * @param open gives an empty store; closed by the suite
 */
export function outsideStoreSuite(open: () => AuthStore): void {
  let store: AuthStore
  beforeAll(() => {
    store = open()
  })
  afterAll(() => store.close())

  const hook = (over: Partial<Webhook> = {}): Webhook => ({
    id: id(),
    url: 'https://example.org',
    description: null,
    types: ['user.updated'],
    sealedSecret: new Uint8Array(8),
    status: 'active',
    createdAt: NOW,
    ...over,
  })
  const happened = (over: Partial<Event> = {}): Event => ({
    id: id(),
    type: 'user.updated',
    at: NOW,
    userId: id(),
    data: { name: 'Ana' },
    ...over,
  })
  const of = async (target: string) => (await store.listDeliveries({ target }, { size: 200, page: 1 })).rows

  test('are written once, for those who want them, and only then someone is woken', async () => {
    const woken: number[] = []
    store.onDeliveries(() => woken.push(woken.length))
    await store.addEvents([happened()], NOW)
    const [one, other] = [hook(), hook({ types: ['user.created'] })]
    for (const each of [one, other]) expect(await store.addWebhook(each, 99, event())).toBeGreaterThan(0)
    expect([...store.subscribedTypes()].toSorted()).toEqual(['user.created', 'user.updated'])
    const event1 = happened()
    await store.addEvents([event1, happened({ type: 'user.deleted' })], NOW + 5)
    await store.addEvents([event1], NOW + 9)
    expect(await of(one.id)).toEqual([
      expect.objectContaining({ event: event1, status: 'pending', tries: 0, since: NOW + 5, nextAt: NOW + 5 }),
    ])
    expect(await of(other.id)).toEqual([])
    await new Promise(setImmediate)
    expect(woken.length).toBe(1)
    for (const each of [one, other]) await store.removeWebhook(each.id, NOW, event())
    expect([...store.subscribedTypes()]).toEqual([])
  })

  test('are due in their time, and finish once', async () => {
    const one = hook()
    await store.addWebhook(one, 99, event())
    await store.addEvents([happened({ id: id() }), happened()], NOW)
    const due = (now: number, latest = now + HOUR) => store.deliveriesDue(one.id, now, latest, 10)
    expect((await due(NOW - 1)).length).toBe(0)
    const [first, second] = await due(NOW)
    const [a, b] = [first?.seq ?? 0, second?.seq ?? 0]
    const [ofA, ofB] = [
      { seq: a, since: NOW },
      { seq: b, since: NOW },
    ]
    await store.postponeDelivery(ofA, NOW + 500, { status: 503, error: 'refused' })
    await store.finishDelivery(ofB, 'delivered', { status: 200, error: null }, NOW)
    await store.finishDelivery(ofB, 'dead', { status: null, error: 'timeout' }, NOW)
    expect([await store.nextDelivery(one.id, NOW), (await due(NOW + 499)).length]).toEqual([NOW + 500, 0])
    // Put off by a clock that ran ahead.
    expect((await due(NOW, NOW + 400)).map(({ seq }) => seq)).toEqual([a])
    expect((await store.oldestDeliveries(one.id, 10)).map(({ seq }) => seq)).toEqual([a])
    expect(await of(one.id)).toMatchObject([
      { seq: b, status: 'delivered', tries: 1, lastStatus: 200, finishedAt: NOW },
      { seq: a, status: 'pending', tries: 1, lastStatus: 503, lastError: 'refused' },
    ])
    await store.giveUpDeliveries(one.id, NOW, NOW)
    expect(await store.countDeliveries()).toEqual({ pending: 1, dead: 0 })
    await store.giveUpDeliveries(one.id, NOW + 1, NOW)
    expect(await store.countDeliveries()).toEqual({ pending: 0, dead: 1 })
    const replay = (filter: DeliveryFilter) => store.replayDeliveries(filter, NOW + 7, () => event())
    expect(await replay({ target: one.id, status: 'dead' })).toBe(1)
    expect((await due(NOW + 7)).map(({ seq, since, tries }) => [seq, since, tries])).toEqual([[a, NOW + 7, 0]])
    await store.removeWebhook(one.id, NOW, event())
    expect(await store.countDeliveries()).toEqual({ pending: 0, dead: 0 })
  })

  test('R29: what waits is sent at once where it is named; a failure of before changes nothing of it', async () => {
    const one = hook()
    await store.addWebhook(one, 99, event())
    await store.addEvents([happened()], NOW)
    const [sent] = await of(one.id)
    const seq = sent?.seq ?? 0
    const before = { seq, since: NOW }
    const FAILED = { status: 503, error: 'refused' }
    const replay = (filter: DeliveryFilter) => store.replayDeliveries(filter, NOW + 7, () => event())
    const state = async () =>
      (await of(one.id)).map(({ nextAt, since, status, tries }) => [status, tries, nextAt, since])
    await store.postponeDelivery(before, NOW + HOUR, FAILED)
    for (const filter of [{ target: one.id }, { target: one.id, status: 'dead' as const }])
      expect(await replay(filter)).toBe(0)
    expect(await state()).toEqual([['pending', 1, NOW + HOUR, NOW]])
    expect(await replay({ target: one.id, status: 'pending' })).toBe(1)
    expect(await state()).toEqual([['pending', 0, NOW + 7, NOW + 7]])
    // The attempt that was under way.
    await store.postponeDelivery(before, NOW + HOUR, FAILED)
    await store.finishDelivery(before, 'dead', FAILED, NOW)
    expect(await state()).toEqual([['pending', 0, NOW + 7, NOW + 7]])
    await store.finishDelivery(before, 'delivered', { status: 204, error: null }, NOW)
    expect(await state()).toEqual([['delivered', 1, NOW + 7, NOW + 7]])
    expect(await replay({ seq })).toBe(1)
    expect(await replay({ seq })).toBe(1)
    await store.removeWebhook(one.id, NOW, event())
  })

  test('are forgotten with the last of their deliveries', async () => {
    const [one, other] = [hook(), hook()]
    for (const each of [one, other]) await store.addWebhook(each, 99, event())
    const event1 = happened()
    await store.addEvents([event1], NOW)
    for (const [target, status] of [
      [one, 'delivered'],
      [other, 'dead'],
    ] as const)
      for (const delivery of await of(target.id))
        await store.finishDelivery(delivery, status, { status: 1, error: null }, NOW)
    const left = async () => [(await of(one.id)).length, (await of(other.id)).length]
    const steps: [delivered: number, dead: number, left: number[]][] = [
      [NOW, NOW, [1, 1]],
      [NOW + 1, NOW, [0, 1]],
      [NOW + 1, NOW + 1, [0, 0]],
    ]
    for (const [delivered, dead, expected] of steps) {
      await store.forgetDeliveries({ delivered, dead })
      expect(await left()).toEqual(expected)
    }
    // That it could be written anew shows that it was gone.
    await store.addEvents([event1], NOW)
    expect(await left()).toEqual([1, 1])
    for (const each of [one, other]) await store.removeWebhook(each.id, NOW, event())
  })

  test('of a webhook, however many, are changed a few at a time: others are answered in between', async () => {
    const many = 10_500
    const one = hook()
    await store.addWebhook(one, 99, event())
    await store.addEvents(
      Array.from({ length: many }, () => happened()),
      NOW,
    )
    const count = async () => await store.countDeliveries()
    /** How often the event loop came by. */
    const turns = async (work: Promise<unknown>): Promise<number> => {
      let turns = 0
      let over = false
      const ended = work.finally(() => {
        over = true
      })
      while (!over) {
        await new Promise(setImmediate)
        turns++
      }
      await ended
      return turns
    }
    expect(await turns(store.giveUpDeliveries(one.id, NOW + 1, NOW))).toBeGreaterThan(10)
    expect(await count()).toEqual({ pending: 0, dead: many })
    const audited: number[] = []
    const replay = store.replayDeliveries({ target: one.id, status: 'dead' }, NOW, (count) => {
      audited.push(count)
      return event()
    })
    expect(await turns(replay)).toBeGreaterThan(10)
    expect([await replay, audited, await count()]).toEqual([many, [many], { pending: many, dead: 0 }])
    const off = store.setWebhookStatus(one.id, 'disabled', NOW, event())
    // Enabled before that is done: what was on its way is dead, and what comes then is not.
    const on = store.setWebhookStatus(one.id, 'active', NOW, event())
    const next = store.addEvents([happened()], NOW)
    expect(await turns(off)).toBeGreaterThan(0)
    await Promise.all([on, next])
    expect(await count()).toEqual({ pending: 1, dead: many })
    await store.replayDeliveries({ target: one.id }, NOW, () => event())
    expect(await turns(store.setWebhookStatus(one.id, 'disabled', NOW, event()))).toBeGreaterThan(10)
    expect(await count()).toEqual({ pending: 0, dead: many + 1 })
    // All that is over, however much came in a minute.
    await store.setWebhookStatus(one.id, 'active', NOW, event())
    await store.addEvents([happened()], NOW)
    expect(await turns(store.forgetDeliveries({ delivered: 0, dead: NOW + 1 }))).toBeGreaterThan(10)
    expect(await count()).toEqual({ pending: 1, dead: 0 })
    await store.addEvents(
      Array.from({ length: many }, () => happened()),
      NOW,
    )
    expect(await turns(store.removeWebhook(one.id, NOW, event()))).toBeGreaterThan(10)
    expect(await count()).toEqual({ pending: 0, dead: 0 })
  })

  test('a webhook has a place in the feed when it comes, changes and goes; there are no more than may be', async () => {
    const before = await store.lastRevocation()
    const one = hook()
    expect(await store.addWebhook(one, 0, event())).toBeNull()
    expect(await store.addWebhook(one, 1, event())).toBe(before + 1)
    expect(await store.addWebhook(hook(), 1, event())).toBeNull()
    await store.addEvents([happened()], NOW)
    expect(await store.setWebhookStatus(one.id, 'disabled', NOW, event())).toEqual({
      outcome: 'changed',
      seq: before + 2,
    })
    expect(await of(one.id)).toMatchObject([{ status: 'dead', lastError: 'webhook_disabled' }])
    expect(await store.setWebhookStatus(one.id, 'disabled', NOW, event())).toEqual({ outcome: 'unchanged' })
    expect(await store.setWebhookStatus(event().id, 'disabled', NOW, event())).toEqual({ outcome: 'not_found' })
    expect(await store.replayDeliveries({ target: one.id }, NOW, () => event())).toBe(0)
    await store.resealWebhook(one.id, new Uint8Array([7]))
    expect(await store.webhooks()).toMatchObject([{ id: one.id, status: 'disabled', types: ['user.updated'] }])
    expect([...((await store.webhooks())[0]?.sealedSecret ?? [])]).toEqual([7])
    expect(await store.removeWebhook(one.id, NOW, event())).toBe(before + 3)
    expect(await store.removeWebhook(one.id, NOW, event())).toBeNull()
    const { revocations } = await store.revocationsAfter(before, 10)
    expect(revocations.map(({ kind }) => kind)).toEqual(['events', 'events', 'events'])
  })
}
