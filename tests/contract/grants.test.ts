import { describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, type TestUser } from '../support/actors.ts'
import { nextMail, requested } from '../support/challenges.ts'
import { expectFields, expectProblem, TIME, UUID } from '../support/expectations.ts'
import { as } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { refreshApp, usesOf, VALID } from '../support/oauth/app-tokens.ts'
import type { OAuthClient } from '../support/oauth/clients.ts'
import { authorize, createApp, sentTo, tokensFor } from '../support/oauth/code-flow.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const ONLINE = 'openid modules'
const OFFLINE = 'openid modules offline_access'

describe('16: grants', () => {
  const clock = movingClock()
  const start = (env?: Record<string, string>) => inProcess(env, { layout: 'apart', clock })
  const here = running(start, { RATE_LIMIT: 'off', REFRESH_REUSE_GRACE: '0s', EMAIL_LOGIN: 'on' })
  const { auth, users } = here
  const bearer = ({ tokens }: Pick<TestUser, 'tokens'>) => ({ headers: as.bearer(tokens.access_token) })
  const grantsOf = async (user: Pick<TestUser, 'tokens'>) => (await auth('GET /auth/grants', bearer(user))).body.items
  const newUser = () => createUser(here.system, { email_verified: true })
  const ask = (user: Pick<TestUser, 'tokens'>, app: OAuthClient, fields: Record<string, unknown> = {}) =>
    authorize(here.system, user.tokens.access_token, app, fields)
  const tokensOf = (user: Pick<TestUser, 'tokens'>, app: OAuthClient, scope: string) =>
    tokensFor(here.system, user.tokens.access_token, app, { scope })
  const again = async ({ email, id }: TestUser, password = PASSWORD): Promise<TestUser> => ({
    id,
    email,
    tokens: (await logIn(here.system, email, password)).body,
  })

  const undo = async (user: TestUser) => {
    const { headers } = bearer(user)
    const { token } = await requested(here.system, 'email-change-request', { new_email: newEmail() }, headers)
    await auth('POST /auth/email-change-confirm', { headers, body: { token } })
    const mail = await nextMail(here.system, user.email, 0, 'undo-email')
    expect((await auth('POST /auth/email-change-undo', { body: { token: mail.token } })).status).toBe(204)
  }
  const NEW_PASSWORD = 'a wholly new password'
  const setStatus = ({ id }: TestUser, status: string) =>
    users(`PATCH /users/${id}`, { headers: as.operator, body: { status } })
  /** The ways in which the session ends, and whether grants with `offline_access` end too. */
  const ENDS: [name: string, offline: 'ends' | 'stays', end: (user: TestUser) => Promise<unknown>][] = [
    ['logout', 'stays', (user) => auth('POST /auth/logout', bearer(user))],
    [
      'logout by the refresh token',
      'stays',
      ({ tokens: { refresh_token } }) => auth('POST /auth/logout', { body: { refresh_token } }),
    ],
    [
      'the revocation of its token',
      'stays',
      ({ tokens }) => auth('POST /auth/revoke', { body: { token: tokens.access_token } }),
    ],
    [
      'the end of the session by its user',
      'stays',
      (user) => auth(`DELETE /auth/sessions/${user.tokens.session_id}`, bearer(user)),
    ],
    [
      'the end of the session by the operator',
      'stays',
      ({ tokens }) => auth(`DELETE /auth/sessions/${tokens.session_id}`, { headers: as.operator }),
    ],
    [
      'the reuse of its refresh token',
      'stays',
      async ({ tokens: { refresh_token } }) => {
        for (let n = 0; n < 2; n++) await auth('POST /auth/refresh', { body: { refresh_token } })
      },
    ],
    ['logout everywhere', 'ends', (user) => auth('POST /auth/logout-all', bearer(user))],
    [
      'the end of all sessions of the user by the operator',
      'ends',
      ({ id }) => auth(`DELETE /auth/sessions?user_id=${id}`, { headers: as.operator }),
    ],
    [
      'the end of all sessions of everyone',
      'ends',
      () => auth('DELETE /auth/sessions?all=true', { headers: as.operator }),
    ],
    [
      'a change of the password, which keeps the session itself',
      'ends',
      (user) =>
        users(`POST /users/${user.id}/change-password`, {
          ...bearer(user),
          body: { current_password: PASSWORD, new_password: NEW_PASSWORD },
        }),
    ],
    [
      'another password by the operator',
      'ends',
      ({ id }) =>
        users(`POST /users/${id}/set-password`, { headers: as.operator, body: { new_password: NEW_PASSWORD } }),
    ],
    [
      'a reset of the password',
      'ends',
      async ({ email }) => {
        const before = await auth('POST /auth/password-reset-request', { body: { email } })
        expect(before.status).toBe(202)
        const { token } = await nextMail(here.system, email, 0, 'reset-password')
        await auth('POST /auth/password-reset-confirm', { body: { token, new_password: NEW_PASSWORD } })
      },
    ],
    ['disabling the user', 'ends', (user) => setStatus(user, 'disabled')],
    [
      'disabling and enabling the user',
      'ends',
      async (user) => {
        for (const status of ['disabled', 'active']) await setStatus(user, status)
      },
    ],
    ['deleting the user', 'ends', ({ id }) => users(`DELETE /users/${id}`, { headers: as.operator })],
    ['undoing a change of the email', 'ends', undo],
  ]
  test.each(ENDS)('%s: a grant of the session ends with it, one with offline_access %s', async (_, expected, end) => {
    const user = await newUser()
    const [app, other] = [await createApp(here.system), await createApp(here.system, { first_party: false })]
    const online = await tokensOf(user, app, ONLINE)
    const offline = await tokensFor(here.system, user.tokens.access_token, other, { scope: OFFLINE, consent: 'given' })
    expect(await grantsOf(user)).toHaveLength(2)
    await end(user)
    expect(await usesOf(here.system, online.access_token)).not.toContain('valid')
    const isOver = expected === 'ends'
    expect((await usesOf(here.system, offline.access_token)).includes('valid')).toBe(!isOver)
    expect((await refreshApp(here.system, other, offline.refresh_token)).status).toBe(isOver ? 400 : 200)
    const now = [await again(user), await again(user, NEW_PASSWORD)].find(({ tokens }) => tokens.access_token)
    if (!now) return
    expect((await grantsOf(now)).map((grant: { client_id: string }) => grant.client_id)).toEqual(
      isOver ? [] : [other.id],
    )
    // The consent lasts as long: otherwise the app would get its access back without a question.
    const silent = sentTo(await ask(now, other, { scope: OFFLINE, prompt: 'none' }))
    expect(silent.get('error')).toBe(isOver ? 'consent_required' : null)
  })

  /** The ways in which the owner of an address gets an account back from someone who added apps to it. */
  const RECOVERIES: [name: string, email_verified: boolean, recover: (user: TestUser) => Promise<unknown>][] = [
    ['a first sign-in by mail', false, async () => undefined],
    ['undoing a change of the email', true, undo],
  ]
  test.each(RECOVERIES)('%s ends the consents that were given before', async (_, email_verified, recover) => {
    const user = await createUser(here.system, { email_verified })
    const app = await createApp(here.system, { first_party: false })
    await tokensFor(here.system, user.tokens.access_token, app, { scope: OFFLINE, consent: 'given' })
    await recover(user)
    const { token } = await requested(here.system, 'email-code-request', { email: user.email })
    const owner = { tokens: (await auth('POST /auth/email-code-login', { body: { token } })).body }
    expect(sentTo(await ask(owner, app, { scope: OFFLINE, prompt: 'none' })).get('error')).toBe('consent_required')
  })

  test('a grant of a session that expires is not listed, and one with offline access goes on', async () => {
    const user = await newUser()
    const app = await createApp(here.system)
    await tokensOf(user, app, ONLINE)
    const offline = await tokensOf(user, app, OFFLINE)
    clock.pass(6 * DAY)
    const next = await refreshApp(here.system, app, offline.refresh_token)
    clock.pass(2 * DAY)
    expect(await grantsOf(await again(user))).toMatchObject([{ offline: true }])
    expect((await refreshApp(here.system, app, next.body.refresh_token)).status).toBe(200)
  })

  test('the list has the apps of the user alone, newest first, and when they were last used', async () => {
    const [user, other, app] = [await newUser(), await newUser(), await createApp(here.system)]
    await tokensOf(user, app, ONLINE)
    clock.pass(MINUTE)
    const offline = await tokensOf(user, app, OFFLINE)
    await tokensOf(other, app, ONLINE)
    clock.pass(MINUTE)
    await refreshApp(here.system, app, offline.refresh_token)
    const [first, second, ...more] = await grantsOf(user)
    expect([first.offline, second.offline, more]).toEqual([true, false, []])
    for (const grant of [first, second]) {
      expectFields(grant, ['id', 'client_id', 'client_name', 'scopes', 'offline', 'created_at', 'last_used_at'])
      expect([grant.id, grant.created_at, grant.last_used_at]).toEqual([
        expect.stringMatching(UUID),
        expect.stringMatching(TIME),
        expect.stringMatching(TIME),
      ])
    }
    expect(Date.parse(first.last_used_at) - Date.parse(first.created_at)).toBeGreaterThanOrEqual(MINUTE)
    // A session of an app is not one of the user.
    const sessions = await auth('GET /auth/sessions', bearer(user))
    expect(sessions.body.items.map(({ id }: { id: string }) => id)).toEqual([user.tokens.session_id])
    expectProblem(await auth(`DELETE /auth/sessions/${first.id}`, bearer(user)), 404, 'session_not_found')
    expectProblem(await auth(`DELETE /auth/sessions/${first.id}`, { headers: as.operator }), 404, 'session_not_found')
    // The same app in the same session has one grant.
    await tokensOf(user, app, ONLINE)
    expect(await grantsOf(user)).toHaveLength(2)
  })

  test('a user ends grants of their own alone, after a recent authentication', async () => {
    const [user, other, app] = [await newUser(), await newUser(), await createApp(here.system)]
    const [offline, online] = [await tokensOf(user, app, OFFLINE), await tokensOf(user, app, ONLINE)]
    const grants: { id: string; offline: boolean }[] = await grantsOf(user)
    const id = grants.find((grant) => grant.offline)?.id ?? ''
    for (const [grant, by] of [
      [id, other],
      ['x', user],
      [user.tokens.session_id, user],
      [crypto.randomUUID(), user],
    ] as const)
      expectProblem(await auth(`DELETE /auth/grants/${grant}`, bearer(by)), 404, 'grant_not_found')
    expectProblem(await auth(`DELETE /auth/grants/${id}`, { headers: as.operator }), 403, 'forbidden')
    expect(await usesOf(here.system, offline.access_token)).toEqual(VALID)
    clock.pass(20 * MINUTE)
    expectProblem(await auth(`DELETE /auth/grants/${id}`, bearer(user)), 401, 'reauthentication_required')
    const later = await again(user)
    expect((await auth(`DELETE /auth/grants/${id.toUpperCase()}`, bearer(later))).status).toBe(204)
    expect(await usesOf(here.system, offline.access_token)).toEqual(['token_revoked', 'token_revoked'])
    expect((await refreshApp(here.system, app, offline.refresh_token)).body.error).toBe('invalid_grant')
    expect(await usesOf(here.system, online.access_token)).toEqual(VALID)
    expectProblem(await auth(`DELETE /auth/grants/${id}`, bearer(later)), 404, 'grant_not_found')
  })

  describe('consent', () => {
    const foreign = () => createApp(here.system, { first_party: false })
    const outcome = async (user: TestUser, app: OAuthClient, fields: Record<string, unknown> = {}) =>
      (await ask(user, app, fields)).body.outcome
    const errorOf = async (user: TestUser, app: OAuthClient, fields: Record<string, unknown>) =>
      sentTo(await ask(user, app, fields)).get('error')

    test('is remembered for each user, client and scope, and asked again for more', async () => {
      const [user, other, app, second] = [await newUser(), await newUser(), await foreign(), await foreign()]
      expect(await errorOf(user, app, { prompt: 'none' })).toBe('consent_required')
      const answer = await ask(user, app, { scope: 'openid email' })
      expect(answer.body).toMatchObject({ outcome: 'consent', redirect_to: null, scopes: ['openid', 'email'] })
      expect(await outcome(user, app, { scope: 'openid email' })).toBe('consent')
      expect(await outcome(user, app, { scope: 'openid email', consent: 'given' })).toBe('redirect')
      for (const scope of ['openid email', 'openid', 'email'])
        expect(await outcome(user, app, { scope })).toBe('redirect')
      expect(await errorOf(user, app, { prompt: 'none' })).toBeNull()
      for (const scope of ['openid profile', 'openid email offline_access', undefined])
        expect(await outcome(user, app, { scope })).toBe('consent')
      expect([await outcome(other, app), await outcome(user, second)]).toEqual(['consent', 'consent'])
      // What was given before stays given.
      await ask(user, app, { scope: 'profile', consent: 'given' })
      expect(await outcome(user, app, { scope: 'openid email profile' })).toBe('redirect')
      expect(await outcome(await again(user), app)).toBe('redirect')
    })

    test('is asked again by prompt=consent, and never for an app of the team otherwise', async () => {
      const [user, app, ofTeam] = [await newUser(), await foreign(), await createApp(here.system)]
      await ask(user, app, { consent: 'given' })
      expect(await outcome(user, app, { prompt: 'consent' })).toBe('consent')
      expect(await outcome(user, app, { prompt: 'consent', consent: 'given' })).toBe('redirect')
      expect(await outcome(user, ofTeam, { scope: OFFLINE })).toBe('redirect')
      expect(await outcome(user, ofTeam, { prompt: 'consent' })).toBe('redirect')
    })

    test('that is denied gives access_denied and no code, and is asked again', async () => {
      const [user, app] = [await newUser(), await foreign()]
      const sent = sentTo(await ask(user, app, { consent: 'denied' }))
      expect([sent.get('error'), sent.get('code'), sent.get('state')]).toEqual(['access_denied', null, 'the state'])
      expect(await outcome(user, app)).toBe('consent')
      await ask(user, app, { consent: 'given' })
      expect(await errorOf(user, app, { consent: 'denied' })).toBe('access_denied')
      for (const consent of ['yes', '', true, 'GIVEN']) expect((await ask(user, app, { consent })).status).toBe(400)
    })

    test('is forgotten when the user ends the grant, and stays when the app revokes a token', async () => {
      const [user, app] = [await newUser(), await foreign()]
      const tokens = await tokensFor(here.system, user.tokens.access_token, app, { scope: OFFLINE, consent: 'given' })
      await auth('POST /auth/revoke', { body: { token: tokens.refresh_token } })
      expect(await outcome(user, app, { scope: OFFLINE })).toBe('redirect')
      await tokensOf(user, app, OFFLINE)
      const [grant] = await grantsOf(user)
      await auth(`DELETE /auth/grants/${grant.id}`, bearer(user))
      expect(await outcome(user, app)).toBe('consent')
    })

    test('goes with the user: no row of theirs stays', async () => {
      const [user, app] = [await newUser(), await foreign()]
      await tokensFor(here.system, user.tokens.access_token, app, { scope: OFFLINE, consent: 'given' })
      const rows = async () => {
        const counts = ['consents', 'grants', 'sessions'].map(async (table) => {
          const ofUser = await databaseRows(
            here.system,
            'auth',
            `SELECT user_id FROM ${table} WHERE user_id = '${user.id}'`,
          )
          return ofUser.length
        })
        return await Promise.all(counts)
      }
      expect(await rows()).toEqual([1, 1, 2])
      await users(`DELETE /users/${user.id}`, { headers: as.operator })
      expect(await rows()).toEqual([0, 0, 0])
    })
  })
})
