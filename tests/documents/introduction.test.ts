import { describe, expect, test } from 'bun:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { newEmail, PASSWORD } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { as } from '../support/http.ts'
import { DAY, forgeriesOf, serving } from './serving.ts'

/** `000_5140ed870c4d37f3.txt`, «Введение». A test's name begins with the line that it proves. */
describe('000, over four processes', () => {
  const here = serving()
  const { auth, modules } = here

  /** Registers a user, by the paths of the document. */
  const newcomer = async () => {
    const credentials = { email: newEmail(), password: PASSWORD }
    const { status, body: user } = await auth('POST /api/v1/auth/register', { body: credentials })
    expect(status).toBe(201)
    const { body: tokens } = await auth('POST /api/v1/auth/login', { body: credentials })
    return { ...credentials, id: user.id as string, tokens, bearer: as.bearer(tokens.access_token) }
  }
  const newModule = async (id: string) => {
    const body = { id, name: 'Billing', description: 'Invoices and payments' }
    expect((await modules('POST /modules', { body, headers: as.operator })).status).toBe(201)
  }

  test('000:2 each microservice answers over REST', async () => {
    const answers = await Promise.all([auth, here.users, modules].map((ask) => ask('GET /health')))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  test('000:9 a protected path checks the token', async () => {
    const { bearer, tokens } = await newcomer()
    expect((await modules('GET /api/v1/modules/')).status).toBe(401)
    expect((await modules('GET /api/v1/modules/', { headers: bearer })).status).toBe(200)
    for (const forged of forgeriesOf(tokens.access_token))
      expect((await modules('GET /api/v1/modules/', { headers: as.bearer(forged) })).body).toMatchObject({
        statusCode: 401,
        code: 'invalid_token',
      })
  })

  test('000:12 the tokens are JWTs', async () => {
    const { tokens, id } = await newcomer()
    expect(decodeProtectedHeader(tokens.access_token)).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' })
    expect(decodeJwt(tokens.access_token).sub).toBe(id)
  })

  test('000:14 the access token is short-lived, and is sent in the header of each request', async () => {
    const { bearer, tokens } = await newcomer()
    expect(tokens.expires_in).toBe(3600)
    for (let request = 0; request < 3; request++)
      expect((await auth('GET /auth/me', { headers: bearer })).status).toBe(200)
    expect((await auth(`GET /auth/me?access_token=${tokens.access_token}`)).status).toBe(401)
  })

  test('000:15 the refresh token lasts 7 days; a refresh returns a new one with the new access token', async () => {
    const { tokens } = await newcomer()
    expect(tokens.refresh_expires_in).toBeWithin(7 * DAY - 10, 7 * DAY + 1)
    const { body } = await auth('POST /api/v1/auth/token/refresh', { body: { refresh_token: tokens.refresh_token } })
    expect(body.refresh_expires_in).toBeWithin(7 * DAY - 10, 7 * DAY + 1)
    expect(body.refresh_token).not.toBe(tokens.refresh_token)
    expect(body.access_token).not.toBe(tokens.access_token)
    expect(await askEach(here.system, body.access_token)).toEqual(all(200))
  })

  test('000:18 POST /api/v1/auth/register', async () => {
    const body = { email: newEmail(), password: PASSWORD }
    const first = await auth('POST /api/v1/auth/register', { body })
    expect(first.status).toBe(201)
    expect(first.body).toMatchObject({ email: body.email, roles: ['USER'] })
    expect((await auth('POST /api/v1/auth/register', { body })).status).toBe(409)
  })

  test('000:19 POST /api/v1/auth/login', async () => {
    const { email, tokens } = await newcomer()
    expect([typeof tokens.access_token, typeof tokens.refresh_token]).toEqual(['string', 'string'])
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    const wrong = await auth('POST /api/v1/auth/login', { body: { email, password: 'another password' } })
    expect(wrong.status).toBe(401)
  })

  test('000:20 POST /api/v1/auth/logout revokes the access token, at every service at once', async () => {
    const { bearer, tokens } = await newcomer()
    expect((await auth('POST /api/v1/auth/logout', { headers: bearer })).status).toBe(204)
    expect(await askEach(here.system, tokens.access_token)).toEqual(all('token_revoked'))
    const refreshed = await auth('POST /api/v1/auth/token/refresh', { body: { refresh_token: tokens.refresh_token } })
    expect(refreshed.status).toBe(401)
  })

  test('000:21 POST /api/v1/auth/token/refresh: an older token that is used again ends the session', async () => {
    const { tokens } = await newcomer()
    const refresh = (refresh_token: string) => auth('POST /api/v1/auth/token/refresh', { body: { refresh_token } })
    const second = await refresh(tokens.refresh_token)
    expect(second.status).toBe(200)
    expect((await refresh(tokens.refresh_token)).body.refresh_token).toBe(second.body.refresh_token)
    const third = await refresh(second.body.refresh_token)
    expect((await refresh(tokens.refresh_token)).body.code).toBe('refresh_token_reused')
    expect((await refresh(third.body.refresh_token)).status).toBe(401)
    expect(await askEach(here.system, third.body.access_token)).toEqual(all('token_revoked'))
  })

  test('000:32 GET /api/v1/modules/ lists each module with its description, and whether the user has enabled it', async () => {
    await newModule('listed')
    const { bearer } = await newcomer()
    const { body, status } = await modules('GET /api/v1/modules/', { headers: bearer })
    expect(status).toBe(200)
    expect(body.items).toContainEqual(
      expect.objectContaining({ id: 'listed', description: 'Invoices and payments', enabled: false }),
    )
  })

  const isEnabled = async (id: string, bearer: Record<string, string>) => {
    const { body } = await modules('GET /api/v1/modules/', { headers: bearer })
    return body.items.find((item: { id: string }) => item.id === id).enabled
  }

  test('000:33 POST /api/v1/modules/{module_id}/enable, for this user only', async () => {
    await newModule('turned-on')
    const [one, other] = [await newcomer(), await newcomer()]
    const enabled = await modules('POST /api/v1/modules/turned-on/enable', { headers: one.bearer })
    expect(enabled.status).toBe(200)
    expect(enabled.body).toMatchObject({ id: 'turned-on', enabled: true })
    expect([await isEnabled('turned-on', one.bearer), await isEnabled('turned-on', other.bearer)]).toEqual([
      true,
      false,
    ])
    expect((await modules('POST /api/v1/modules/turned-on/enable')).status).toBe(401)
    expect((await modules('POST /api/v1/modules/unknown/enable', { headers: one.bearer })).status).toBe(404)
  })

  test('000:34 POST /api/v1/modules/{module_id}/disable', async () => {
    await newModule('turned-off')
    const { bearer } = await newcomer()
    await modules('POST /api/v1/modules/turned-off/enable', { headers: bearer })
    const disabled = await modules('POST /api/v1/modules/turned-off/disable', { headers: bearer })
    expect(disabled.status).toBe(200)
    expect(disabled.body).toMatchObject({ id: 'turned-off', enabled: false })
    expect(await isEnabled('turned-off', bearer)).toBe(false)
  })
})
