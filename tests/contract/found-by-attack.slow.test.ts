import { describe, expect, test } from 'bun:test'
import { SECOND } from '../../services/kit/clock.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const OTHER = 'another long phrase'

describe('regressions from security reviews', () => {
  const clock = movingClock()
  const settings = { RATE_LIMIT: 'off', REFRESH_REUSE_GRACE: '60s' }
  const here = running(() => inProcess(settings, { layout: 'apart', clock }))

  const setPassword = (id: string, new_password: string) =>
    call(here.system.url.users, `POST /users/${id}/set-password`, { headers: as.operator, body: { new_password } })
  const refresh = (refresh_token: string) =>
    call(here.system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
  const statusesOf = async (token: string) => {
    const headers = as.bearer(token)
    const requests = [
      call(here.system.url.users, 'GET /users/00000000-0000-7000-8000-000000000000', { headers }),
      call(here.system.url.modules, 'GET /modules/', { headers }),
      call(here.system.url.auth, 'GET /auth/me', { headers }),
    ]
    return (await Promise.all(requests)).map(({ status }) => status)
  }

  test('a prefix of a password is refused, for every length', async () => {
    for (const length of [71, 72, 73, 100]) {
      const password = `${'x'.repeat(length - 1)}Q`
      const email = newEmail()
      const body = { email, password }
      expect((await call(here.system.url.users, 'POST /users', { body })).status).toBe(201)
      expect([length, (await logIn(here.system, email, password)).status]).toEqual([length, 200])
      for (const end of ['!', 'anything'])
        expect([length, (await logIn(here.system, email, password + end)).status]).toEqual([length, 401])
    }
    // A bcrypt hash of another product covers the first 72 bytes: the first login checks it so, and rehashes it.
    const long = 'y'.repeat(80)
    const password_hash = await Bun.password.hash('y'.repeat(72), { algorithm: 'bcrypt', cost: 5 })
    const email = newEmail()
    await call(here.system.url.users, 'POST /users', { headers: as.operator, body: { email, password_hash } })
    expect((await logIn(here.system, email, long)).status).toBe(200)
  })

  test('an old password opens no session during its change, even when the user is not in the cache', async () => {
    for (let round = 0; round < 12; round++) {
      const user = await registerUser(here.system)
      await call(here.system.url.auth, `DELETE /admin/password-cache/${user.id}`, { headers: as.operator })
      const [login] = await Promise.all([logIn(here.system, user.email), setPassword(user.id, OTHER)])
      if (login.status !== 200) continue
      expect(await statusesOf(login.body.access_token)).toEqual([401, 401, 401])
      expect((await refresh(login.body.refresh_token)).status).toBe(401)
    }
  })

  test('concurrent logouts are answered only after all services have acknowledged them', async () => {
    const user = await registerUser(here.system)
    for (let round = 0; round < 12; round++) {
      const { access_token: token } = (await logIn(here.system, user.email)).body
      const headers = as.bearer(token)
      const ends = ['POST /auth/logout', 'POST /auth/logout', 'POST /auth/logout-all', 'POST /auth/revoke']
      await Promise.all(
        ends.map(async (end) => {
          const answer = await call(
            here.system.url.auth,
            end,
            end.endsWith('revoke') ? { body: { token } } : { headers },
          )
          if (answer.status < 300) expect(await statusesOf(token)).toEqual([401, 401, 401])
        }),
      )
    }
  })

  test('a disabled user cannot keep a session by changing the password', async () => {
    const user = await createUser(here.system)
    const headers = as.bearer(user.tokens.access_token)
    const patch = (status: string) =>
      call(here.system.url.users, `PATCH /users/${user.id}`, { headers: as.operator, body: { status } })
    const change = () =>
      call(here.system.url.users, `POST /users/${user.id}/change-password`, {
        headers,
        body: { current_password: PASSWORD, new_password: OTHER },
      })
    await here.system.kill('auth')
    expect((await patch('disabled')).status).toBe(200)
    expect((await change()).body.code).toBe('account_disabled')
    // Enabled again before auth received either notice: the session that ended with the disabling must not come back.
    expect((await patch('active')).status).toBe(200)
    expect((await change()).status).toBe(204)
    await here.system.start('auth')
    expect(await statusesOf(user.tokens.access_token)).toEqual([401, 401, 401])
    expect((await refresh(user.tokens.refresh_token)).status).toBe(401)
    expect((await logIn(here.system, user.email, OTHER)).status).toBe(200)
  })

  test('the grace period survives two restarts, the first of them longer than the period', async () => {
    const { tokens } = await registerUser(here.system)
    const current = (await refresh(tokens.refresh_token)).body.refresh_token
    for (const downtime of [90 * SECOND, 0]) {
      await here.system.kill('auth')
      clock.pass(downtime)
      await here.system.start('auth')
    }
    expect((await refresh(tokens.refresh_token)).body.refresh_token).toBe(current)
  })
})
