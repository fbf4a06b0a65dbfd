import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose'
import { Revocations } from '../../services/kit/tokens/revocations.ts'
import { logIn, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { eventually } from '../support/eventually.ts'
import { expectFields, expectOAuthProblem, expectProblem } from '../support/expectations.ts'
import { type Json, resigned } from '../support/forged-tokens.ts'
import { as, call, form } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { running } from '../support/running.ts'
import { inProcess, inProcessApart } from '../support/system.ts'
import { sliced } from '../support/whole.ts'

const here = running(inProcessApart)
const { auth, users } = here
const operator = { headers: as.operator }
const validate = async (token: string) => (await auth('POST /auth/validate-token', { body: { token } })).body
const introspect = async (token: string) => (await auth('POST /auth/introspect', form({ token }, as.internal))).text
const refresh = (token: string) => auth('POST /auth/refresh', { body: { refresh_token: token } })
const revoke = (token: string) => auth('POST /auth/revoke', form({ token }))
const confirm = (token: string) =>
  auth('POST /auth/password-reset-confirm', { body: { token, new_password: 'another phrase of four' } })
/** The refresh token of a session that was opened through v0. */
const v0Token = async ({ email }: TestUser): Promise<string> => {
  const body = { email, password: PASSWORD }
  return (await call(here.system.url.auth, 'POST /auth/login', { body })).body.refreshToken.token
}

test('check 7: no key is fetched from an address in a token, whoever signed it', async () => {
  let fetched = 0
  const foreign = generateKeyPairSync('ed25519')
  const jwk = { ...foreign.publicKey.export({ format: 'jwk' }), kid: 'theirs', alg: 'EdDSA', use: 'sig' }
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch({ url }) {
      fetched++
      return Response.json({ keys: [jwk], issuer: 'x', jwks_uri: url })
    },
  })
  try {
    const { tokens } = await registerUser(here.system)
    const link = `${server.url}keys`
    const headers: Json[] = [
      { jku: link },
      { jku: link, kid: 'theirs' },
      { jku: link, kid: undefined },
      { jku: link, kid: undefined, jwk },
      { x5u: link },
      { x5u: link, x5t: 'theirs', kid: undefined },
      { x5c: [link] },
      { kid: link },
      { kid: link, jwk },
      { iss: link },
    ]
    for (const header of headers)
      for (const forger of [{}, { key: foreign.privateKey }])
        for (const claims of [{}, { iss: String(server.url) }]) {
          const forged = await resigned(here.system, tokens.access_token, { header, claims, ...forger })
          expect(await askEach(here.system, forged)).toEqual(all('invalid_token'))
          expect((await validate(forged)).valid).toBe(false)
          expect(await introspect(forged)).toBe('{"active":false}')
          expect((await revoke(forged)).status).toBe(200)
        }
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
    await Bun.sleep(100)
    expect(fetched).toBe(0)
    await fetch(link)
    expect(fetched).toBe(1)
  } finally {
    await server.stop(true)
  }
})

test('check 8: a refresh or reset token is not accepted as an access token, nor an access token as one of them', async () => {
  const user = await registerUser(here.system)
  const { access_token, refresh_token } = user.tokens
  const others = { refresh_token, v0: await v0Token(user), reset: await mailedToken(auth, here.system, user.email) }
  for (const token of Object.values(others)) {
    expect(await askEach(here.system, token)).toEqual(all('invalid_token'))
    expect(await validate(token)).toEqual({ valid: false, reason: 'malformed' })
  }
  for (const token of [access_token, others.reset, as.operator['x-api-key']])
    expectProblem(await refresh(token), 401, 'invalid_refresh_token')
  for (const token of [access_token, refresh_token, others.v0])
    expectProblem(await confirm(token), 400, 'invalid_reset_token')
  // Each token is valid for its own purpose.
  expect(await askEach(here.system, access_token)).toEqual(all(200))
  for (const token of [refresh_token, others.v0]) expect((await refresh(token)).status).toBe(200)
  expect((await confirm(others.reset)).status).toBe(204)
})

