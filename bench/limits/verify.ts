import { parseArgs } from 'node:util'
import type { TokenAlg } from '../../services/kit/token-algs.ts'
import { signAccessToken, verifyAccessToken } from '../../services/kit/tokens/access-token.ts'
import { generateKeyPair } from '../../services/kit/tokens/algorithms.ts'

// Checks or signs access tokens as fast as one thread can: `bun bench/limits/verify.ts --alg ES256 [--what sign]`

const { values } = parseArgs({
  options: {
    alg: { type: 'string', default: 'EdDSA' },
    what: { type: 'string', default: 'verify' },
    seconds: { type: 'string', default: '3' },
  },
})

const alg = values.alg as TokenAlg
const { privateKey, publicKey } = generateKeyPair(alg)
const expected = { issuer: 'https://auth.example.org', audience: 'ch202', key: () => publicKey }
const claims = {
  iss: expected.issuer,
  aud: expected.audience,
  sub: crypto.randomUUID(),
  sid: crypto.randomUUID(),
  jti: crypto.randomUUID(),
  client_id: 'ch202',
  email: 'ana@example.org',
  roles: ['USER'],
  ver: 1,
  iat: 0,
  exp: 2 ** 31,
}
const sign = () => signAccessToken(claims, { alg, kid: 'k', privateKey })
const token = sign()
if (!verifyAccessToken(token, expected).valid) throw new Error('The token is not valid')
const work = values.what === 'sign' ? sign : () => verifyAccessToken(token, expected)

const seconds = Number(values.seconds)
let count = 0
const begin = performance.now()
while (performance.now() - begin < seconds * 1000) {
  for (let n = 0; n < 50; n++) work()
  count += 50
}
console.log(JSON.stringify({ rate: count / ((performance.now() - begin) / 1000) }))
