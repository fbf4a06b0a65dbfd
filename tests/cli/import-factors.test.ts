import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase32, totpCode, totpStep } from '../../services/auth/factors/totp.ts'
import type { TotpForm } from '../../services/auth/store/index.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { processes } from '../support/processes.ts'
import type { System } from '../support/system.ts'
import { runTool, temporary } from '../support/tool.ts'

setDefaultTimeout(120_000)

const HASH = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 4 })
/** Each secret is in one user only, so that a leak shows from where. */
const SECRETS = {
  base32: 'KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU',
  text: 'aB3dE5gH7jK9mN1pQ3sT',
  counter: 'hotpSecretHotpSecret',
  unverified: 'unverifiedUnverified',
  auth0: 'MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U',
} as const
const folder = temporary('import-factors')
let system: System
beforeAll(async () => {
  system = await processes('apart', { RATE_LIMIT: 'off' })
})
afterAll(async () => {
  await system?.stop()
  folder.remove()
})

const importing = (file: string, words: string[]) =>
  runTool(['users', 'import', file, ...words], {
    env: {
      AUTH_URL: system.url.auth,
      USERS_URL: system.url.users,
      OPERATOR_API_KEY: as.operator['x-api-key'],
      XDG_STATE_HOME: join(folder.path, 'state'),
    },
  })

function written(value: unknown): string {
  const path = `${folder.fresh()}.json`
  writeFileSync(path, JSON.stringify(value))
  return path
}

const credential = (type: string, secret: object, data: object) => ({
  type,
  secretData: JSON.stringify(secret),
  credentialData: JSON.stringify(data),
})
const FORM = { subType: 'totp', digits: 6, counter: 0, period: 30, algorithm: 'HmacSHA1' }

/** A realm with an app in Base32, one as text, one that counts, one of an unverified user, and a key. */
function realm() {
  const [base32, text, counter, unverified, key] = Array.from({ length: 5 }, newEmail)
  const user = (email = '', emailVerified: boolean, ...credentials: object[]) => ({
    email,
    emailVerified,
    credentials: [credential('password', { value: HASH }, { algorithm: 'bcrypt' }), ...credentials],
  })
  const odd = { ...FORM, digits: 8, period: 60, algorithm: 'HmacSHA256', secretEncoding: 'BASE32' }
  const users = [
    user(base32, true, { ...credential('otp', { value: SECRETS.base32 }, odd), userLabel: 'Work phone' }),
    user(text, true, credential('otp', { value: SECRETS.text }, FORM)),
    user(counter, true, credential('otp', { value: SECRETS.counter }, { ...FORM, subType: 'hotp' })),
    user(unverified, false, credential('otp', { value: SECRETS.unverified }, FORM)),
    user(key, true, credential('webauthn', {}, { credentialId: 'AAAA' })),
  ]
  return { file: written({ realm: 'shop', users }), emails: { base32, text, counter, unverified, key } }
}

const factorsOf = async (email = '') => {
  const headers = as.operator
  const user = await call(system.url.users, `GET /users/by-email/${email}`, { headers })
  return (await call(system.url.auth, `GET /admin/users/${user.body.id}/factors`, { headers })).body.items
}

async function logInByCode(email = '', secret: Uint8Array | null, form: TotpForm) {
  const { body } = await logIn(system, email)
  expect(body.code).toBe('second_factor_required')
  const code = totpCode(secret ?? Buffer.of(), form, totpStep(form, Date.now()))
  const answer = { challenge_id: body.challenge_id, code }
  return (await call(system.url.auth, 'POST /auth/second-factor', { body: answer })).status
}

const WARNINGS = [
  '! Second factors left out because their kind cannot be imported: 2 (only apps that show codes by the time can)',
  '! Second factors left out because the email is not verified: 1 (ch202 users list --unverified lists the users)',
]
const warningsIn = (stderr: string) => stderr.split('\n').filter((line) => line.startsWith('! '))

