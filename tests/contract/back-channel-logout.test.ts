import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test'
import { KeyRing } from '../../services/auth/keys/ring.ts'
import { DAY, HOUR, MINUTE } from '../../services/kit/clock.ts'
import { logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { type Answer, as, type Client, call, form } from '../support/http.ts'
import { mailedToken, mailsTo, resetLinkIn } from '../support/mails.ts'
import { movingClock } from '../support/moving-clock.ts'
import { basic, type OAuthClient } from '../support/oauth/clients.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { type LogoutReceiver, logoutReceiver, logoutRows, verifyLogout } from '../support/servers/logout-receiver.ts'
import { inProcess, type System } from '../support/system.ts'

const PRIVATE = { OAUTH_PRIVATE_HOSTS: '127.0.0.1', RATE_LIMIT: 'off' }
const OTHER = 'a wholly new password'
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }

/** The notices about a user that wait. */
const waiting = (system: System, userId: string) =>
  databaseRows<{ tries: number }>(system, 'auth', `SELECT tries FROM client_logouts WHERE user_id = '${userId}'`)

/** Resolves when no notice about a user waits, and each client was names. */
async function settled(system: System, receiver: LogoutReceiver, userId: string, count: number) {
  await eventually(() => receiver.about(userId).length >= count)
  await eventually(async () => (await waiting(system, userId)).length === 0)
}

interface Case {
  system: System
  user: TestUser
  email: string
  offline: { app: OAuthClient; refresh_token: string }
  grantOf(app: OAuthClient): Promise<string>
  app: OAuthClient
}

/** The ways in which the session of a user ends, or what apps got in it, and which apps are names. */
const CAUSES: Record<string, { end(scene: Case): Promise<Answer>; names?: ('app' | 'offline')[]; status?: number }> = {
  logout: {
    end: ({ system, user }) =>
      call(system.url.auth, 'POST /auth/logout', { headers: as.bearer(user.tokens.access_token), body: {} }),
  },
  'logout from everywhere': {
    end: ({ system, user }) =>
      call(system.url.auth, 'POST /auth/logout-all', { headers: as.bearer(user.tokens.access_token), body: {} }),
    status: 200,
  },
  'the user ends the session': {
    end: ({ system, user: { tokens } }) =>
      call(system.url.auth, `DELETE /api/v1/auth/sessions/${tokens.session_id}`, {
        headers: as.bearer(tokens.access_token),
      }),
  },
  'an operator ends all sessions of the user': {
    end: ({ system, user: { id } }) =>
      call(system.url.auth, `DELETE /api/v1/auth/sessions?user_id=${id}`, { headers: as.operator }),
    status: 200,
  },
  'an operator ends all sessions of everyone': {
    end: ({ system }) => call(system.url.auth, 'DELETE /api/v1/auth/sessions?all=true', { headers: as.operator }),
    status: 200,
  },
  'a refresh token of the session is used twice': {
    async end({ system, user: { tokens } }) {
      let { refresh_token } = tokens
      for (let n = 0; n < 2; n++)
        refresh_token = (await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })).body
          .refresh_token
      return await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token: tokens.refresh_token } })
    },
    status: 401,
  },
  // The session stays, the grants do not.
  'the user changes the password': {
    end: ({ system, user: { id, tokens } }) =>
      call(system.url.users, `POST /api/v1/users/${id}/change-password`, {
        headers: as.bearer(tokens.access_token),
        body: { current_password: PASSWORD, new_password: OTHER },
      }),
  },
  'the password is reset by mail': {
    async end({ email, system }) {
      const post: Client = (request, options) => call(system.url.auth, request.replace(' ', ' /api/v1'), options)
      const token = await mailedToken(post, system, email)
      return await post('POST /auth/password-reset-confirm', { body: { token, new_password: OTHER } })
    },
  },
  'the user is disabled': {
    end: ({ system, user: { id } }) =>
      call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { status: 'disabled' } }),
    status: 200,
  },
  'the user is deleted': {
    end: ({ system, user: { id } }) => call(system.url.users, `DELETE /api/v1/users/${id}`, { headers: as.operator }),
  },
  'a change of the email is undone': {
    async end({ email, system, user: { id } }) {
      await call(system.url.users, `PATCH /api/v1/users/${id}`, {
        headers: as.operator,
        body: { email_verified: true },
      })
      await call(system.url.users, `PATCH /api/v1/users/${id}`, { headers: as.operator, body: { email: newEmail() } })
      // Other mails to a new user may arrive at any time.
      const mail = await eventually(() => mailsTo(system, email, 'undo-email')[0])
      const token = resetLinkIn(mail).searchParams.get('token')
      return await call(system.url.auth, 'POST /api/v1/auth/email-change-undo', { body: { token } })
    },
  },
  'the user ends what an app got': {
    async end({ app, grantOf, system, user }) {
      const headers = as.bearer(user.tokens.access_token)
      return await call(system.url.auth, `DELETE /auth/grants/${await grantOf(app)}`, { headers })
    },
    names: ['app'],
  },
  'an app revokes its refresh token': {
    end: ({ offline: { app, refresh_token }, system }) =>
      call(system.url.auth, 'POST /auth/revoke', form({ token: refresh_token }, basic(app.id, app.client_secret))),
    status: 200,
    names: ['offline'],
  },
}

