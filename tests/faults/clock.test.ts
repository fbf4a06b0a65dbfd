import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { DAY, HOUR, MINUTE, SECOND } from '../../services/kit/clock.ts'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { RESET_PAGE } from '../support/mails.ts'
import {
  assertionClaims,
  assertionFields,
  createClient,
  newClientKey,
  requestToken,
  signAssertion,
} from '../support/oauth/clients.ts'
import { changeClient, type Machine, newMachine } from '../support/oauth/machines.ts'
import { keyServers } from '../support/servers/key-servers.ts'
import { InstanceInTime } from './instance-in-time.ts'

setDefaultTimeout(120_000)

const FORTH_AND_BACK = [HOUR, -HOUR, HOUR, -HOUR]
const BACK_AND_FORTH = [-HOUR, HOUR, -HOUR, HOUR]
const operator = { headers: as.operator }

/** The three services in this process, on a clock that an administrator sets. Requests go over HTTP. */
describe.each([
  ['forward and back, twice', FORTH_AND_BACK],
  ['back and forward, twice', BACK_AND_FORTH],
])('check 35: the clock an hour %s', (_, steps) => {
  let instance: InstanceInTime
  beforeAll(async () => {
    // The instance replaces the intervals of this process: only one may run at a time.
    instance = new InstanceInTime({
      RATE_LIMIT: 'on',
      JWT_EXPIRE: '1h',
      REFRESH_EXPIRE: '3h',
      OAUTH_PRIVATE_HOSTS: '127.0.0.1',
    })
    await instance.start()
  })
  afterAll(() => instance.stop())
  const servers = keyServers()

  const ask = (request: string, options?: Parameters<InstanceInTime['ask']>[1]) =>
    instance.ask(request.replace(' ', ' /api/v1'), options)
  const register = async () => {
    const email = newEmail()
    const { body } = await ask('POST /auth/register', { body: { email, password: PASSWORD } })
    return { email, id: body.id as string, ...body.tokens }
  }
  const login = (email: string, password = PASSWORD) => ask('POST /auth/login', { body: { login: email, password } })
  const refresh = (refresh_token: string) => ask('POST /auth/refresh', { body: { refresh_token } })
  /** The answer of each of the three services to a token. */
  const each = async (token: string, id: string) => {
    const headers = as.bearer(token)
    const requests = [
      ask('GET /auth/me', { headers }),
      ask(`GET /users/${id}`, { headers }),
      ask('GET /modules/', { headers }),
    ]
    return (await Promise.all(requests)).map(({ status }) => status)
  }
  /** Lets a little time pass after each step, so that the work of each second and each minute is done. */
  const afterEach = async (look: (step: number) => Promise<void>) => {
    for (const [at, step] of steps.entries()) {
      instance.step(step)
      await instance.pass(2 * MINUTE)
      await look(at)
    }
  }

  test('revoked tokens stay revoked, and valid tokens stay valid', async () => {
    const [loggedOut, disabled, deleted, stripped, liveUser] = [
      await register(),
      await register(),
      await register(),
      await register(),
      await register(),
    ]
    const { token: ofClient } = await newMachine({ url: { auth: instance.url } }, { scopes: ['users:read'] })
    /** The answers of users and of auth to the token of the client. */
    const usesOfClient = async () => {
      const introspection = await ask('POST /auth/introspect', { headers: as.internal, body: { token: ofClient } })
      return [(await ask('GET /users', { headers: as.bearer(ofClient) })).status, introspection.body.active]
    }
    expect(await usesOfClient()).toEqual([200, true])
    await instance.pass(20 * MINUTE)
    expect((await ask('POST /auth/revoke', { body: { token: ofClient } })).status).toBe(200)
    expect((await ask('POST /auth/logout', { headers: as.bearer(loggedOut.access_token) })).status).toBe(204)
    await ask(`PATCH /users/${disabled.id}`, { ...operator, body: { status: 'disabled' } })
    await ask(`DELETE /users/${deleted.id}`, operator)
    await ask(`PATCH /users/${stripped.id}`, { ...operator, body: { roles: ['USER', 'EDITOR'] } })
    const ended = [loggedOut, disabled, deleted, stripped]
    for (const one of ended) expect(await each(one.access_token, one.id)).toEqual([401, 401, 401])

    let current = liveUser
    await afterEach(async () => {
      for (const [index, one] of ended.entries())
        expect([index, await each(one.access_token, one.id)]).toEqual([index, [401, 401, 401]])
      expect(await usesOfClient()).toEqual([401, false])
      for (const { refresh_token } of [loggedOut, disabled, deleted])
        expectProblem(await refresh(refresh_token), 401, 'invalid_refresh_token')
      // Rotated longer ago than the grace: a step back must not bring the grace back.
      const next = await refresh(current.refresh_token)
      expect(next.status).toBe(200)
      current = { ...liveUser, ...next.body }
      expect(await each(current.access_token, liveUser.id)).toEqual([200, 200, 200])
    })
    // The session is shorter by the step at most.
    await instance.pass(HOUR + 50 * MINUTE)
    expect((await refresh(current.refresh_token)).status).toBe(200)
  })

  test('tokens of clients that were disabled or deleted stay refused, and an assertion works once', async () => {
    const at = { url: { auth: instance.url } }
    const machines = {
      disabled: await newMachine(at, { scopes: ['users:read'] }),
      deleted: await newMachine(at, { scopes: ['users:read'] }),
    }
    const key = await newClientKey()
    const { id } = await createClient(at as never, { jwks_uri: servers(key).url })
    const now = Math.floor(instance.now() / SECOND)
    const endpoint = `${instance.url}/oauth/token`
    const claims = { ...assertionClaims(id, endpoint), iat: now, exp: now + HOUR / SECOND }
    const fields = assertionFields(await signAssertion(key, claims))
    const useAssertion = async () => (await requestToken(at as never, fields)).status
    expect(await useAssertion()).toBe(200)
    await instance.pass(10 * MINUTE)
    /** The answer of each service on a route that no scope opens: 403 for a valid token. */
    const eachOf = async ({ token }: Machine) => {
      const headers = as.bearer(token)
      const requests = ['GET /admin/keys', 'GET /users/export', 'POST /modules/none/enable']
      return (await Promise.all(requests.map((line) => ask(line, { headers })))).map(({ status }) => status)
    }
    for (const machine of Object.values(machines)) expect(await eachOf(machine)).toEqual([403, 403, 403])
    await changeClient(at, machines.disabled.id, { status: 'disabled' })
    await changeClient(at, machines.deleted.id)
    const look = async () => {
      for (const [name, machine] of Object.entries(machines))
        expect([name, await eachOf(machine)]).toEqual([name, [401, 401, 401]])
      expect(await useAssertion()).toBe(401)
    }
    await look()
    await afterEach(look)
  })

  test('a session that ends while the clock is wrong ends everywhere within a second', async () => {
    await afterEach(async () => {
      const [one, other] = [await register(), await register()]
      await ask(`PATCH /users/${one.id}`, { ...operator, body: { status: 'disabled' } })
      await ask('POST /auth/logout', { headers: as.bearer(other.access_token) })
      expect(await each(other.access_token, other.id)).toEqual([401, 401, 401])
      await eventually(async () => (await each(one.access_token, one.id)).every((status) => status === 401))
      expectProblem(await login(one.email), 403, 'account_disabled')
    })
  })

  test('lists, cursors and ids keep working', async () => {
    const createdIds: string[] = []
    const make = async () => createdIds.push((await register()).id)
    for (let n = 0; n < 4; n++) await make()
    await afterEach(async () => {
      const first = await ask('GET /users?size=3', operator)
      const firstIds = first.body.items.map(({ id }: { id: string }) => id)
      instance.step(HOUR)
      await make()
      instance.step(-HOUR)
      await make()
      for (let cursor = first.body.next_cursor; cursor; ) {
        const { body, status } = await ask(`GET /users?size=3&cursor=${encodeURIComponent(cursor)}`, operator)
        expect(status).toBe(200)
        firstIds.push(...body.items.map(({ id }: { id: string }) => id))
        cursor = body.next_cursor
      }
      expect(new Set(firstIds).size).toBe(firstIds.length)
      // Users that existed when the walk began are in it.
      for (const id of createdIds.slice(0, -2)) expect(firstIds).toContain(id)
    })
    expect(new Set(createdIds).size).toBe(createdIds.length)
    const events = (await ask('GET /admin/audit?size=200', operator)).body.items.map(({ id }: { id: string }) => id)
    expect(new Set(events).size).toBe(events.length)
  })

  test('a lockout is longer by the step at most', async () => {
    const [paused, innocent, refreshing] = [await register(), await register(), await register()]
    instance.step(steps[0] ?? 0)
    for (let n = 0; n < 10; n++)
      expectProblem(await login(paused.email, 'not the right one'), 401, 'invalid_credentials')
    expectProblem(await login(paused.email), 429, 'rate_limited')
    let token = refreshing.refresh_token
    for (let n = 0; n < 150; n++) token = (await refresh(token)).body.refresh_token
    expectProblem(await refresh(token), 429, 'rate_limited')
    for (const step of steps.slice(1)) {
      instance.step(step)
      expect((await login(innocent.email)).status).toBe(200)
      const answers = [await login(paused.email), await refresh(token)]
      for (const { headers, status } of answers) {
        expect([200, 401, 429]).toContain(status)
        if (status === 429) expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(HOUR / SECOND + 300)
      }
      token = answers[1]?.body.refresh_token ?? token
    }
    await instance.pass(HOUR + MINUTE)
    expect((await login(paused.email)).status).toBe(200)
    expect((await refresh(token)).status).toBe(200)
  })

  test('a key retires when its last token has expired, and a link in a mail expires on time', async () => {
    const one = await register()
    const keys = async () => (await instance.ask('GET /.well-known/jwks.json')).body.keys.length
    await ask('POST /admin/keys/rotate?now=true', operator)
    expect(await keys()).toBe(2)
    await afterEach(async () => {
      const next = await refresh(one.refresh_token)
      expect(next.status).toBe(200)
      one.refresh_token = next.body.refresh_token
      expect(await each(next.body.access_token, one.id)).toEqual([200, 200, 200])
    })
    await instance.pass(2 * HOUR)
    expect(await keys()).toBe(1)
    // At most one rotation: the age of a key is counted from its creation.
    const { body } = await ask('GET /admin/keys', operator)
    expect(body.items.map(({ status }: { status: string }) => status)).toEqual(['active'])

    await ask('POST /auth/password-reset-request', { body: { email: one.email } })
    // A registration sends a mail too.
    const mail = await eventually(() =>
      instance.mails.findLast(({ text, to }) => to === one.email && text.includes(`/${RESET_PAGE}?`)),
    )
    const reset = decodeURIComponent(/token=([^\s&]+)/.exec(mail.text)?.[1] ?? '')
    instance.step(-HOUR)
    await instance.pass(MINUTE)
    instance.step(HOUR)
    const confirmed = { token: reset, new_password: 'quite another phrase' }
    expect((await ask('POST /auth/password-reset-confirm', { body: confirmed })).status).toBe(204)
    await instance.pass(DAY)
    expect((await login(one.email, 'quite another phrase')).status).toBe(200)
  })
})
