import { join } from 'node:path'
import { toBase32 } from '../../services/auth/factors/totp.ts'
import { PASSWORD } from '../../tests/support/actors.ts'
import { Authenticator, type SavedAuthenticator } from '../../tests/support/browser/authenticator.ts'
import { as, call } from '../../tests/support/http.ts'
import { type BenchUser, createUsers, operator, startCh202 } from '../ch202.ts'
import type { LoadResult } from '../load.ts'
import { type BenchOptions, type Figure, measureBoth, type Result, spreadOf, underLoad } from '../measure.ts'
import { type Measurable, measureAlone, SERVER_CORES, send, sendTogether } from '../processes.ts'
import type { AppLogin } from '../scripts.ts'

/** Clients that log in as fast as they can. */
const CLIENTS = 8
/** Passwords that a core can check in a second, at most. */
const HASHES = 30

/** The requests a second beside the attack: few, so that what they wait for is the attack. */
const RATES = { codes: 50, passkeys: 50, checks: 500 }
/** Wrong passwords a second of the attack, and how many may wait for their answer: more than the hash queue takes. */
const ATTACK = { rate: 300, clients: 256 }

interface Bench extends BenchOptions {
  ch202: Measurable
  folder: string
  passkeys: SavedAuthenticator[]
  users: BenchUser[]
}

/** Measures logins with second factors, alone and while someone tries stolen passwords. */
export async function factors(scale: BenchOptions, folder: string): Promise<Result[]> {
  const ch202 = await startCh202(join(folder, 'factors'))
  try {
    const users = await createUsers(ch202.url, CLIENTS)
    const passkeys = await Promise.all(users.map((user) => addPasskey(ch202.url, user)))
    const bench = { ...scale, ch202, folder, passkeys, users }
    return [await loginsByCode(bench), await loginsByPasskey(bench), ...(await besideAttack(bench))]
  } finally {
    await ch202.stop()
  }
}

async function addPasskey(url: string, { id, token }: BenchUser): Promise<SavedAuthenticator> {
  const headers = as.bearer(token)
  await call(url, `PATCH /api/v1/users/${id}`, { headers: operator, body: { email_verified: true } })
  const options = await call(url, 'POST /api/v1/auth/passkeys/options', { headers, body: {} })
  const authenticator = new Authenticator(new URL(url).origin, 'ES256', false, false)
  const body = { credential: authenticator.create(options.body) }
  const added = await call(url, 'POST /api/v1/auth/passkeys', { headers, body })
  if (added.status !== 201) throw new Error(`A passkey was answered with ${added.status} ${added.text}`)
  return authenticator.saved()
}

let accounts = 0

/** Creates accounts with an app that shows codes. @param cost of their hashes */
async function accountsWithApps(url: string, count: number, cost: number): Promise<AppLogin[]> {
  const password_hash = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost })
  const create = async (): Promise<AppLogin> => {
    const email = `app-${accounts++}@example.org`
    const body = { email, password_hash, email_verified: true }
    const { body: user } = await call(url, 'POST /api/v1/users', { headers: operator, body })
    const secret = toBase32(crypto.getRandomValues(new Uint8Array(20)))
    const path = `POST /api/v1/admin/users/${user.id}/factors`
    const added = await call(url, path, { headers: operator, body: { secret } })
    if (added.status !== 201) throw new Error(`An app was answered with ${added.status} ${added.text}`)
    return { email, password: PASSWORD, secret }
  }
  const created: AppLogin[] = []
  while (created.length < count)
    created.push(...(await Promise.all(Array.from({ length: Math.min(16, count - created.length) }, create))))
  return created
}

/** A login is two requests; the first one costs a hash, and the limit is how many of these the machine can do. */
async function loginsByCode({ ch202, rounds, seconds }: Bench): Promise<Result> {
  const logins = async (): Promise<Figure> => {
    const data = { accounts: await accountsWithApps(ch202.url, SERVER_CORES * HASHES * (seconds + 1), 10) }
    const load = { script: 'loginByCode', url: ch202.url, clients: CLIENTS, seconds, data } as const
    const { seconds: elapsed, statuses } = await send(load, ['403', '200'])
    return { value: (statuses['200'] ?? 0) / elapsed }
  }
  const words = ['--at-once', String(CLIENTS), '--seconds', String(seconds)]
  const checks = async () => ({ value: (await measureAlone<{ rate: number }>('limits/bcrypt.ts', words)).rate })
  return {
    name: `login by password and code, ${CLIENTS} clients`,
    unit: 'a second',
    limitIs: `bcrypt checks, ${SERVER_CORES} core${SERVER_CORES > 1 ? 's' : ''}`,
    ...(await measureBoth(rounds, logins, checks)),
  }
}

