import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { codesOf, type OpenApiDocument, operationsOf } from '../openapi/document.ts'
import { as, call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'

/** Longer than a field's name, shorter than the length at which texts are cut. */
const SECRET = 'canary-7Qw9xT2r-canary-7Qw9xT2r-canary'
const NO_ONE = '01900000-0000-7000-8000-000000000000'
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const JSON_TYPE = { 'content-type': 'application/json' }

let system: System
beforeAll(async () => {
  system = await inProcess({ RATE_LIMIT: 'off' })
})
afterAll(() => system?.stop())

const event = {
  id: NO_ONE,
  at: Date.parse('9999-12-31T23:59:59.999Z'),
  type: 'a.thing',
  user_id: null,
  actor: 'internal',
  ip: null,
  request_id: null,
  detail: {},
}
const record = {
  user_id: NO_ONE,
  email: 'ana@example.org',
  username: null,
  name: null,
  roles: [],
  status: 'active',
  email_verified: false,
  created_at: '2026-02-28T10:00:00Z',
  updated_at: '2024-02-29T23:59:59.999999999+02:00',
  password_hash: 'x',
  password_version: 1,
}

describe('check 27: defects that generated requests found', () => {
  test.each([
    ['a body of JSON as a form', '/auth/revoke', FORM, JSON.stringify({ token: SECRET })],
    ['a token without its name', '/auth/revoke', FORM, SECRET],
    ['a field that is a secret', '/auth/login', JSON_TYPE, JSON.stringify({ [`${SECRET} `]: 'x' })],
    ['a lone surrogate in a field that is a secret', '/auth/login', JSON_TYPE, `{"${SECRET} ":"\\ud800"}`],
    ['a field of a call without a body', '/auth/logout-all', JSON_TYPE, JSON.stringify({ [`${SECRET} `]: 'x' })],
  ])('%s is refused without being repeated', async (_, path, headers, body) => {
    const { tokens } = (
      await call(system.url.auth, 'POST /api/v1/auth/register', {
        body: { email: `ana-${Bun.randomUUIDv7()}@example.org`, password: 'correct horse battery' },
      })
    ).body
    const answer = await call(system.url.auth, `POST ${path}`, {
      headers: { ...headers, ...as.bearer(tokens.access_token) },
      body,
    })
    expect([answer.status, answer.body.code]).toEqual([400, 'validation_failed'])
    expect(answer.text).not.toContain('canary')
    expect(answer.text).not.toContain('\\')
  })

  test('a time beyond the years of RFC 3339 is refused, and the latest accepted one can be listed', async () => {
    const write = (at: number) =>
      call(system.url.auth, 'POST /auth/audit', { headers: as.internal, body: { ...event, at } })
    for (const at of [event.at + 1, 8.64e15 + 1, Number.MAX_SAFE_INTEGER]) expect((await write(at)).status).toBe(400)
    expect((await write(event.at)).status).toBe(204)
    const listed = await call(system.url.auth, 'GET /admin/audit?type=a.thing', { headers: as.operator })
    expect(listed.body.items).toMatchObject([{ at: '9999-12-31T23:59:59.999Z' }])
  })

  test.each([
    '2026-02-29T10:00:00Z',
    '2026-02-30T10:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T10:00:00',
    '2026-01-01T',
    '0000-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
  ])('%s is refused as a time', async (time) => {
    const answer = await call(system.url.auth, `GET /admin/audit?since=${encodeURIComponent(time)}`, {
      headers: as.operator,
    })
    expect(answer.body.message).toEqual(['since must be an RFC 3339 time'])
    for (const field of ['created_at', 'updated_at']) {
      const body = { ...record, [field]: time }
      const synced = await call(system.url.auth, 'POST /auth/sync/password', { headers: as.internal, body })
      expect(synced.body.message).toEqual([`${field} must be an RFC 3339 time`])
    }
  })

  test('a leap day and a fraction of a second are accepted', async () => {
    const synced = await call(system.url.auth, 'POST /auth/sync/password', { headers: as.internal, body: record })
    expect(synced.status).toBe(204)
  })

  test('the document lists the codes for a token where only a key is accepted, and for an operator field in v0', async () => {
    const document = (await call(system.url.auth, 'GET /swagger/json')).body as OpenApiDocument
    const codes = (name: string, status: number) => {
      const one = operationsOf(document).find((operation) => operation.call === name)
      return one && codesOf(one.operation).get(status)
    }
    expect(codes('POST /api/v1/auth/sync/user-deleted', 401)).toEqual(
      expect.arrayContaining(['invalid_token', 'token_expired', 'token_revoked', 'invalid_api_key']),
    )
    for (const name of ['POST /auth/register', 'POST /user']) expect(codes(name, 403)).toContain('forbidden_field')
  })
})