/** A token cut, with a character added, or with the case of one changed: at every position, or one of these in the suite. */
function altered(token: string): string[] {
  const atEach = [...token].flatMap((character, at) => {
    const [before, after] = [token.slice(0, at), token.slice(at + 1)]
    const cases = [character.toUpperCase(), character.toLowerCase()].map((other) => before + other + after)
    return [before, token.slice(at), before + after, before + character + character + after, ...cases]
  })
  // Of the six at a position another one at each.
  const variants = sliced(atEach, 7)
  for (const more of ['A', '0', '=', ' ', '\n', '\t', '.', token]) variants.push(token + more, more + token)
  variants.push(token.toUpperCase(), token.toLowerCase())
  return [...new Set(variants)].filter((variant) => variant !== token && variant !== '')
}

describe('check 10: refuses a token that is cut, longer, or in another case at any position', () => {
  test('an access token', async () => {
    const { tokens } = await registerUser(here.system)
    const variants = altered(tokens.access_token)
    const results = await Promise.all(variants.map(validate))
    expect(results.filter(({ valid }) => valid)).toEqual([])
    // Variants that a header can't contain, or trims, are sent in the body only.
    const sendable = variants.filter((variant) => /^\S+$/.test(variant))
    const sample = sendable.filter((_, i) => i % 25 === 0 || i > sendable.length - 20)
    for (const variant of sample) expect(await askEach(here.system, variant)).toEqual(all('invalid_token'))
    for (const variant of sample) expect(await introspect(variant)).toBe('{"active":false}')
    expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
  })

  test.each([
    ['a refresh token', async ({ tokens }: TestUser) => tokens.refresh_token],
    ['a refresh token of v0', v0Token],
  ])('%s', async (_, tokenOf) => {
    const token = await tokenOf(await registerUser(here.system))
    const variants = altered(token)
    const refused = async (variant: string) => {
      expectProblem(await refresh(variant), 401, 'invalid_refresh_token')
      const v0 = await call(here.system.url.auth, 'POST /auth/refresh', { body: { refreshToken: variant } })
      expectProblem(v0, 401, 'invalid_refresh_token')
      const logout = await auth('POST /auth/logout', { body: { refresh_token: variant } })
      expectProblem(logout, 401, 'invalid_refresh_token')
      expect(await introspect(variant)).toBe('{"active":false}')
      expect((await revoke(variant)).status).toBe(200)
    }
    await Promise.all(variants.map(refused))
    expect((await refresh(token)).status).toBe(200)
  })

  test('a reset token', async () => {
    const { email } = await registerUser(here.system)
    const token = await mailedToken(auth, here.system, email)
    const answers = await Promise.all(altered(token).map(confirm))
    for (const answer of answers) expectProblem(answer, 400, 'invalid_reset_token')
    expect((await logIn(here.system, email)).status).toBe(200)
    expect((await confirm(token)).status).toBe(204)
  })
})