describe('13: an import from Keycloak', () => {
  test('brings the apps with it: users log in with the codes of their old app', async () => {
    const { emails, file } = realm()
    const dry = await importing(file, ['--format', 'keycloak', '--dry-run'])
    expect([dry.status, warningsIn(dry.stderr)]).toEqual([0, WARNINGS])

    const errors = folder.fresh()
    const first = await importing(file, ['--format', 'keycloak', '--errors', errors, '-o', 'json'])
    expect([first.status, warningsIn(first.stderr)]).toEqual([0, WARNINGS])
    expect(JSON.parse(first.stdout)).toMatchObject({ created: 5, failed: 0, factors_added: 2 })
    expect(await factorsOf(emails.base32)).toMatchObject([{ kind: 'totp', name: 'Work phone' }])
    expect(await factorsOf(emails.text)).toMatchObject([{ kind: 'totp', name: 'Authenticator app' }])
    for (const email of [emails.counter, emails.unverified, emails.key]) expect(await factorsOf(email)).toEqual([])
    const odd = { algorithm: 'SHA256', digits: 8, period: 60 } as const
    expect(await logInByCode(emails.base32, fromBase32(SECRETS.base32), odd)).toBe(200)
    const usual = { algorithm: 'SHA1', digits: 6, period: 30 } as const
    expect(await logInByCode(emails.text, Buffer.from(SECRETS.text), usual)).toBe(200)

    // Again: nobody gets a second copy.
    const again = await importing(file, ['--format', 'keycloak', '--on-conflict', 'update', '-o', 'json'])
    expect([again.status, JSON.parse(again.stdout).factors_added]).toEqual([0, undefined])
    expect(await factorsOf(emails.text)).toHaveLength(1)
    const failing = await importing(file, ['--format', 'keycloak', '--errors', errors])
    expect([failing.status, (await factorsOf(emails.text)).length]).toEqual([1, 1])
    // No secret is anywhere but in the database, where it is sealed.
    const state = join(folder.path, 'state', 'ch202', 'imports')
    const journals = readdirSync(state).map((name) => readFileSync(join(state, name), 'utf8'))
    const outputs = [dry, first, again, failing].flatMap(({ stderr, stdout }) => [stderr, stdout])
    const texts = [...outputs, ...journals, readFileSync(errors, 'utf8'), system.output()].join('\n')
    for (const secret of Object.values(SECRETS)) expect(texts).not.toContain(secret)
  })

  test('skips users who exist with --on-conflict skip, their apps too', async () => {
    const { emails, file } = realm()
    const body = { email: emails.text, password: PASSWORD, email_verified: true }
    await call(system.url.users, 'POST /users', { headers: as.operator, body })
    const { status } = await importing(file, ['--format', 'keycloak', '--on-conflict', 'skip'])
    expect([status, await factorsOf(emails.text), (await factorsOf(emails.base32)).length]).toEqual([0, [], 1])
    const update = await importing(file, ['--format', 'keycloak', '--on-conflict', 'update'])
    expect([update.status, (await factorsOf(emails.text)).length]).toEqual([0, 1])
  })

  test('stops while auth does not answer, and --resume adds the apps', async () => {
    const { emails, file } = realm()
    await system.kill('auth')
    const stopped = await importing(file, ['--format', 'keycloak'])
    expect([stopped.status, stopped.stderr]).toEqual([7, expect.stringMatching(/→ ch202 users import \S+ --resume/)])
    await system.start('auth')
    const resumed = await importing(file, ['--format', 'keycloak', '--resume', '-o', 'json'])
    expect([resumed.status, warningsIn(resumed.stderr)]).toEqual([0, WARNINGS])
    expect(JSON.parse(resumed.stdout)).toMatchObject({ created: 5, factors_added: 2 })
    expect([(await factorsOf(emails.text)).length, (await factorsOf(emails.base32)).length]).toEqual([1, 1])
    const rows = await databaseRows<{ n: number }>(
      system,
      'auth',
      'SELECT count(*) AS n FROM totps WHERE confirmed_at IS NULL',
    )
    expect(Number(rows[0]?.n)).toBe(0)
  })
})

describe('13: an import from Auth0', () => {
  test('brings the apps with it, and reports other factors', async () => {
    const [email, phone] = [newEmail(), newEmail()]
    const user = (address: string, ...mfa_factors: object[]) => ({
      email: address,
      email_verified: true,
      passwordHash: HASH,
      mfa_factors,
    })
    const file = written([
      user(email, { totp: { secret: SECRETS.auth0 } }),
      user(phone, { phone: { value: '+15551234' } }, { totp: { secret: 'not Base32!' } }),
    ])
    const { status, stderr } = await importing(file, ['--format', 'auth0'])
    expect([status, warningsIn(stderr)]).toEqual([0, [(WARNINGS[0] ?? '').replace(' 2 ', ' 1 ')]])
    const usual = { algorithm: 'SHA1', digits: 6, period: 30 } as const
    expect(await logInByCode(email, fromBase32(SECRETS.auth0), usual)).toBe(200)
    expect(await factorsOf(phone)).toEqual([])
  })
})