/** Signs a user in to apps. */
async function signIn(system: System, ...apps: [OAuthClient, string][]) {
  const user = await registerUser(system)
  const tokens = []
  for (const [app, scope] of apps) tokens.push(await tokensFor(system, user.tokens.access_token, app, { scope }))
  return { user, tokens }
}

describe('16: apps are told of the end of a session', () => {
  const here = running(inProcess, PRIVATE)
  const receiver = logoutReceiver()
  const apps = {} as Record<'app' | 'offline' | 'silent', OAuthClient>
  beforeAll(async () => {
    apps.app = await createApp(here.system, { backchannel_logout_uri: `${receiver.url}/app`, id_token_alg: 'RS256' })
    apps.offline = await createApp(here.system, { backchannel_logout_uri: `${receiver.url}/offline` })
    apps.silent = await createApp(here.system)
  })

  test.each(Object.entries(CAUSES))('%s', async (_, { end, status = 204, names = ['app', 'offline'] }) => {
    const { system } = here
    const { app, offline, silent } = apps
    const { tokens, user } = await signIn(
      system,
      [app, 'openid'],
      [silent, 'openid'],
      [offline, 'openid offline_access'],
      [offline, 'openid'],
    )
    const list = await call(system.url.auth, 'GET /auth/grants', { headers: as.bearer(user.tokens.access_token) })
    const grantOf = async ({ id }: OAuthClient) =>
      list.body.items.find(({ client_id }: { client_id: string }) => client_id === id).id
    const answer = await end({
      system,
      user,
      email: user.email,
      app,
      offline: { app: offline, refresh_token: tokens[2]?.refresh_token ?? '' },
      grantOf,
    })
    expect([answer.text, answer.status]).toEqual([expect.anything(), status])
    await settled(system, receiver, user.id, names.length)
    const received = receiver.about(user.id)
    expect(received.map(({ path }) => path).sort()).toEqual(names.map((name) => `/${name}`))
    for (const { contentType, path, token } of received) {
      expect(contentType).toBe('application/x-www-form-urlencoded')
      const audience = apps[path.slice(1) as 'app'].id
      const { header, payload } = await verifyLogout(system, token, system.url.auth, audience)
      expect(payload).toMatchObject({ sub: user.id, sid: user.tokens.session_id, aud: audience, events: EVENTS })
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(120)
      expect(payload.nonce).toBeUndefined()
      if (path === '/app') expect(header.alg).toBe('RS256')
    }
    const rows = await eventually(async () => {
      const rows = await logoutRows(system, user.id)
      return rows.length >= names.length ? rows : undefined
    })
    expect(rows.map(({ detail, type }) => [type, detail.client_id, detail.session_id]).sort()).toEqual(
      names.map((name) => ['client.logout_acknowledged', apps[name].id, user.tokens.session_id]).sort(),
    )
  })
})

