import { describe, expect, test } from 'bun:test'
import { FOREIGN_REFUSED, FOREIGN_VECTORS } from '../fixtures/foreign-vectors.ts'
import { logIn, newEmail, PASSWORD } from '../support/actors.ts'
import { cacheHealth } from '../support/cache-health.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { as, jsonLines, parseLines } from '../support/http.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcessApart } from '../support/system.ts'
import { sliced } from '../support/whole.ts'

const SALT = 'AAECAwQFBgcICQoLDA0ODw'
const SIGNER_KEY = 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=='
const FIREBASE =
  `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${SIGNER_KEY}$42xEC+ixf3L2lw==$` +
  'lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=='

const bcrypt = (cost: number, prefix: string, password = PASSWORD) =>
  Bun.password.hash(password, { algorithm: 'bcrypt', cost }).then((hash) => hash.replace('$2b$', prefix))

/** Hashes of other products: from Python's hashlib and argon2-cffi, and Firebase's published example. */
const HASHES: [name: string, hash: string, password?: string][] = [
  [
    'pbkdf2-sha1',
    `$pbkdf2-sha1$i=1000,l=64$${SALT}==$yr+bZKkEnTtGf3f18VjXM5CIxT9gt2kfzsoPOBHUS/RLDCZ42k0onOKxREnD3cAEEtG4G7TZX43IWO1b/MW15g==`,
  ],
  [
    'pbkdf2-sha256',
    `$pbkdf2-sha256$i=27500,l=64$${SALT}$VVatals5hXp5h2oxfsxiF6kzhtIf76FMvLQt3LHjOPTh+NaxYdlTOPwDZ23eIyR9i752/A/GtET2PfLHzgkqPg`,
  ],
  [
    'pbkdf2-sha512',
    `$pbkdf2-sha512$i=210000,l=64$${SALT}$i8MEbJEntlaFgLOnIsIXgO0aPF4DYs7H6fl1KcMdXffNZCnnR8pN4bE1CdLP+hq1XxAKYsiteZvUHLB6Fjk0Kw`,
  ],
  ['scrypt', `$scrypt$ln=14,r=8,p=1$${SALT}$6W7GuoxjojaYIg83x/wEKSXUMMf+reyc6wSvA8q7ny8`],
  ['fbscrypt', FIREBASE, 'user1password'],
  ['argon2id as Keycloak', `$argon2id$v=19$m=7168,t=5,p=1$${SALT}$tFWBGYVQWYldJs55Ny3C/FemDveHTqsi/Dpxz7sjU0Y`],
  ['argon2i', `$argon2i$v=19$m=1024,t=3,p=1$${SALT}$vxNtUft+TPUYTFgW78tvytqpzuSAVMVMnhPRsPjM0Ks`],
  ['argon2d', `$argon2d$v=19$m=1024,t=3,p=1$${SALT}$RaqIKFojXWFBd3xX5eCyHiXkp1Iof/R1WdAXNxlTOiE`],
  // From a system that writes ä as two characters.
  ['pbkdf2 of NFD', `$pbkdf2-sha256$i=1000$${SALT}$7DQZEU9jvzy4+8hsJGqxnhPOA+o0/pIVVbhFtbw3z+8`, 'pässwort-lang'],
  ...FOREIGN_VECTORS.map(([name, password, hash]): (typeof HASHES)[number] => [`R22: ${name}`, hash, password]),
  ['bcrypt of 72 bytes', await bcrypt(4, '$2b$', 'x'.repeat(72)), 'x'.repeat(80)],
  ['bcrypt $2a$ of another cost', await bcrypt(5, '$2a$')],
  ['bcrypt $2b$ of another cost', await bcrypt(6, '$2b$')],
  ['bcrypt $2y$ of another cost', await bcrypt(5, '$2y$')],
]

const here = running(inProcessApart)
const { auth, users } = here

const recordOf = async (id: string) => (await users(`GET /users/${id}/password-hash`, { headers: as.internal })).body
const create = (body: object) => users('POST /users', { headers: as.operator, body })
const importLines = async (lines: object[]) => parseLines(await users('POST /users/import', jsonLines(lines)))

/** The hash in the database of a service. */
const storedHash = async (name: 'auth' | 'users', id: string) => {
  const where = name === 'auth' ? `accounts WHERE user_id = '${id}'` : `users WHERE id = '${id}'`
  const [row] = await databaseRows<{ hash: string }>(here.system, name, `SELECT password_hash AS hash FROM ${where}`)
  return row?.hash
}

