import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Answer, as, call } from '../support/http.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { credentialsOf, fixtureFor, outlasting, requestOf, type Served } from './operations.ts'
import { CALLERS, POLICY } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

/** Answers that are the same for everyone: they may be cached when no credential was sent. */
const PUBLIC = /\/\.well-known\/|\/swagger\/scalar\.js$/
/** Answers with a token, whether or not a credential was sent. */
const TOKEN = /"(access_token|accessToken|refresh_token|refreshToken)":/

describe('section 8: the headers of every answer', () => {
  let setup: Setup
  beforeAll(async () => {
    setup = await openSetup(inProcess)
  })
  afterAll(() => setup?.close())

  const expectHeaders = (what: string, { headers, text }: Answer, hasCredential: boolean) => {
    const actual = {
      type: headers.get('x-content-type-options'),
      referrer: headers.get('referrer-policy'),
      id: headers.get('x-request-id') !== null,
      cacheControl: headers.get('cache-control'),
    }
    const cacheControl =
      hasCredential || TOKEN.test(text) || !PUBLIC.test(what) ? 'no-store' : expect.stringContaining('public')
    expect([what, actual]).toEqual([
      what,
      { type: 'nosniff', referrer: 'no-referrer', id: true, cacheControl: cacheControl },
    ])
  }

  test.each(sliced(POLICY, 4))('$call', async (policy) => {
    const one = setup.operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    for (const caller of CALLERS) {
      const fixture = await fixtureFor(setup.system, one, outlasting(caller, setup.others))
      const { line, headers, ...rest } = requestOf(one as Served, fixture, caller)
      const credentials = credentialsOf(caller, fixture)
      const url = setup.system.url[one.at[0] ?? 'auth']
      const answer = await call(url, line, { headers: { ...credentials, ...headers }, ...rest })
      expect([caller, answer.status]).toEqual([caller, policy.statuses[caller]])
      expectHeaders(policy.call, answer, caller !== 'no one')
    }
  })

  test.each([
    ...['GET /swagger', 'GET /swagger/json', 'GET /swagger/scalar.js', 'HEAD /swagger/scalar.js', 'HEAD /health'],
    ...[
      'GET /nothing',
      'PUT /health',
      'POST /auth/login',
      'GET /whoami',
      'GET /.well-known/jwks.json',
      'OPTIONS /users',
    ],
  ])('%s', async (line) => {
    for (const headers of [{}, as.operator, as.internal, as.bearer('not.a.token')]) {
      const answer = await call(setup.system.url.auth, line, { headers })
      expectHeaders(line, answer, Object.keys(headers).length > 0)
    }
  })
})
