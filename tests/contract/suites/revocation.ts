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

  test('check 14: live sessions live, what is revoked stays so', async () => {
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

  test('checks 12 and 14: an answer that was lost in a crash can be asked for again; an older token is known for what it is', async () => {
    const { tokens } = await registerUser(here.system)
    const refresh = async (refresh_token: string) => await auth('POST /auth/refresh', { body: { refresh_token } })
    const second = (await refresh(tokens.refresh_token)).body
    const third = (await refresh(second.refresh_token)).body
    await restart()
    expect((await refresh(second.refresh_token)).body.refresh_token).toBe(third.refresh_token)
    expectProblem(await refresh(tokens.refresh_token), 401, 'refresh_token_reused')
    expect(await askEach(here.system, third.access_token)).toEqual(all('token_revoked'))
  })

  test('check 16: a logout right after it is refused at once everywhere, twice', async () => {
    for (let round = 0; round < 2; round++) {
      const { tokens } = await registerUser(here.system)
      expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
      await restart()
      const sentAt = performance.now()
      expect((await logout(tokens.access_token)).status).toBe(204)
      expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
      // The answer waits for what the others knew before the restart, at most a second.
      expect(performance.now() - sentAt).toBeLessThan(PROMPT)
    }
  })
}

export function withoutAuth(start: Start): void {
  const others: Name[] = ['users', 'modules']
  const here = running(start, { REVOCATION_MAX_LAG: '2s' })
  const { auth } = here

  test('known tokens go on for as long as the setting says, what is revoked does not; then 503, until auth is back', async () => {
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
      const said = await ask(live.tokens.access_token)
      if (Object.values(said).every((status) => status === 200)) {
        last = sentAt
        return undefined
      }
      return Object.values(said).every((status) => status === 'auth_unavailable') ? said : undefined
    })
    expect(refused).toEqual(all('auth_unavailable', others))
    expect(last - killedAt).toBeGreaterThan(1200)
    expect(performance.now() - killedAt).toBeLessThan(PROMPT)
    expect(await ask(ended.tokens.access_token)).toEqual(all('token_revoked', others))
    expect(Object.values(await ask(forged))).not.toContain(200)
    const answer = await here.users(`GET /users/${live.id}`, { headers: as.bearer(live.tokens.access_token) })
    expectProblem(answer, 503, 'auth_unavailable')
    // A key needs no auth.
    expect((await here.users(`GET /users/${live.id}`, { headers: as.operator })).status).toBe(200)

    await here.system.start('auth')
    await eventually(async () => {
      const said = await ask(live.tokens.access_token)
      return Object.values(said).every((status) => status === 200)
    })
    expect(await ask(ended.tokens.access_token)).toEqual(all('token_revoked', others))
    expect(await ask(forged)).toEqual(all('invalid_token', others))
  })

  test('a service that starts without auth knows no token', async () => {
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

  test('what ended while a service was down is known to it from its start', async () => {
    const user = await registerUser(here.system)
    await here.system.kill('modules')
    const sentAt = performance.now()
    expect((await auth('POST /auth/logout', { headers: as.bearer(user.tokens.access_token) })).status).toBe(204)
    expect(performance.now() - sentAt).toBeLessThan(PROMPT)
    await here.system.start('modules')
    expect(await askEach(here.system, user.tokens.access_token)).toEqual(all('token_revoked'))
  })
}
