import { expect, test } from 'bun:test'
import { registerUser } from '../../support/actors.ts'
import { all, askEach } from '../../support/each-service.ts'
import { eventually, PROMPT } from '../../support/eventually.ts'
import { expectProblem } from '../../support/expectations.ts'
import { as } from '../../support/http.ts'
import { running, type Start } from '../../support/running.ts'
import type { Name } from '../../support/settings.ts'

export function restartOfAuth(start: Start): void {
  const here = running(start)
  const { auth } = here
  const restart = async () => {
    await here.system.kill('auth')
    await here.system.start('auth')
  }
  const logout = (token: string) => auth('POST /auth/logout', { headers: as.bearer(token) })

  test('check 14: keeps live sessions live and revoked ones revoked', async () => {
    const [live, ended] = [await registerUser(here.system), await registerUser(here.system)]
    await logout(ended.tokens.access_token)
    await restart()
    expect(await askEach(here.system, live.tokens.access_token)).toEqual(all(200))
    expect(await askEach(here.system, ended.tokens.access_token)).toEqual(all('token_revoked'))
    const refresh = (refresh_token: string) => auth('POST /auth/refresh', { body: { refresh_token } })
    const next = await refresh(live.tokens.refresh_token)
    expect(await askEach(here.system, next.body.access_token)).toEqual(all(200))
    expectProblem(await refresh(ended.tokens.refresh_token), 401, 'invalid_refresh_token')
  })

  test('checks 12 and 14: allows a retry of a refresh whose answer was lost in a crash, and still detects an older token', async () => {
    const { tokens } = await registerUser(here.system)
    const refresh = async (refresh_token: string) => await auth('POST /auth/refresh', { body: { refresh_token } })
    const second = (await refresh(tokens.refresh_token)).body
    const third = (await refresh(second.refresh_token)).body
    await restart()
    expect((await refresh(second.refresh_token)).body.refresh_token).toBe(third.refresh_token)
    expectProblem(await refresh(tokens.refresh_token), 401, 'refresh_token_reused')
    expect(await askEach(here.system, third.access_token)).toEqual(all('token_revoked'))
  })

  test('check 16: does not delay a logout right after it: every service refuses the tokens at once, twice', async () => {
    for (let round = 0; round < 2; round++) {
      const { tokens } = await registerUser(here.system)
      expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
      await restart()
      const sentAt = performance.now()
      expect((await logout(tokens.access_token)).status).toBe(204)
      expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
      // The answer waits for the leases from before the restart, at most a second.
      expect(performance.now() - sentAt).toBeLessThan(PROMPT)
    }
  })
}

export function withoutAuth(start: Start): void {
  const others: Name[] = ['users', 'modules']
  const here = running(start, { REVOCATION_MAX_LAG: '4s' })
  const { auth } = here

  test('known tokens stay valid for the time of the setting, and revoked ones refused; then requests are 503 until auth is back', async () => {
    const [live, ended] = [await registerUser(here.system), await registerUser(here.system)]
    await auth('POST /auth/logout', { headers: as.bearer(ended.tokens.access_token) })
    const ask = (token: string, names = others) => askEach(here.system, token, names)
    const killedAt = performance.now()
    await here.system.kill('auth')
    const forged = `${live.tokens.access_token.slice(0, -4)}AAAA`

    let last = killedAt
    const refused = await eventually(async () => {
      const sentAt = performance.now()
      expect(await ask(ended.tokens.access_token)).toEqual(all('token_revoked', others))
      const outcomes = await ask(live.tokens.access_token)
      if (Object.values(outcomes).every((status) => status === 200)) {
        last = sentAt
        return undefined
      }
      return Object.values(outcomes).every((status) => status === 'auth_unavailable') ? outcomes : undefined
    })
    expect(refused).toEqual(all('auth_unavailable', others))
    expect(last - killedAt).toBeGreaterThan(1200)
    expect(performance.now() - killedAt).toBeLessThan(PROMPT)
    expect(await ask(ended.tokens.access_token)).toEqual(all('token_revoked', others))
    expect(Object.values(await ask(forged))).not.toContain(200)
    const answer = await here.users(`GET /users/${live.id}`, { headers: as.bearer(live.tokens.access_token) })
    expectProblem(answer, 503, 'auth_unavailable')
    // A key is checked without auth.
    expect((await here.users(`GET /users/${live.id}`, { headers: as.operator })).status).toBe(200)

    await here.system.start('auth')
    await eventually(async () => {
      const outcomes = await ask(live.tokens.access_token)
      return Object.values(outcomes).every((status) => status === 200)
    })
    expect(await ask(ended.tokens.access_token)).toEqual(all('token_revoked', others))
    expect(await ask(forged)).toEqual(all('invalid_token', others))
  })

  test('a service that starts accepts no token', async () => {
    const user = await registerUser(here.system)
    await Promise.all([here.system.kill('auth'), here.system.kill('users')])
    await here.system.start('users')
    const answer = await here.users(`GET /users/${user.id}`, { headers: as.bearer(user.tokens.access_token) })
    expectProblem(answer, 503, 'auth_unavailable')
    const forged = await here.users(`GET /users/${user.id}`, { headers: as.bearer('x') })
    expect([401, 503]).toContain(forged.status)
    await here.system.start('auth')
    await eventually(async () => (await askEach(here.system, user.tokens.access_token, ['users'])).users === 200)
  })

  test('a service that was down refuses, from its start, the sessions that ended meanwhile', async () => {
    const user = await registerUser(here.system)
    await here.system.kill('modules')
    const sentAt = performance.now()
    expect((await auth('POST /auth/logout', { headers: as.bearer(user.tokens.access_token) })).status).toBe(204)
    expect(performance.now() - sentAt).toBeLessThan(PROMPT)
    await here.system.start('modules')
    expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('token_revoked'))
  })
}
