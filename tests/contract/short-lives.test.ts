import { describe, expect, test } from 'bun:test'
import { registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, form } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

/** The lifetimes that are settings, in real time; with a clock that is set, all of them stand in `time.test.ts`. */
describe('lifetimes of seconds', () => {
  const here = running(inProcess, { JWT_EXPIRE: '2s', REFRESH_REUSE_GRACE: '1s' })
  const { auth } = here

  test('after the grace the token spent last is an older one like any other', async () => {
    const { tokens } = await registerUser(here.system)
    const refresh = (token: string) => auth('POST /auth/refresh', { body: { refresh_token: token } })
    const next = (await refresh(tokens.refresh_token)).body
    const rotatedAt = performance.now()
    const refused = await eventually(async () => {
      const answer = await refresh(tokens.refresh_token)
      return answer.status === 200 ? undefined : answer
    })
    expect(performance.now() - rotatedAt).toBeGreaterThan(900)
    expectProblem(refused, 401, 'refresh_token_reused')
    expect((await auth('POST /auth/validate-token', { body: { token: next.access_token } })).body.valid).toBe(false)
    expectProblem(await refresh(next.refresh_token), 401, 'invalid_refresh_token')
  })

  test('an access token expires, and a refresh gives another', async () => {
    const user: TestUser = await registerUser(here.system)
    const token = user.tokens.access_token
    const expired: Answer = await eventually(async () => {
      const answer = await auth('POST /auth/validate-token', { body: { token } })
      return answer.body.valid ? undefined : answer
    })
    expect(expired.body).toEqual({ valid: false, reason: 'expired' })
    expect(await askEach(here.system, token)).toEqual(all('token_expired'))
    expect((await auth('POST /auth/introspect', form({ token }, as.internal))).body).toEqual({ active: false })
    const refused = await auth('GET /auth/me', { headers: as.bearer(token) })
    expect(refused.headers.get('www-authenticate')).toContain('invalid_token')
    const next = await auth('POST /auth/refresh', { body: { refresh_token: user.tokens.refresh_token } })
    expect(next.body.expires_in).toBe(2)
    expect((await auth('GET /auth/me', { headers: as.bearer(next.body.access_token) })).status).toBe(200)
  })
})
