import { afterEach, beforeEach, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { InstanceInTime } from '../faults/instance-in-time.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { byOperator } from '../support/http.ts'
import { emptyResponse, receivers, verified } from '../support/servers/receiver.ts'
import { SECRET } from '../support/settings.ts'

setDefaultTimeout(120_000)

const ADMIN = '/api/v1/admin/webhooks'

const receiver = receivers()

describe('webhooks, with a clock that the tests set', () => {
  const settings: Record<string, string> = {}
  let instance: InstanceInTime
  beforeEach(async () => {
    for (const name of Object.keys(settings)) delete settings[name]
    instance = new InstanceInTime(settings)
    await instance.start()
  })
  afterEach(() => instance.stop())

  const ask = async (request: string, body?: unknown) => {
    const answer = await instance.ask(request, byOperator(body))
    if (answer.status >= 300) throw new Error(`${request}: ${answer.status} ${answer.text}`)
    return answer.body
  }
  const addWebhook = (url: string, more: object = {}) => ask(`POST ${ADMIN}`, { url, types: ['user.created'], ...more })
  const deliveries = async (query = '') => (await ask(`GET ${ADMIN}/deliveries${query}`)).items
  const delivery = async (query = '') => (await deliveries(query))[0]
  /** Causes the event `user.created`. @returns the id of the user */
  const causeEvent = async () => (await ask('POST /api/v1/users', { email: newEmail(), password: PASSWORD })).id
  /** Waits until the delivery of a webhook has the given number of attempts. */
  const afterTries = (id: string, tries: number) =>
    eventually(async () => {
      const one = await delivery(`?webhook=${id}`)
      return one?.tries === tries ? one : undefined
    })
  /** Lets time pass, and causes an event of the user of `prepareWaking`, so that the deliverers read the clock. */
  const pass = async (ms: number) => {
    await instance.pass(ms)
    await ask(`PATCH /api/v1/users/${wakingUser}`, { name: `At ${instance.now()}` })
  }
  let wakingUser = ''
  /** Adds a webhook that receives the events of `pass`, and no test looks at. */
  const prepareWaking = async () => {
    const waking = receiver()
    await ask(`POST ${ADMIN}`, { url: waking.url, types: ['user.updated'] })
    wakingUser = (await ask('POST /api/v1/users', { email: newEmail(), password: PASSWORD })).id
    // The webhooks that a test adds do not get the event of this user's creation any more.
    await ask(`PATCH /api/v1/users/${wakingUser}`, { name: 'Ana' })
    await waking.has(1)
  }

  test('a failed attempt is repeated with the same message and a new signature until it is accepted', async () => {
    const to = receiver()
    to.answers = (_, at) =>
      [emptyResponse(500), emptyResponse(302, { location: `${to.url}/else` }), emptyResponse(204)][at - 1] ??
      emptyResponse(204)
    await prepareWaking()
    const { id, secret } = await addWebhook(to.url)
    const user = await causeEvent()
    const table: [tries: number, passes: number, status: number, error: string | null][] = [
      [1, 0, 500, 'refused'],
      [2, 1.2 * SECOND, 302, 'redirect'],
      [3, 6 * SECOND, 204, null],
    ]
    for (const [tries, passes, last_status, last_error] of table) {
      await pass(passes)
      expect(await afterTries(id, tries)).toMatchObject({ target: id, user_id: user, last_status, last_error })
    }
    await pass(DAY)
    expect(await delivery(`?webhook=${id}`)).toMatchObject({
      status: 'delivered',
      tries: 3,
      next_at: null,
      last_error: null,
    })
    expect(to.received.map(({ path }) => path)).toEqual(['/hook', '/hook', '/hook'])
    const [first] = to.received
    expect(first?.id).toBe(`msg_${first?.message.id}`)
    for (const one of to.received) {
      expect(verified(secret, one)).toEqual(first?.message as never)
      expect([one.id, one.body]).toEqual([first?.id, first?.body] as string[])
      expect(one.headers['content-type']).toBe('application/json')
    }
    const times = to.received.map(({ headers }) => Number(headers['webhook-timestamp']))
    expect(times.toSorted((a, b) => a - b)).toEqual([...new Set(times)])
    expect(new Set(to.received.map(({ headers }) => headers['webhook-signature'])).size).toBe(3)
    const [one] = to.received
    expect(() => verified(secret, { ...(one as NonNullable<typeof one>), body: `${one?.body} ` })).toThrow()
  })

  test('a delivery is attempted for about a day with growing backoff, fails then, and can be replayed', async () => {
    const to = receiver(() => emptyResponse(503))
    await prepareWaking()
    const { id, secret } = await addWebhook(to.url)
    await causeEvent()
    const began = instance.now()
    const pauses: number[] = []
    for (let tries = 1; ; tries++) {
      const one = await afterTries(id, tries)
      if (one.status === 'dead') break
      const pause = Date.parse(one.next_at) - instance.now()
      pauses.push(pause)
      // The attempt is not made before its time.
      await pass(pause - 1)
      await Bun.sleep(5)
      expect(to.received.length).toBe(tries)
      await pass(1)
    }
    expect(pauses.length).toBe(11)
    for (const [at, pause] of pauses.entries()) expect(pause).toBeGreaterThan((pauses[at - 1] ?? 0) * 0.8)
    expect(pauses[0]).toBeLessThan(2 * SECOND)
    const took = instance.now() - began
    expect([took > 21 * HOUR, took < 27 * HOUR]).toEqual([true, true])
    expect(await delivery('?status=dead')).toMatchObject({ tries: 12, last_status: 503, next_at: null })
    expect(await ask(`POST ${ADMIN}/replay`, { webhook: 'amqp' })).toEqual({ replayed: 0 })
    const { body } = await instance.ask('GET /metrics', byOperator())
    expect(body).toMatch(/ch202_deliveries_dead\{[^}]*\} 1/)

    to.answers = () => emptyResponse(200)
    expect(await ask(`POST ${ADMIN}/replay`, { webhook: id })).toEqual({ replayed: 1 })
    const [first, ...more] = await to.has(13)
    expect(more.every(({ id: again }) => again === first?.id)).toBe(true)
    expect(await afterTries(id, 1)).toMatchObject({ status: 'delivered' })
    expect(() => verified(secret, to.received[12] as never)).toThrow('timestamp too new')
    // A delivered message is sent again only on request.
    expect(await ask(`POST ${ADMIN}/replay`, {})).toEqual({ replayed: 0 })
    expect(await ask(`POST ${ADMIN}/replay`, { delivery: (await delivery(`?webhook=${id}`)).id })).toEqual({
      replayed: 1,
    })
    await to.has(14)
    expect((await ask('GET /api/v1/admin/audit?type=webhook.replayed')).items.length).toBe(4)
  })

  describe('R29: a pending delivery is sent at once when it is replayed', () => {
    /** A delivery that has failed twice and is pending, while its receiver works again. */
    const pendingDelivery = async () => {
      const to = receiver(() => emptyResponse(503))
      await prepareWaking()
      const { id } = await addWebhook(to.url)
      await causeEvent()
      await afterTries(id, 1)
      await pass(2 * SECOND)
      const one = await afterTries(id, 2)
      expect(Date.parse(one.next_at) - instance.now()).toBeGreaterThan(2 * SECOND)
      to.answers = () => emptyResponse(204)
      return { to, id, delivery: one.id }
    }

    test.each([
      ['by its id', (one: { delivery: string }) => ({ delivery: one.delivery })],
      ['by its status', () => ({ status: 'pending' })],
      ['by its webhook and its status', ({ id }: { id: string }) => ({ webhook: id, status: 'pending' })],
    ])('%s', async (_, which) => {
      const one = await pendingDelivery()
      expect(await ask(`POST ${ADMIN}/replay`, {})).toEqual({ replayed: 0 })
      expect(await ask(`POST ${ADMIN}/replay`, { webhook: one.id })).toEqual({ replayed: 0 })
      expect(await ask(`POST ${ADMIN}/replay`, which(one))).toEqual({ replayed: 1 })
      const [first, , third] = await one.to.has(3)
      expect(third?.id).toBe(first?.id as string)
      await eventually(async () => (await delivery(`?webhook=${one.id}`)).status === 'delivered')
      await pass(DAY)
      expect(one.to.received).toHaveLength(3)
      expect((await ask('GET /api/v1/admin/audit?type=webhook.replayed')).items[0].detail).toEqual({
        ...which(one),
        count: 1,
      })
    })

    test.each([
      ['accepted: it is received once', 204, 1],
      ['refused: it is sent again at once', 503, 2],
    ])('even during an attempt, which then is %s', async (_, answer, times) => {
      const { promise, resolve } = Promise.withResolvers<Response>()
      const to = receiver((_, at) => (at === 1 ? promise : emptyResponse(204)))
      await prepareWaking()
      const { id } = await addWebhook(to.url)
      await causeEvent()
      await to.has(1)
      const which = { delivery: (await delivery(`?webhook=${id}`)).id }
      for (let n = 0; n < 3; n++) expect(await ask(`POST ${ADMIN}/replay`, which)).toEqual({ replayed: 1 })
      await Bun.sleep(100)
      expect(to.received).toHaveLength(1)
      resolve(emptyResponse(answer))
      await eventually(async () => (await delivery(`?webhook=${id}`)).status === 'delivered')
      await pass(DAY)
      expect(to.received).toHaveLength(times)
    })
  })

  test('Retry-After is followed, within limits', async () => {
    const to = receiver((_, at) => emptyResponse(429, { 'retry-after': at === 1 ? '600' : '999999' }))
    await prepareWaking()
    const { id } = await addWebhook(to.url)
    await causeEvent()
    const first = await afterTries(id, 1)
    expect(Date.parse(first.next_at) - instance.now()).toBe(10 * MINUTE)
    await pass(10 * MINUTE)
    expect(Date.parse((await afterTries(id, 2)).next_at) - instance.now()).toBe(HOUR)
  })

  test('finished deliveries are deleted after 7 days, failed ones after 30, with their events', async () => {
    const [good, bad] = [receiver(), receiver(() => emptyResponse(410))]
    const one = await addWebhook(good.url)
    const other = await addWebhook(bad.url)
    await causeEvent()
    await eventually(async () => (await deliveries('?status=dead')).length === 1)
    await eventually(async () => (await deliveries('?status=delivered')).length === 1)
    const targets = async () => (await deliveries()).map(({ target }: { target: string }) => target)
    const table: [passes: number, left: string[]][] = [
      [7 * DAY - MINUTE, [other.id, one.id]],
      [2 * MINUTE, [other.id]],
      [23 * DAY - 2 * MINUTE, [other.id]],
      [2 * MINUTE, []],
    ]
    for (const [passes, remaining] of table) {
      await instance.pass(passes)
      await Bun.sleep(50)
      const isLeft = async () => String((await targets()).toSorted()) === String(remaining.toSorted())
      await eventually(isLeft).catch(async () => expect(await targets()).toEqual(remaining))
    }
  })

  test('a webhook that answers 410 is disabled, and gets events again once it is enabled', async () => {
    const to = receiver(() => emptyResponse(410))
    const { id } = await addWebhook(to.url)
    await causeEvent()
    const state = async () => (await ask(`GET ${ADMIN}`)).items[0].status
    await eventually(async () => (await state()) === 'disabled')
    expect(await delivery()).toMatchObject({ status: 'dead', tries: 1, last_status: 410, last_error: 'gone' })
    expect((await ask('GET /api/v1/admin/audit?type=webhook.disabled')).items).toMatchObject([
      { actor: 'auth', detail: { id } },
    ])
    // No webhook subscribes to the events now: none is stored, and none is replayed.
    await causeEvent()
    expect((await deliveries()).length).toBe(1)
    expect(await ask(`POST ${ADMIN}/replay`, {})).toEqual({ replayed: 0 })
    expect(await ask(`PATCH ${ADMIN}/${id}`, { status: 'active' })).toMatchObject({ id, status: 'active' })
    to.answers = () => emptyResponse(200)
    const user = await causeEvent()
    expect((await to.has(2))[1]?.message.data.user_id).toBe(user)
    expect(await ask(`POST ${ADMIN}/replay`, {})).toEqual({ replayed: 1 })
    await to.has(3)
  })

  test('a slow webhook does not delay others, and times out after 15 seconds', async () => {
    const timeouts: number[] = []
    const deliveriesOf15s: AbortController[] = []
    const timeout = AbortSignal.timeout.bind(AbortSignal)
    const spy = spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      timeouts.push(ms)
      if (ms !== 15_000) return timeout(ms)
      const controller = new AbortController()
      deliveriesOf15s.push(controller)
      return controller.signal
    })
    try {
      const slowAnswer = Promise.withResolvers<void>()
      const [slow, quick] = [receiver(() => slowAnswer.promise.then(() => emptyResponse(200))), receiver()]
      const { id } = await addWebhook(slow.url)
      await addWebhook(quick.url)
      for (let n = 0; n < 12; n++) await causeEvent()
      await quick.has(12)
      await slow.has(4)
      expect(slow.received.length).toBe(4)
      // The 15 seconds pass.
      for (const controller of deliveriesOf15s) controller.abort(new DOMException('Too slow', 'TimeoutError'))
      const late = await eventually(async () =>
        (await deliveries(`?webhook=${id}`)).find(({ tries }: { tries: number }) => tries === 1),
      )
      expect(late).toMatchObject({ status: 'pending', last_status: null, last_error: 'timeout' })
      expect(timeouts.filter((ms) => ms === 15_000).length).toBeGreaterThan(11)
      slowAnswer.resolve()
    } finally {
      spy.mockRestore()
    }
  })

  test('each of many events at once is received once', async () => {
    const to = receiver()
    const { id } = await addWebhook(to.url)
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 50 }, causeEvent))
    await to.has(150)
    await eventually(async () => (await deliveries(`?webhook=${id}&status=pending`)).length === 0)
    expect(new Set(to.received.map((one) => one.id)).size).toBe(150)
    expect(to.received).toHaveLength(150)
  })

  test('messages that are accepted at once arrive in order per user', async () => {
    const underWay: string[] = []
    const twice: string[] = []
    const to = receiver(async ({ message }) => {
      const user = message.data.user_id
      if (underWay.includes(user)) twice.push(user)
      underWay.push(user)
      await Bun.sleep(20 + Math.random() * 20)
      underWay.splice(underWay.indexOf(user), 1)
      return emptyResponse(200)
    })
    await addWebhook(to.url, { types: ['user.updated'] })
    const users = [await causeEvent(), await causeEvent(), await causeEvent()]
    const names = Array.from({ length: 12 }, (_, at) => `name ${at}`)
    for (const name of names) await Promise.all(users.map((user) => ask(`PATCH /api/v1/users/${user}`, { name })))
    const received = await to.has(36)
    for (const user of users) {
      const userData = received.map(({ message }) => message.data).filter((data) => data.user_id === user)
      expect(userData.map((data) => (data.user as { name: string }).name)).toEqual(names)
    }
    // One message per user at a time: concurrent ones could arrive in any order.
    expect(twice).toEqual([])
  })

  test('each webhook gets the types that it subscribed to, and other events are not stored', async () => {
    const ids = () => deliveries().then((items) => items.length)
    await causeEvent()
    expect(await ids()).toBe(0)
    const [some, all] = [receiver(), receiver()]
    const { id } = await addWebhook(some.url, { types: ['user.deleted', 'user.updated'] })
    await ask(`POST ${ADMIN}`, { url: all.url })
    const user = await causeEvent()
    await ask(`PATCH /api/v1/users/${user}`, { name: 'Ana' })
    await ask(`DELETE /api/v1/users/${user}`)
    await Promise.all([some.has(2), all.has(3)])
    expect(some.types().toSorted()).toEqual(['user.deleted', 'user.updated'])
    expect(all.types().toSorted()).toEqual(['user.created', 'user.deleted', 'user.updated'])
    const before = await ids()
    await ask(`DELETE ${ADMIN}/${id}`)
    expect(await ids()).toBe(before - 2)
    expect((await instance.ask(`DELETE ${ADMIN}/${id}`, byOperator())).status).toBe(404)
    await ask(`PATCH /api/v1/users/${await causeEvent()}`, { name: 'Ben' })
    await all.has(5)
    expect(some.received.length).toBe(2)
  })

  test('unsuitable addresses are refused', async () => {
    const table: [url: unknown, complaint: RegExp][] = [
      ['shop.example.org/hook', /https:/],
      ['ftp://shop.example.org', /https:/],
      ['javascript:alert(1)', /https:/],
      ['https://user:canary@shop.example.org', /password/],
      ['https://user@shop.example.org', /password/],
      ['https://shop.example.org/#canary', /fragment/],
      [`https://shop.example.org/${'x'.repeat(2000)}`, /2000/],
      [7, /string/],
      ['', /longer/],
    ]
    for (const [url, complaint] of table) {
      const answer = await instance.ask(`POST ${ADMIN}`, byOperator({ url }))
      expect([url, answer.status, answer.body.code]).toEqual([url, 400, 'validation_failed'])
      expect(answer.text).toMatch(complaint)
      expect(answer.text).not.toContain('canary')
    }
    for (const body of [{ types: [] }, { types: ['user.born'] }, { types: ['user.created', 'user.created'] }, { x: 1 }])
      expect((await instance.ask(`POST ${ADMIN}`, byOperator({ url: 'http://127.0.0.1:9', ...body }))).status).toBe(400)
    expect((await ask(`GET ${ADMIN}`)).items).toEqual([])
  })

  test('in production other machines need https', async () => {
    const production = new InstanceInTime({
      CH202_ENV: 'production',
      CH202_SECRET: `own-${crypto.randomUUID()}`,
      SMTP_URL: 'smtps://mail.example.org',
    })
    await production.start()
    const table: [url: string, status: number][] = [
      ['http://shop.example.org/', 400],
      ['http://10.0.0.1/', 400],
      ['http://localhost.example.org/', 400],
      ['http://localhost:9/', 201],
      ['http://127.0.0.1:9/', 201],
      ['http://[::1]:9/', 201],
      ['https://shop.example.org/', 201],
    ]
    for (const [url, code] of table)
      expect([url, (await production.ask(`POST ${ADMIN}`, byOperator({ url }))).status]).toEqual([url, code])
    await production.stop()
  })

  test('at most 50 webhooks can be added', async () => {
    const url = 'http://127.0.0.1:9/'
    // Sixty at once may keep a slow database busy for longer than a request waits.
    const add = async () => {
      const answer = await instance.ask(`POST ${ADMIN}`, byOperator({ url }))
      return answer.status === 503 ? undefined : answer
    }
    const some = await Promise.all(Array.from({ length: 60 }, () => eventually(add)))
    expect(some.filter((one) => one.status === 201).length).toBe(50)
    expect(some.filter((one) => one.status === 400 && /50 webhooks/.test(one.text)).length).toBe(10)
    const items = (await ask(`GET ${ADMIN}`)).items
    expect(items.length).toBe(50)
    await ask(`DELETE ${ADMIN}/${items[0].id}`)
    await addWebhook(url)
  })

  test('a secret survives a new CH202_SECRET, and without the one that sealed it nothing is sent', async () => {
    const to = receiver()
    const { secret } = await addWebhook(to.url)
    const second = `second-${SECRET}`
    for (const [count, secrets] of [`${second},${SECRET}`, second].entries()) {
      settings.CH202_SECRET = secrets
      await instance.restart(0)
      await causeEvent()
      verified(secret, (await to.has(count + 1)).at(-1) as never)
    }
  })
})
