import type { KeyObject } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { generateKeyPair, signBytes, TOKEN_ALGS, type TokenAlg } from '../../services/kit/tokens/algorithms.ts'
import { registerUser } from '../support/actors.ts'
import { signingKey } from '../support/forged-tokens.ts'
import { as, call } from '../support/http.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { type Library, libraries } from './programs.ts'

interface Case {
  what: string
  token: string
  isValid: boolean
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs a token with a key that auth does not have. */
function signedBy(alg: TokenAlg, key: KeyObject, header: object, claims: object): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${signBytes(alg, Buffer.from(input), key).toString('base64url')}`
}

/** Tokens of an installation, each of which a verifier must accept or refuse. */
async function casesOf(system: System, alg: TokenAlg): Promise<Case[]> {
  const { access_token: token } = (await registerUser(system)).tokens
  const { kid, typ } = decodeProtectedHeader(token)
  const claims = decodeJwt(token)
  const [head, payload, signature = ''] = token.split('.')
  const { key: ofAuth } = await signingKey(system)
  const foreign = generateKeyPair(alg).privateKey
  const ofOtherAlg = alg === 'EdDSA' ? 'ES256' : 'EdDSA'
  const by = (key: KeyObject, changes: { header?: object; claims?: object }, signedAs: TokenAlg = alg) =>
    signedBy(signedAs, key, { alg, typ, kid, ...changes.header }, { ...claims, ...changes.claims })
  const past = Math.floor(Date.now() / 1000) - 600
  return [
    { what: 'a user’s token', token, isValid: true },
    { what: 'the same claims, signed again', token: by(ofAuth, {}), isValid: true },
    { what: 'another role', token: `${head}.${encode({ ...claims, roles: ['ADMIN'] })}.${signature}`, isValid: false },
    { what: 'a changed signature', token: `${head}.${payload}.${flipped(signature)}`, isValid: false },
    { what: 'no signature', token: `${encode({ alg: 'none', typ, kid })}.${payload}.`, isValid: false },
    { what: 'another key', token: by(foreign, {}), isValid: false },
    {
      what: 'another algorithm',
      token: by(generateKeyPair(ofOtherAlg).privateKey, { header: { alg: ofOtherAlg } }, ofOtherAlg),
      isValid: false,
    },
    { what: 'another type', token: by(ofAuth, { header: { typ: 'JWT' } }), isValid: false },
    { what: 'an expired token', token: by(ofAuth, { claims: { iat: past - 60, exp: past } }), isValid: false },
    { what: 'another client', token: by(ofAuth, { claims: { client_id: Bun.randomUUIDv7() } }), isValid: false },
    { what: 'another issuer', token: by(ofAuth, { claims: { iss: 'https://evil.example' } }), isValid: false },
    // Its audience is the client: it is for Ch202 alone.
    { what: 'a client’s token', token: await tokenOfClient(system), isValid: false },
    { what: 'no token', token: 'x', isValid: false },
  ]
}

async function tokenOfClient({ url }: System): Promise<string> {
  const body = { name: 'interop', scopes: ['introspect'], token_auth_method: 'client_secret_post' }
  const { body: client } = await call(url.auth, 'POST /api/v1/admin/clients', { headers: as.operator, body })
  const { client_secret, id: client_id } = client
  const request = { grant_type: 'client_credentials', client_id, client_secret }
  return (await call(url.auth, 'POST /oauth/token', { body: request })).body.access_token
}

function flipped(signature: string): string {
  const bytes = Buffer.from(signature, 'base64url')
  bytes[10] = (bytes[10] ?? 0) ^ 1
  return bytes.toString('base64url')
}

/** Gives the tokens to a program. @returns its lines, `ok …` or `refused` */
async function answersOf(command: string[], expected: string[], cases: Case[]): Promise<string[]> {
  const stdin = Buffer.from(`${cases.map(({ token }) => token).join('\n')}\n`)
  const child = Bun.spawn([...command, ...expected], { stdin, stderr: 'inherit' })
  return (await new Response(child.stdout).text()).trim().split('\n')
}

/** Prints the judgement of each library about the tokens of one algorithm. @returns how many were wrong */
async function judge(alg: TokenAlg, all: Library[]): Promise<number> {
  const system = await processes('together', { TOKEN_ALG: alg, RATE_LIMIT: 'off', LOG_LEVEL: 'silent' })
  try {
    const cases = await casesOf(system, alg)
    const issuer = String(decodeJwt(cases[0]?.token ?? '').iss)
    let wrong = 0
    for (const { algorithms, command, name, version } of all) {
      if (!algorithms.includes(alg)) continue
      const answers = await answersOf(
        command,
        [`${system.url.auth}/.well-known/jwks.json`, issuer, 'ch202', alg],
        cases,
      )
      const faults = cases.filter(({ isValid }, index) => answers[index]?.startsWith('ok ') !== isValid)
      wrong += faults.length
      const names = faults.map(({ what }) => what).join(', ')
      console.log(`${alg}  ${name} ${version}: ${faults.length === 0 ? `${cases.length} tokens` : `wrong: ${names}`}`)
    }
    return wrong
  } finally {
    await system.stop()
  }
}

/**
 * Gives access tokens to libraries of other languages. Each of them must accept what is valid, and refuse everything else, with
 * each algorithm that it has.
 * @returns how many tokens were judged wrongly
 */
export async function judgeTokens(): Promise<number> {
  const all = await libraries()
  let wrong = 0
  for (const alg of TOKEN_ALGS) wrong += await judge(alg, all)
  return wrong
}
