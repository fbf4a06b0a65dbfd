import { describe, expect, test } from 'bun:test'
import { SECOND } from '../../services/kit/clock.ts'
import { registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, form } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

/** Tests lifetimes that are set. `time.test.ts` has the defaults. */
describe('lifetimes that are set to a minute', () => {
  const clock = movingClock()
  const settings = { JWT_EXPIRE: '60s', REFRESH_REUSE_GRACE: '60s' }
  const here = running(() => inProcess(settings, { clock }))
  const { auth } = here

  test('after the grace period the previous refresh token ends the session', async () => {
    const { tokens } = await registerUser(here.system)
    const refresh = (token: string) => auth('POST /auth/refresh', { body: { refresh_token: token } })
    const next = (await refresh(tokens.refresh_token)).body
    expect((await refresh(tokens.refresh_token)).body.refresh_token).toBe(next.refresh_token)
    clock.pass(61 * SECOND)
    expectProblem(await refresh(tokens.refresh_token), 401, 'refresh_token_reused')
    expect((await auth('POST /auth/validate-token', { body: { token: next.access_token } })).body.valid).toBe(false)
    expectProblem(await refresh(next.refresh_token), 401, 'invalid_refresh_token')
  })

  test('an access token expires, and a refresh returns another', async () => {
    const user: TestUser = await registerUser(here.system)
    const token = user.tokens.access_token
    expect((await auth('POST /auth/validate-token', { body: { token } })).body.valid).toBe(true)
    clock.pass(61 * SECOND)
    const expired = await auth('POST /auth/validate-token', { body: { token } })
    expect(expired.body).toEqual({ valid: false, reason: 'expired' })
    expect(await askEach(here.system, token)).toEqual(all('token_expired'))
    expect((await auth('POST /auth/introspect', form({ token }, as.internal))).body).toEqual({ active: false })
    const refused = await auth('GET /auth/me', { headers: as.bearer(token) })
    expect(refused.headers.get('www-authenticate')).toContain('invalid_token')
    const next = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
    expect(next.body.expires_in).toBe(60)
    expect((await auth('GET /auth/me', { headers: as.bearer(next.body.access_token) })).status).toBe(200)
  })
})