describe('check 9: of several cut-offs the strictest wins', () => {
  const permutations = <T>(items: T[]): T[][] =>
    items.length < 2
      ? [items]
      : items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]))

  test('in any order of arrival', () => {
    const until = 1_000_000
    const cuts = [
      { kind: 'user', subject: 'ana', version: 3, until },
      { kind: 'user', subject: 'ana', version: 7, until },
      { kind: 'user', subject: 'ana', version: 5, until: 10 * until },
      { kind: 'session', subject: 'first', version: 0, until },
      { kind: 'session', subject: 'first', version: 0, until: 5 },
    ] as const
    for (const order of permutations([...cuts])) {
      const revocations = new Revocations()
      for (const cut of order) revocations.add(cut)
      for (const now of [0, until - 1]) {
        revocations.prune(now)
        const covers = (sid: string, ver: number) => revocations.covers({ sub: 'ana', sid, ver })
        expect([1, 4, 6, 7, 8].map((ver) => covers('second', ver))).toEqual([true, true, true, false, false])
        expect([1, 8].map((ver) => covers('first', ver))).toEqual([true, true])
        expect(revocations.covers({ sub: 'ben', sid: 'third', ver: 1 })).toBe(false)
      }
    }
  })

  /** Ways to revoke a token. */
  const cuts = {
    session: ({ tokens }: TestUser) => auth(`DELETE /auth/sessions/${tokens.session_id}`, operator),
    roles: ({ id }: TestUser) => users(`PATCH /users/${id}`, { ...operator, body: { roles: ['USER', 'EDITOR'] } }),
    disabled: async ({ id }: TestUser) => {
      const status = (to: string) => users(`PATCH /users/${id}`, { ...operator, body: { status: to } })
      await status('disabled')
      return await status('active')
    },
    key: ({ tokens }: TestUser) =>
      auth(`DELETE /admin/keys/${decodeProtectedHeader(tokens.access_token).kid}`, operator),
  }
  type Cut = keyof typeof cuts
  const dead: string[] = []
  const expectRevoked = async (token: string) => {
    const answers = await askEach(here.system, token)
    for (const code of Object.values(answers)) expect(String(code)).toMatch(/^(token_revoked|invalid_token)$/)
    expect((await validate(token)).valid).toBe(false)
    expect(await introspect(token)).toBe('{"active":false}')
  }

  // In the suite each of them comes first once.
  const orders = sliced(permutations(Object.keys(cuts) as Cut[]), 24, ([first]) => first)
  test.each(orders.map((order) => [order.join(', '), order] as const))(
    '%s: the token is refused from the first on, at each service',
    async (_, order) => {
      const user = await registerUser(here.system)
      const { access_token, refresh_token } = user.tokens
      expect(await askEach(here.system, access_token)).toEqual(all(200))
      for (const cut of order) {
        const answer = await cuts[cut](user)
        // A disabled user has no session left to end.
        const isSessionGone = cut === 'session' && order.indexOf('disabled') < order.indexOf('session')
        expect([cut, answer.status < 300]).toEqual([cut, !isSessionGone])
        await expectRevoked(access_token)
      }
      expectProblem(await refresh(refresh_token), 401, 'invalid_refresh_token')
      expect(await introspect(refresh_token)).toBe('{"active":false}')
      // A token issued after all of them is valid.
      const fresh = (await logIn(here.system, user.email)).body.access_token
      expect(await askEach(here.system, fresh)).toEqual(all(200))
      dead.push(access_token)
    },
  )

  test('and a crash of auth loses none of them', async () => {
    await here.system.kill('auth')
    await here.system.start('auth')
    expect(dead).toHaveLength(orders.length)
    await Promise.all(dead.map(expectRevoked))
  })

  test('a late or repeated one restores no token', async () => {
    const user = await registerUser(here.system)
    const record = async () => (await users(`GET /users/${user.id}/password-hash`, { headers: as.internal })).body
    const sync = (body: unknown) => auth('POST /auth/sync/password', { headers: as.internal, body })
    const first = await record()
    await cuts.roles(user)
    await expectRevoked(user.tokens.access_token)
    const fresh = (await refresh(user.tokens.refresh_token)).body.access_token
    for (const body of [first, await record(), first]) expect((await sync(body)).status).toBe(204)
    await expectRevoked(user.tokens.access_token)
    expect(await askEach(here.system, fresh)).toEqual(all(200))
  })
})