describe('16: apps that do not answer', () => {
  const clock = movingClock()
  const [receiver, other] = [logoutReceiver(), logoutReceiver()]
  /** The work that auth does every minute. */
  const everyMinute: (() => void)[] = []
  const here = running(async (env) => {
    const { setInterval } = globalThis
    const spy = spyOn(globalThis, 'setInterval').mockImplementation(((run: () => void, ms: number) => {
      if (ms === MINUTE) everyMinute.push(run)
      return setInterval(run, ms)
    }) as typeof globalThis.setInterval)
    const system = await inProcess({ ...PRIVATE, ...env }, { clock })
    spy.mockRestore()
    return system
  })
  afterAll(() => {
    receiver.answers = () => new Response()
  })
  const logOut = ({ tokens }: TestUser) =>
    call(here.system.url.auth, 'POST /auth/logout', { headers: as.bearer(tokens.access_token), body: {} })
  const appAt = (backchannel_logout_uri: string) => createApp(here.system, { backchannel_logout_uri })

  test('a session that expires', async () => {
    const { user } = await signIn(here.system, [await appAt(`${receiver.url}/expiry`), 'openid'])
    clock.pass(400 * DAY)
    for (const run of everyMinute) run()
    await settled(here.system, receiver, user.id, 1)
    expect(receiver.about(user.id)).toHaveLength(1)
    expect(await logoutRows(here.system, user.id)).toHaveLength(1)
  })

  test('one that is down for an hour is told afterwards, once', async () => {
    const { user } = await signIn(here.system, [await appAt(`${receiver.url}/down`), 'openid'])
    receiver.answers = () => new Response('no', { status: 503 })
    await logOut(user)
    const tried = (tries: number) =>
      eventually(async () => ((await waiting(here.system, user.id))[0]?.tries ?? 0) >= tries)
    await tried(1)
    clock.pass(HOUR)
    await tried(2)
    expect(await logoutRows(here.system, user.id)).toEqual([])
    receiver.answers = () => new Response(null, { status: 204 })
    const failed = receiver.about(user.id).length
    clock.pass(6 * MINUTE)
    await settled(here.system, receiver, user.id, failed + 1)
    const received = receiver.about(user.id)
    expect(received).toHaveLength(failed + 1)
    expect(new Set(received.map(({ claims }) => claims.jti)).size).toBe(received.length)
    expect((await logoutRows(here.system, user.id)).map(({ type }) => type)).toEqual(['client.logout_acknowledged'])
  })

  test('one that is down for a day is given up, and the audit has why', async () => {
    const app = await appAt(`${receiver.url}/gone`)
    const { user } = await signIn(here.system, [app, 'openid'])
    receiver.answers = () => new Response(null, { status: 500 })
    await logOut(user)
    await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
    clock.pass(DAY + MINUTE)
    await settled(here.system, receiver, user.id, 2)
    receiver.answers = () => new Response()
    expect(await logoutRows(here.system, user.id)).toMatchObject([
      { type: 'client.logout_failed', detail: { client_id: app.id, reason: 'The answer was 500', tries: 2 } },
    ])
  })

  test('one for which there is no key is tried again, and given up after a day', async () => {
    const app = await appAt(`${receiver.url}/keyless`)
    const { user } = await signIn(here.system, [app, 'openid'])
    const spy = spyOn(KeyRing.prototype, 'signingIdTokens').mockImplementation(() => {
      throw new Error('No key')
    })
    try {
      await logOut(user)
      await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
      clock.pass(DAY + MINUTE)
      await eventually(async () => (await waiting(here.system, user.id)).length === 0)
    } finally {
      spy.mockRestore()
    }
    expect(receiver.about(user.id)).toEqual([])
    expect(await logoutRows(here.system, user.id)).toMatchObject([
      {
        type: 'client.logout_failed',
        detail: { client_id: app.id, reason: 'The notice could not be sent', tries: 2 },
      },
    ])
  })

  test('one that hangs delays no other, and no logout', async () => {
    const hanging = Promise.withResolvers<Response>()
    receiver.answers = () => hanging.promise
    const slow = await appAt(`${receiver.url}/slow`)
    const { user } = await signIn(here.system, [slow, 'openid'], [await appAt(`${other.url}/quick`), 'openid'])
    expect((await logOut(user)).status).toBe(204)
    expect((await waiting(here.system, user.id)).length).toBeGreaterThan(0)
    await eventually(() => receiver.about(user.id).length === 1)
    await eventually(async () => (await logoutRows(here.system, user.id)).length === 1)
    expect(other.about(user.id)).toHaveLength(1)
    expect((await waiting(here.system, user.id)).map(({ tries }) => tries)).toEqual([0])
    hanging.resolve(new Response())
    receiver.answers = () => new Response()
    await settled(here.system, receiver, user.id, 1)
  })

  test('one app gets one notice at a time', async () => {
    let [open, most] = [0, 0]
    receiver.answers = async () => {
      most = Math.max(most, ++open)
      await Bun.sleep(100)
      open--
      return new Response()
    }
    const app = await appAt(`${receiver.url}/many`)
    const users: TestUser[] = []
    for (let n = 0; n < 4; n++) users.push((await signIn(here.system, [app, 'openid'])).user)
    for (const user of users) {
      await logOut(user)
      await eventually(() => open > 0 || receiver.about(user.id).length > 0)
    }
    for (const { id } of users) await settled(here.system, receiver, id, 1)
    receiver.answers = () => new Response()
    expect(most).toBe(1)
  })

  test('a redirect is not followed', async () => {
    receiver.answers = ({ path }) =>
      path === '/redirect' ? Response.redirect(`${other.url}/elsewhere`, 302) : new Response()
    const { user } = await signIn(here.system, [await appAt(`${receiver.url}/redirect`), 'openid'])
    await logOut(user)
    await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
    expect(other.about(user.id)).toEqual([])
    receiver.answers = () => new Response()
    clock.pass(MINUTE)
    await settled(here.system, receiver, user.id, 2)
  })

  test('one that is disabled gets nothing more', async () => {
    receiver.answers = () => new Response(null, { status: 500 })
    const app = await appAt(`${receiver.url}/disabled`)
    const { user } = await signIn(here.system, [app, 'openid'])
    await logOut(user)
    await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
    const body = { status: 'disabled' }
    await call(here.system.url.auth, `PATCH /api/v1/admin/clients/${app.id}`, { headers: as.operator, body })
    const before = receiver.about(user.id).length
    clock.pass(HOUR)
    for (const run of everyMinute) run()
    await eventually(async () => (await waiting(here.system, user.id)).length === 0)
    expect(receiver.about(user.id)).toHaveLength(before)
    expect(await logoutRows(here.system, user.id)).toEqual([])
  })

  test('what ended before a crash is sent after the next start', async () => {
    receiver.answers = () => new Response(null, { status: 503 })
    const { user } = await signIn(here.system, [await appAt(`${receiver.url}/crash`), 'openid'])
    await logOut(user)
    await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
    await here.system.kill('auth')
    receiver.answers = () => new Response()
    await here.system.start('auth')
    clock.pass(MINUTE)
    await eventually(async () => (await logoutRows(here.system, user.id)).length === 1)
    expect(receiver.about(user.id)).toHaveLength(2)
  })

  test('a stop does not wait for one that hangs', async () => {
    receiver.answers = () => new Promise(() => {})
    const { user } = await signIn(here.system, [await appAt(`${receiver.url}/stop`), 'openid'])
    await logOut(user)
    await eventually(() => receiver.about(user.id).length === 1)
    await here.system.terminate('auth')
    receiver.answers = () => new Response()
    await here.system.start('auth')
    await settled(here.system, receiver, user.id, 2)
  })
})

describe('16: addresses that are not public', () => {
  const clock = movingClock()
  const receiver = logoutReceiver()
  const here = running(() => inProcess({ RATE_LIMIT: 'off' }, { clock }))

  test('are not called, and the audit has why', async () => {
    const address = receiver.url.replace('http://127.0.0.1', 'https://localhost')
    const app = await createApp(here.system, { backchannel_logout_uri: address })
    const { user } = await signIn(here.system, [app, 'openid'])
    await call(here.system.url.auth, 'POST /auth/logout', {
      headers: as.bearer(user.tokens.access_token),
      body: {},
    })
    await eventually(async () => (await waiting(here.system, user.id))[0]?.tries === 1)
    clock.pass(DAY + MINUTE)
    const [row] = await eventually(async () => {
      const rows = await logoutRows(here.system, user.id)
      return rows.length > 0 ? rows : undefined
    })
    expect(row).toMatchObject({
      type: 'client.logout_failed',
      detail: { reason: 'The host has an address that is not public' },
    })
    expect(receiver.received).toEqual([])
    expect((await logIn(here.system, user.email)).status).toBe(200)
  })
})