/** A login is two requests; the second one verifies a signature and commits twice: the use of the passkey and the session. */
async function loginsByPasskey({ ch202, folder, passkeys, rounds, seconds }: Bench): Promise<Result> {
  const load = { script: 'loginByPasskey', url: ch202.url, clients: CLIENTS, seconds, data: { passkeys } } as const
  const logins = () =>
    underLoad(
      ch202,
      () => send(load),
      ({ rate }) => rate / 2,
    )
  const words = ['--file', join(folder, 'commits.sqlite'), '--seconds', String(seconds), '--what', 'insert']
  const commits = async () => ({ value: (await measureAlone<{ rate: number }>('limits/commits.ts', words)).rate })
  return {
    name: `login by passkey, ${CLIENTS} clients`,
    unit: 'a second',
    limitIs: 'durable commits of one row',
    ...(await measureBoth(rounds, logins, commits)),
  }
}

type Watched = keyof typeof RATES
const NAMES: Record<Watched, string> = {
  codes: 'POST /auth/second-factor with a code',
  passkeys: 'POST /auth/passkeys/login',
  checks: 'POST /auth/validate-token',
}

/** The attack of one round: how many wrong passwords were sent in a second, and the part of them that was refused unchecked. */
interface AttackFigures {
  rate: number
  overloaded: number
}

/**
 * Measures the same requests with and without an attack, alternately. An attack of this rate is far more than the cores can
 * hash: the queue is full all the time, and most attempts are answered 503 `overloaded`.
 */
async function besideAttack(bench: Bench): Promise<Result[]> {
  const attacks: AttackFigures[] = []
  const slowest: { ours: Record<Watched, number>; limit: Record<Watched, number> }[] = []
  for (let round = 0; round < bench.rounds; round++) {
    const first = round % 2 === 0 ? await watchBesideAttack(bench, attacks) : undefined
    const limit = await watch(bench)
    slowest.push({ ours: first ?? (await watchBesideAttack(bench, attacks)), limit })
  }
  const rate = Math.round(spreadOf(attacks.map((each) => each.rate)).median)
  const overloaded = Math.round(spreadOf(attacks.map((each) => each.overloaded)).median * 100)
  return (Object.keys(RATES) as Watched[]).map((what) => ({
    name: `${NAMES[what]} beside a stuffing attack, p99`,
    unit: 'ms',
    limitIs: 'the same without the attack',
    ours: spreadOf(slowest.map(({ ours }) => ours[what])),
    limit: spreadOf(slowest.map(({ limit }) => limit[what])),
    ratio: spreadOf(slowest.map(({ limit, ours }) => ours[what] / limit[what])),
    goal: { maximum: 3 },
    also: [
      { says: `${rate} wrong passwords a second, ${overloaded} % answered 503`, holds: rate >= ATTACK.rate * 0.9 },
    ],
  }))
}

/** Sends the watched requests at their rates. @returns the p99 of each, in milliseconds */
async function watch({ ch202, passkeys, seconds, users }: Bench, during?: () => Promise<void>) {
  const { url } = ch202
  // A cheap hash: only the second step is measured, and the first one must not take the whole time.
  const apps = await accountsWithApps(url, RATES.codes * seconds, 4)
  const logins: { challengeId: string; secret: string }[] = []
  for (const { email, password, secret } of apps) {
    const { body } = await call(url, 'POST /api/v1/auth/login', { body: { email, password } })
    logins.push({ challengeId: body.challenge_id, secret })
  }
  const challenges: { challenge: string; rpId: string }[] = []
  for (let n = 0; n < RATES.passkeys * seconds; n++)
    challenges.push((await call(url, 'POST /api/v1/auth/passkeys/login-options', { body: {} })).body)
  await during?.()
  const common = { url, seconds, clients: CLIENTS }
  const [codes, byPasskey, checks] = (await sendTogether([
    { ...common, script: 'codes', rate: RATES.codes, data: { logins } },
    { ...common, script: 'passkeys', rate: RATES.passkeys, data: { passkeys, challenges } },
    { ...common, script: 'validate', rate: RATES.checks, data: { tokens: users.map(({ token }) => token) } },
  ])) as [LoadResult, LoadResult, LoadResult]
  return { codes: codes.p99, passkeys: byPasskey.p99, checks: checks.p99 }
}

async function watchBesideAttack(bench: Bench, attacks: AttackFigures[]): Promise<Record<Watched, number>> {
  const { ch202, seconds, users } = bench
  const data = { users: users.map(({ email }) => ({ email, password: 'tried at every site' })) }
  const load = { ...ATTACK, script: 'login', url: ch202.url, seconds: seconds + 1, background: true, data } as const
  let attack: Promise<LoadResult> | undefined
  const figures = await watch(bench, async () => {
    attack = send(load, ['401', '503'])
    // Until the queue is full.
    await Bun.sleep(500)
  })
  // Ends when every password in the queue has been checked: nothing of it is left for the next measurement.
  const measured = await attack
  if (measured) {
    const { requests, statuses } = measured
    attacks.push({ rate: requests / (seconds + 1), overloaded: (statuses['503'] ?? 0) / requests })
  }
  return figures
}