/** Logs in with a wrong password and with the right one, before the rehash and after it. */
const expectLogins = async (id: string, email: string, password: string, hash: string) => {
  expect((await recordOf(id)).password_hash).toBe(hash)
  expectProblem(await logIn(here.system, email, `?${password.slice(1)}`), 401, 'invalid_credentials')
  expect((await recordOf(id)).password_hash).toBe(hash)
  expect((await logIn(here.system, email, password)).status).toBe(200)
  const { password_hash } = await eventually(async () => {
    const record = await recordOf(id)
    return record.password_hash === hash ? undefined : record
  })
  expect(password_hash).toMatch(/^\$2b\$04\$/)
  expect((await logIn(here.system, email, password)).status).toBe(200)
  expectProblem(await logIn(here.system, email, `?${password.slice(1)}`), 401, 'invalid_credentials')
  await eventually(async () => (await cacheHealth(here.system)).pending === 0)
  expect((await recordOf(id)).password_hash).toBe(password_hash)
  await eventually(async () => (await storedHash('auth', id)) === password_hash)
  expect(await storedHash('users', id)).toBe(password_hash)
}

describe('check 5: a hash of another product works for a login, and is rehashed in both databases by the first one', () => {
  test.each(sliced(HASHES, 3))('imported: %s', async (_, hash, password = PASSWORD) => {
    const email = newEmail()
    const [line] = await importLines([{ email, password_hash: hash }])
    expect(line).toMatchObject({ status: 'created' })
    await expectLogins(line.id, email, password, hash)
  })

  test('created by an operator', async () => {
    const email = newEmail()
    const answer = await create({ email, password_hash: FIREBASE })
    expect(answer.status).toBe(201)
    expect(answer.text).not.toContain('fbscrypt')
    await expectLogins(answer.body.id, email, 'user1password', FIREBASE)
  })

  test('in a record that auth receives, for either Unicode form', async () => {
    const email = newEmail()
    const { body } = await create({ email, password: PASSWORD })
    const [, hash] = HASHES.find(([name]) => name === 'pbkdf2 of NFD') ?? []
    const record = { ...(await recordOf(body.id)), password_hash: hash, password_version: 100 }
    expect((await auth('POST /auth/sync/password', { headers: as.internal, body: record })).status).toBe(204)
    for (const form of ['NFC', 'NFD'])
      expect((await logIn(here.system, email, 'pässwort-lang'.normalize(form))).status).toBe(200)
    expectProblem(await logIn(here.system, email, 'passwort-lang'), 401, 'invalid_credentials')
  })
})

test.each([
  ['hours of pbkdf2', `$pbkdf2-sha256$i=90000000$${SALT}$${'A'.repeat(43)}`],
  ['all memory by scrypt', `$scrypt$ln=30,r=8,p=1$${SALT}$${'A'.repeat(43)}`],
  ['all memory by fbscrypt', FIREBASE.replace('n=14', 'n=30')],
  ['a gigabyte by argon2', `$argon2id$v=19$m=1048576,t=1,p=1$${SALT}$${'A'.repeat(43)}`],
  ['MD5', '5f4dcc3b5aa765d61d8327deb882cf99'],
  ['minutes of phpass', '$P$SIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0'],
  ['hours of bcrypt by WordPress', `$wp$2y$31$${'a'.repeat(53)}`],
  ['hours of pbkdf2 by Django', 'pbkdf2_sha256$90000000$salt$Dnw/2rHq2+TvT1RbRrZ2L1QT3/4tyWfhBu0oomEoP+4='],
  ...FOREIGN_REFUSED.map(([name, hash]): [string, string] => [`R22: ${name}`, hash]),
])('a hash beyond the cost limits, or of an unsupported kind, is refused: %s', async (_, password_hash) => {
  const message = [
    'password_hash must be a supported hash (bcrypt, argon2, pbkdf2, scrypt or fbscrypt) within the allowed cost limits',
  ]
  const [line] = await importLines([{ email: newEmail(), password_hash }])
  expect(line).toEqual({ line: 1, status: 'failed', code: 'validation_failed', message })
  const answer = await create({ email: newEmail(), password_hash })
  expectProblem(answer, 400, 'validation_failed')
  expect(answer.body.message).toEqual(message)
  const { id } = (await create({ email: newEmail(), password: PASSWORD })).body
  const put = await users(`POST /users/${id}/password`, {
    headers: as.internal,
    body: { password_hash, if_version: 1 },
  })
  expectProblem(put, 400, 'validation_failed')
})

test('the services print neither a hash nor a signer key', () => {
  for (const secret of ['fbscrypt', SIGNER_KEY.slice(0, 40), 'pbkdf2-', PASSWORD])
    expect(here.system.output()).not.toContain(secret)
})