describe('check 9: while auth cannot write', () => {
  /** Holds the write lock of auth's database, as another process would. */
  const locked = async (work: () => Promise<void>) => {
    const database = new Database(join(here.system.dataDir, 'auth.sqlite'), { create: false, readwrite: true })
    database.run('PRAGMA busy_timeout = 5000')
    database.run('BEGIN IMMEDIATE')
    try {
      await work()
    } finally {
      database.run('ROLLBACK')
      database.close()
    }
  }

  test('a revocation is 503 and the token stays valid; later it can be revoked', async () => {
    const [one, other, third] = [
      await registerUser(here.system),
      await registerUser(here.system),
      await registerUser(here.system),
    ]
    const v0 = await v0Token(third)
    const presented = [one.tokens.access_token, other.tokens.refresh_token, v0]
    await locked(async () => {
      for (const answer of await Promise.all(presented.map(revoke)))
        expectOAuthProblem(answer, 503, 'database_unavailable', 'temporarily_unavailable')
      const requests = [
        auth('POST /auth/logout', { headers: as.bearer(one.tokens.access_token) }),
        auth('POST /auth/logout', { body: { refresh_token: other.tokens.refresh_token } }),
        auth(`DELETE /auth/sessions/${one.tokens.session_id}`, operator),
        auth(`DELETE /auth/sessions?user_id=${one.id}`, operator),
      ]
      for (const answer of await Promise.all(requests)) expectProblem(answer, 503, 'database_unavailable')
      for (const { tokens } of [one, other]) expect(await askEach(here.system, tokens.access_token)).toEqual(all(200))
      for (const token of presented) expect(await introspect(token)).toStartWith('{"active":true')
      // An unknown token causes no write.
      expect((await revoke('x')).status).toBe(200)
    })
    for (const token of presented) {
      expect([(await revoke(token)).status, await introspect(token)]).toEqual([200, '{"active":false}'])
    }
    for (const { tokens } of [one, other]) await expectRevoked(tokens.access_token)
    expectProblem(await refresh(v0), 401, 'invalid_refresh_token')
  })

  test('at intervals, every token whose revocation got 200 is refused everywhere at that moment', async () => {
    const people = await Promise.all(Array.from({ length: 40 }, () => registerUser(here.system)))
    const statuses: number[] = []
    const end = async ({ tokens }: TestUser, i: number) => {
      await Bun.sleep(i * 40)
      const { status } = await revoke(i % 2 ? tokens.access_token : tokens.refresh_token)
      statuses.push(status)
      if (status < 300) await expectRevoked(tokens.access_token)
      else expect(status).toBe(503)
    }
    const ends = Promise.all(people.map(end))
    await eventually(() => statuses.includes(200))
    await locked(async () => void (await eventually(() => statuses.includes(503))))
    await ends
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
  })

  const expectRevoked = async (token: string) => expect(await askEach(here.system, token)).toEqual(all('token_revoked'))
})

describe('check 11', () => {
  test('check 11: nothing private is in the JWKS, and each kid is the thumbprint, also during a rotation', async () => {
    await auth('POST /admin/keys/rotate', operator)
    const { keys } = (await call(here.system.url.auth, 'GET /.well-known/jwks.json')).body
    expect(keys.length).toBeGreaterThan(1)
    for (const key of keys) {
      expectFields(key, ['kty', 'crv', 'x', 'kid', 'alg', 'use'])
      expect(key.kid).toBe(await calculateJwkThumbprint(key))
    }
  })

  test.each(['https://Id.Example.org:8443/Base/', 'HTTPS://id.example.org', 'urn:example:a%20b'])(
    'check 11: the issuer is `iss`, byte for byte: %s',
    async (ISSUER) => {
      const system = await inProcess({ ISSUER })
      try {
        const { tokens } = await registerUser(system)
        const { body } = await call(system.url.auth, 'GET /.well-known/oauth-authorization-server')
        const introspection = await call(
          system.url.auth,
          'POST /auth/introspect',
          form({ token: tokens.access_token }, as.internal),
        )
        expect([body.issuer, decodeJwt(tokens.access_token).iss, introspection.body.iss]).toEqual([
          ISSUER,
          ISSUER,
          ISSUER,
        ])
        expect(await askEach(system, tokens.access_token)).toEqual(all(200))
      } finally {
        await system.stop()
      }
    },
  )
})
