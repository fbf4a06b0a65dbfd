import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { type Claims, signAccessToken } from '../services/kit/tokens/access-token.ts'
import { createGuard } from './index.ts'
import type { CheckOptions, Guard } from './types.ts'

// The tokens that apps have for users, at a service with a guard.

const url = 'https://auth.example.org'
const ORDERS = 'https://orders.example.org'
const NOW = Math.floor(Date.now() / 1000)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'EdDSA', use: 'sig' }
const PAGE = {
  epoch: 'e',
  seq: 0,
  issuer: url,
  audience: 'ch202',
  keys: [key],
  revoked: [],
  wanted: [],
  complete: true,
}
const CLAIMS = {
  ...{ iss: url, sub: 'ana', aud: ORDERS, exp: NOW + 3600, iat: NOW, jti: 'a-token', ver: 1 },
  ...{
    client_id: 'shop',
    client_ver: 1,
    gid: 'a-grant',
    scope: 'openid orders:read',
    auth_time: NOW - 60,
    amr: ['pwd'],
  },
}
const VALIDITY = {
  ...{ valid: true, user_id: 'ana', client_id: 'shop', grant_id: 'a-grant', scope: CLAIMS.scope, aud: ORDERS },
  expires_at: new Date((NOW + 3600) * 1000).toISOString(),
}

/** @param answers by path; any other path cannot be reached */
function guardOf(answers: Record<string, unknown>, options: { resource?: string } = { resource: ORDERS }): Guard {
  const silent = () => undefined
  return createGuard({
    url,
    internalKey: 'internal-key-of-the-tests-0123456789abcdef',
    ...options,
    log: { info: silent, warn: silent },
    async fetch(request) {
      const { pathname } = new URL(request.url)
      if (!(pathname in answers)) throw new TypeError(`cannot reach ${pathname}`)
      return Response.json(answers[pathname])
    },
  })
}

async function resultOf(guard: Guard, rule: CheckOptions, claims: object = {}) {
  const token = signAccessToken({ ...CLAIMS, ...claims } as Claims, { kid: 'k', alg: 'EdDSA', privateKey })
  const request = new Request('http://localhost/orders', { headers: { authorization: `Bearer ${token}` } })
  const { caller, response } = await guard.check(request, rule)
  return caller ?? ((await response.json()) as { code: string }).code
}

const local = guardOf({ '/api/v1/auth/revocations': PAGE })
const asking = guardOf({ '/api/v1/auth/validate-token': VALIDITY })
const nameless = guardOf({ '/api/v1/auth/revocations': PAGE }, {})
const namelessAsking = guardOf({ '/api/v1/auth/validate-token': VALIDITY }, {})
const guards = [local, asking, nameless, namelessAsking]
// The first page decides which guards check by themselves.
beforeAll(async () => void (await Promise.all([local.ready(), nameless.ready()])))
afterAll(async () => void (await Promise.all(guards.map((guard) => guard.close()))))

const APP = { clientId: 'shop', grantId: 'a-grant', scopes: ['openid', 'orders:read'] }
const ANA = { userId: 'ana', roles: [], operator: false, supportRole: null, client: null, app: APP, actor: 'user:ana' }

describe.each([
  ['by the feed', local],
  ['by asking auth', asking],
])('16: the token of an app, checked %s', (_, guard) => {
  test.each<[rule: CheckOptions, code: string | undefined]>([
    [{ auth: 'user' }, undefined],
    [{ auth: ['user', 'operator'] }, undefined],
    [{ auth: ['anyone', 'user'] }, undefined],
    [{ scope: 'orders:read' }, undefined],
    [{ auth: 'operator', scope: 'orders:read' }, undefined],
    [{ auth: 'user', scope: 'orders:read' }, undefined],
    [{ auth: 'user', maxAge: 600 }, undefined],
    [{ auth: 'user', scope: 'orders:write' }, 'insufficient_scope'],
    [{ scope: 'orders:write' }, 'insufficient_scope'],
    [{ auth: 'operator' }, 'insufficient_scope'],
    [{ auth: 'internal' }, 'insufficient_scope'],
    [{ auth: ['anyone', 'operator'] }, 'insufficient_scope'],
    [{ auth: 'user', maxAge: 30 }, 'reauthentication_required'],
  ])('%j', async (rule, code) => {
    const result = await resultOf(guard, rule)
    if (code) expect(result).toBe(code)
    else expect(result).toMatchObject(ANA)
  })

  test.each([{ aud: 'shop' }, { aud: 'ch202' }, { aud: 'https://other.example.org' }])(
    'with %j is refused',
    async (claims) => {
      for (const rule of [{ auth: 'user' }, { scope: 'orders:read' }] as const)
        expect(await resultOf(guard, rule, claims)).toBe('invalid_token')
    },
  )
})

test('16: the roles of a token are those of its claim, and make nobody an operator', async () => {
  const roles = ['USER', 'ADMIN']
  expect(await resultOf(local, { auth: ['user', 'operator'] }, { roles })).toMatchObject({ ...ANA, roles })
  expect(await resultOf(local, { auth: 'operator' }, { roles, amr: ['mfa'] })).toBe('insufficient_scope')
})

test('16: a service without a resource takes no token of an app', async () => {
  for (const guard of [nameless, namelessAsking])
    for (const aud of ['shop', 'ch202', ORDERS])
      for (const rule of [{ auth: 'user' }, { scope: 'orders:read' }] as const)
        expect([aud, await resultOf(guard, rule, { aud })]).toEqual([aud, 'invalid_token'])
})

test.each([
  { grant_id: undefined },
  { grant_id: '' },
  { user_id: '' },
  { scope: undefined },
  { client_id: '' },
  { session_id: 7 },
  { roles: 'ADMIN' },
  { expires_at: undefined },
])('16: an answer of auth with %j decides nothing', async (part) => {
  const guard = guardOf({ '/api/v1/auth/validate-token': { ...VALIDITY, ...part } })
  expect(await resultOf(guard, { auth: 'user' })).toBe('auth_unavailable')
  await guard.close()
})
