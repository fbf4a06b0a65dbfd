import { join } from 'node:path'
import { TOKEN_ALGS, type TokenAlg } from '../../services/kit/token-algs.ts'
import { createClient, tokenOf } from '../../tests/support/oauth/clients.ts'
import { INTERNAL_KEY } from '../../tests/support/settings.ts'
import { type BenchUser, createUsers, logIn, operator, startCh202 } from '../ch202.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, underLoad } from '../measure.ts'
import { type Measurable, measureAlone, send } from '../processes.ts'

const CLIENTS = 16
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

interface Bench extends BenchOptions {
  /** One instance of each algorithm of access tokens. */
  instances: Record<TokenAlg, Measurable>
  users: Record<TokenAlg, BenchUser[]>
}

/** Measures the signature algorithms beside each other, and what OAuth clients send. */
export async function clients(options: BenchOptions, folder: string): Promise<Result[]> {
  const entries: [TokenAlg, Measurable][] = []
  try {
    for (const alg of TOKEN_ALGS) entries.push([alg, await startCh202(join(folder, alg), { TOKEN_ALG: alg })])
    const instances = Object.fromEntries(entries) as Bench['instances']
    const users = {} as Bench['users']
    for (const [alg, { url }] of entries) users[alg] = await createUsers(url, CLIENTS)
    const bench: Bench = { ...options, instances, users }
    const results: Result[] = []
    for (const alg of ['ES256', 'RS256'] as const) results.push(await refreshes(bench, alg), await checks(bench, alg))
    return [...results, ...(await ofClients(bench))]
  } finally {
    for (const [, instance] of entries) await instance.stop()
  }
}

/** Refreshes a second: each signs a token, and is durable. */
async function refreshes({ instances, rounds, seconds, users }: Bench, alg: TokenAlg): Promise<Result> {
  const of = (which: TokenAlg) => async () => {
    const server = instances[which]
    const sessions = await Promise.all(users[which].map(({ email }) => logIn(server.url, email)))
    const data = { refreshTokens: sessions.map(({ refreshToken }) => refreshToken) }
    return underLoad(server, () => send({ script: 'refresh', url: server.url, clients: CLIENTS, seconds, data }))
  }
  return {
    name: `POST /auth/refresh with ${alg}`,
    unit: 'a second',
    limitIs: 'the same with EdDSA',
    ...(await measureBoth(rounds, of(alg), of('EdDSA'))),
  }
}

/** Signature checks a second of tokens that are checked for the first time, without HTTP: a cached one costs nothing. */
async function checks({ rounds, seconds }: Bench, alg: TokenAlg): Promise<Result> {
  const of = (which: TokenAlg) => async (): Promise<Figure> => {
    const words = ['--alg', which, '--seconds', String(seconds)]
    return { value: (await measureAlone<{ rate: number }>('limits/verify.ts', words)).rate }
  }
  return {
    name: `check of a token that is not cached, ${alg}`,
    unit: 'a second',
    limitIs: 'the same with EdDSA',
    ...(await measureBoth(rounds, of(alg), of('EdDSA'))),
  }
}

/** Tokens of clients, and introspections by a client and by the internal key, each beside its limit. */
async function ofClients({ instances, rounds, seconds, users }: Bench): Promise<Result[]> {
  const server = instances.EdDSA
  const client = await createClient({ url: { auth: server.url } as never }, { scopes: ['introspect'] }, operator)
  const bearer = await tokenOf({ url: { auth: server.url } as never }, client)
  const basic = Buffer.from(`${client.id}:${client.client_secret}`).toString('base64')
  const { token = '' } = users.EdDSA[0] ?? {}
  const posting = (path: string, headers: Record<string, string>, fields: Record<string, string>) => () => {
    const data = { path, headers: { ...FORM, ...headers }, text: new URLSearchParams(fields).toString() }
    return underLoad(server, () => send({ script: 'form', url: server.url, clients: CLIENTS, seconds, data }))
  }
  const signatures = async (): Promise<Figure> => {
    const words = ['--alg', 'EdDSA', '--what', 'sign', '--seconds', String(seconds)]
    return { value: (await measureAlone<{ rate: number }>('limits/verify.ts', words)).rate }
  }
  const introspection = (headers: Record<string, string>) => posting('/api/v1/auth/introspect', headers, { token })
  const validation = () =>
    underLoad(server, () =>
      send({ script: 'validate', url: server.url, clients: CLIENTS, seconds, data: { tokens: [token] } }),
    )
  const result = async (name: string, limitIs: string, ours: () => Promise<Figure>, limit: () => Promise<Figure>) => ({
    name,
    unit: 'a second',
    limitIs,
    ...(await measureBoth(rounds, ours, limit)),
  })
  return [
    await result(
      'POST /oauth/token, client_credentials',
      'signatures of Ed25519',
      posting('/oauth/token', { authorization: `Basic ${basic}` }, { grant_type: 'client_credentials' }),
      signatures,
    ),
    await result(
      'POST /auth/introspect, by a client',
      'POST /auth/validate-token',
      introspection({ authorization: `Bearer ${bearer}` }),
      validation,
    ),
    await result(
      'POST /auth/introspect, by the internal key',
      'POST /auth/validate-token',
      introspection({ 'x-api-key': INTERNAL_KEY }),
      validation,
    ),
  ]
}
