import { describe, expect, test } from 'bun:test'
import { MAIL_SETTINGS } from '../security/mailed-values.ts'
import { credentialsOf, fixtureFor, requestOf, servedOperations } from '../security/operations.ts'
import { may, POLICY } from '../security/policy.ts'
import { createUser } from '../support/actors.ts'
import { expectOAuthProblem, expectProblem, OAUTH_CALL, OPEN_CALL } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const CANARY = 'canary-7Qw9xT2r'
const FORM = 'application/x-www-form-urlencoded'

/** Content types that are refused. Undefined: no header. */
const OTHERS: (string | undefined)[] = [
  undefined,
  'text/plain',
  'text/plain;charset=UTF-8',
  'text/json',
  'text/html',
  'application/problem+json',
  'application/vnd.api+json',
  'application/jsonp',
  'application/json5',
  'application/octet-stream',
  'application/xml',
  'application/x-ndjson',
  'application/json; charset=utf-16',
  'application/json; charset=iso-8859-1',
  'application/json, text/plain',
  'multipart/form-data; boundary=x',
  FORM,
  '*/*',
  'json',
]

const OURS = [
  'application/json',
  'application/json; charset=utf-8',
  'application/json;charset=UTF-8',
  'application/json; charset="utf-8"',
  'Application/JSON ; Charset=UTF8',
  'application/json; version=1',
]

describe('a content type', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', ...MAIL_SETTINGS })

  test('other than application/json is 415 for every operation with a body, after the credentials are checked', async () => {
    const operations = await servedOperations(here.system)
    const admin = await createUser(here.system, { roles: ['USER', 'ADMIN'] })
    let tried = 0
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      const content = one?.operation.requestBody?.content
      const caller = (['the operator key', 'the internal key', 'the owner'] as const).find((who) => may(policy, who))
      if (!one || !content?.['application/json'] || !caller) continue
      const fixture = await fixtureFor(here.system, one, { admin })
      const { body, line } = requestOf(one, fixture, caller)
      const send = (
        type: string | undefined,
        headers: Record<string, string>,
        bytes = JSON.stringify({ ...(body as object), x: CANARY }),
      ) =>
        call(here.system.url[one.at[0] ?? 'auth'], line, {
          headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) },
          // For bytes, unlike for text, fetch sends no content type.
          body: new TextEncoder().encode(bytes),
        })
      const credentials = credentialsOf(caller, fixture)
      const expectRefusal = (answer: Answer, status: number, code: string) =>
        OAUTH_CALL.test(policy.call.replace('POST ', ''))
          ? expectOAuthProblem(answer, status, code, 'invalid_request')
          : expectProblem(answer, status, code)
      for (const type of OTHERS.filter((other) => other === undefined || !(other in content))) {
        const answer = await send(type, credentials)
        expect([policy.call, type, answer.status]).toEqual([policy.call, type, 415])
        expectRefusal(answer, 415, 'unsupported_media_type')
        expect(answer.text).not.toContain(CANARY)
        // Whoever adds a factor may be a login that waits for it, which the body names.
        if (may(policy, 'no one') || one.operation.security.some((way) => Object.keys(way).length === 0)) continue
        expect([policy.call, type, (await send(type, {})).status]).toEqual([policy.call, type, 401])
      }
      for (const type of OURS) {
        const answer = await send(type, credentials)
        const isOpen = OPEN_CALL.test(policy.call.replace('POST ', ''))
        const expected = isOpen ? answer.body.code : 'validation_failed'
        expect([policy.call, type, answer.status < 415, answer.body.code]).toEqual([policy.call, type, true, expected])
      }
      // A missing body is refused too if the operation needs one.
      if (one.operation.requestBody?.required)
        expectRefusal(await send('application/json', credentials, ''), 400, 'validation_failed')
      tried++
    }
    expect(tried).toBeGreaterThan(25)
    // Every operation with every type: more than a thousand requests, each with a round trip to the database.
  }, 600_000)

  test('may be missing with the body if no field is required', async () => {
    const operations = await servedOperations(here.system)
    const admin = await createUser(here.system, { roles: ['USER', 'ADMIN'] })
    const without: string[] = []
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      const caller = (['the owner', 'the internal key', 'the operator key'] as const).find((who) => may(policy, who))
      if (!one?.operation.requestBody || one.operation.requestBody.required || !caller) continue
      if (!one.operation.requestBody.content['application/json']) continue
      // No field is required by their schemas, but a client is.
      if (/\/(oauth\/token|auth\/authorizations)$/.test(policy.call)) continue
      for (const headers of [{}, { 'content-type': 'application/json' }, { 'content-type': 'text/plain' }]) {
        const fixture = await fixtureFor(here.system, one, { admin })
        const { line } = requestOf(one, fixture, caller)
        const answer = await call(here.system.url[one.at[0] ?? 'auth'], line, {
          headers: { ...headers, ...credentialsOf(caller, fixture) } as Record<string, string>,
        })
        expect([policy.call, headers, answer.status < 300]).toEqual([policy.call, headers, true])
      }
      without.push(policy.call)
    }
    expect(without).toContain('POST /api/v1/auth/logout')
    expect(without).toContain('POST /api/v1/modules/{module_id}/enable')
    expect(without.length).toBeGreaterThan(6)
  })

  test('for NDJSON is accepted by the import only', async () => {
    for (const type of OTHERS.filter((other) => other !== 'application/x-ndjson').concat('application/json')) {
      const answer = await here.users('POST /users/import', {
        headers: { ...as.operator, ...(type === undefined ? {} : { 'content-type': type }) },
        body: new TextEncoder().encode('{"email":"nope"}'),
      })
      expect([type, answer.status, answer.body.code]).toEqual([type, 415, 'unsupported_media_type'])
    }
  })
})
