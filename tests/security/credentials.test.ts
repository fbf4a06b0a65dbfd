import { Database } from 'bun:sqlite'
import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { HashWorkers } from '../../services/kit/passwords/hash-workers.ts'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { expectProblem } from '../support/expectations.ts'
import { type Answer, as, type Client, call } from '../support/http.ts'
import { mailedToken } from '../support/mails.ts'
import { processes } from '../support/processes.ts'
import { running } from '../support/running.ts'
import type { System } from '../support/system.ts'
import { inProcess, inProcessApart } from '../support/system.ts'
import { temporary } from '../support/tool.ts'

const folder = temporary('credentials')
afterAll(folder.remove)

/** Every request that contains a password. */
const BEARERS: [name: string, send: (here: Here, user: TestUser, password: string) => Promise<Answer>][] = [
  ['auth/register', ({ auth }, _, password) => auth('POST /auth/register', { body: { email: newEmail(), password } })],
  ['users', ({ users }, _, password) => users('POST /users', { body: { email: newEmail(), password } })],
  [
    'user/register',
    ({ users }, _, password) => users('POST /user/register', { body: { email: newEmail(), password } }),
  ],
  [
    'v0 auth/register',
    ({ system }, _, password) =>
      call(system.url.auth, 'POST /auth/register', { body: { email: newEmail(), password } }),
  ],
  [
    'v0 user',
    ({ system }, _, password) => call(system.url.users, 'POST /user', { body: { email: newEmail(), password } }),
  ],
  ['auth/login', ({ auth }, { email }, password) => auth('POST /auth/login', { body: { email, password } })],
  [
    'verify-credentials',
    ({ users }, { email }, password) =>
      users('POST /users/verify-credentials', { headers: as.internal, body: { login: email, password } }),
  ],
  [
    'change-password, the current one',
    ({ users }, { id, tokens }, current_password) =>
      users(`POST /users/${id}/change-password`, {
        headers: as.bearer(tokens.access_token),
        body: { current_password, new_password: 'quite another phrase' },
      }),
  ],
  [
    'change-password, the new one',
    ({ users }, { id, tokens }, new_password) =>
      users(`POST /users/${id}/change-password`, {
        headers: as.bearer(tokens.access_token),
        body: { current_password: PASSWORD, new_password },
      }),
  ],
  [
    'set-password',
    ({ users }, { id }, new_password) =>
      users(`POST /users/${id}/set-password`, { headers: as.operator, body: { new_password } }),
  ],
  [
    'password of a reset, between services',
    ({ users }, { id }, new_password) =>
      users(`POST /users/${id}/password`, { headers: as.internal, body: { new_password } }),
  ],
]
interface Here {
  readonly system: System
  auth: Client
  users: Client
}
/** Requests that set a password: the rules for new passwords do not apply at a login. */
const SETTERS = BEARERS.filter(([name]) => !/login|verify|current/.test(name))

describe('a password', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off' })
  const { auth, users } = here

  test.each([
    ['64 characters', `${'correct horse battery staple '.repeat(3).slice(0, 63)}x`],
    ['256 characters', `${'correct horse battery staple '.repeat(9).slice(0, 255)}x`],
    ['256 of one kind', 'horsebattery'.repeat(22).slice(0, 256)],
    ['digits alone', '80571934620857193462'],
    ['inner spaces', 'a b  c   d    e'],
  ])('check 1: of %s is accepted in full wherever a password is set', async (_, password) => {
    for (const [name, send] of SETTERS) {
      const user = await registerUser(here.system)
      const answer = await send(here, user, password)
      expect([name, answer.status < 300]).toEqual([name, true])
      const email = answer.body?.email ?? user.email
      expect([name, (await logIn(here.system, email, password)).status]).toEqual([name, 200])
      expectProblem(await logIn(here.system, email, password.slice(0, -1)), 401, 'invalid_credentials')
    }
  })

  test.each(BEARERS)('checks 1 and 2: %s', async (_, send) => {
    const user = await registerUser(here.system)
    const refused: [string, RegExp][] = [
      [`${'correct horse battery staple '.repeat(9).slice(0, 256)}x`, /^\w+ must be shorter than or equal to 256 /],
      ['🐴'.repeat(257), /^\w+ must be shorter than or equal to 256 /],
      [`${PASSWORD}\ud800`, /^\w+ must not contain lone surrogates$/],
      [`\udc00${PASSWORD}`, /^\w+ must not contain lone surrogates$/],
      [`${PASSWORD}\0`, /^\w+ must not contain NUL$/],
      [`${PASSWORD.slice(0, 4)}\0${PASSWORD.slice(4)}`, /^\w+ must not contain NUL$/],
    ]
    for (const [password, message] of refused) {
      const answer = await send(here, user, password)
      expectProblem(answer, 400, 'validation_failed')
      expect(answer.body.message).toEqual([expect.stringMatching(message)])
    }
    expect((await logIn(here.system, user.email)).status).toBe(200)
  })

  test.each(['register', 'login'])('check 2: bytes that are not UTF-8 are 400: %s', async (path) => {
    const { email } = await registerUser(here.system)
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      const [before, after] = [`{"email":"${path === 'login' ? email : newEmail()}","password":"${PASSWORD}`, '"}']
      const body = Buffer.concat([Buffer.from(before), Uint8Array.from(bytes), Buffer.from(after)])
      const headers = { 'content-type': 'application/json' }
      expectProblem(await auth(`POST /auth/${path}`, { body, headers }), 400, 'malformed_json')
    }
  })

  test('check 2: that differs in a space, in case or after 72 bytes is 401, by the cache and by users', async () => {
    const password = `Correct Horse ${'battery '.repeat(12)}staple`
    const user = await createUser(here.system)
    await SETTERS.find(([name]) => name === 'set-password')?.[1](here, user, password)
    const bytes = Buffer.from(password)
    const others = [
      ...[`${password} `, ` ${password}`, `${password}\n`, password.toLowerCase(), password.toUpperCase()],
      ...[bytes.subarray(0, 72), bytes.subarray(0, 73), bytes.subarray(0, -1)].map(String),
      `${bytes.subarray(0, 72)}${'x'.repeat(bytes.length - 72)}`,
      password.replace('battery', 'Battery'),
    ]
    for (const cached of [true, false])
      for (const other of others) {
        if (!cached) await auth(`DELETE /admin/password-cache/${user.id}`, { headers: as.operator })
        expectProblem(await logIn(here.system, user.email, other), 401, 'invalid_credentials')
        const { body } = await users('POST /users/verify-credentials', {
          headers: as.internal,
          body: { login: user.email, password: other },
        })
        expect(body).toEqual({ valid: false })
      }
    expect((await logIn(here.system, user.email, password)).status).toBe(200)
  })

  test('check 3: that is common is refused wherever a password is set, with the reason', async () => {
    const reasons: [string, string][] = [
      ['Password1', 'it is one of the most used passwords'],
      ['trustno1', 'it is one of the most used passwords'],
      ['Pass@123', 'it is one of the most used passwords'],
      ['11111111', 'it is '],
      ['87654321', 'it is one of the most used passwords'],
      ['Ch202!2026', 'it is the name of this service'],
      // R28
      ['Любовь2024', 'it is one of the most used passwords'],
      ['gfhjkm2024', 'it is one of the most used passwords'],
    ]
    const user = await registerUser(here.system)
    for (const [name, send] of SETTERS)
      for (const [password, reason] of reasons) {
        const answer = await send(here, user, password)
        expect([name, password, answer.body.code]).toEqual([name, password, 'weak_password'])
        expectProblem(answer, 400, 'weak_password')
        expect(answer.body.message).toStartWith(`The password is too easy to guess: ${reason}`)
        expect(answer.text).not.toContain(password)
      }
    expect((await logIn(here.system, user.email)).status).toBe(200)
  })

  test('check 3: that contains the email or name is refused, also by a reset link, which stays valid', async () => {
    const name = 'Ana María Lovelace'
    const user = await registerUser(here.system, { username: 'ana-lovelace', name })
    const token = await mailedToken(auth, here.system, user.email)
    const confirm = (new_password: string) =>
      auth('POST /auth/password-reset-confirm', { body: { token, new_password } })
    for (const password of [
      user.email,
      user.email.toUpperCase(),
      'Ana-Lovelace',
      name,
      name.normalize('NFD'),
      'letmein1',
    ])
      for (const answer of [
        await confirm(password),
        ...(await Promise.all(
          BEARERS.filter(([of]) => /set-password|new one/.test(of)).map(([, send]) => send(here, user, password)),
        )),
      ]) {
        expectProblem(answer, 400, 'weak_password')
        const reason = password === 'letmein1' ? 'it is one of the most used passwords' : 'it is your own email or name'
        expect(answer.body.message).toBe(`The password is too easy to guess: ${reason}`)
      }
    expect((await confirm('a phrase of my own')).status).toBe(204)
  })
})

describe('check 1: of a password of 257 characters', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off' })

  test('no hash is computed', async () => {
    const user = await registerUser(here.system)
    const run = spyOn(HashWorkers.prototype, 'run')
    try {
      for (const [name, send] of BEARERS) {
        run.mockClear()
        expectProblem(await send(here, user, 'x y'.repeat(86).slice(0, 257)), 400, 'validation_failed')
        expect([name, run.mock.calls.length]).toEqual([name, 0])
      }
      await logIn(here.system, user.email)
      expect(run).toHaveBeenCalledTimes(1)
    } finally {
      run.mockRestore()
    }
  })
})

/** Malformed values for a column of hashes: any text, because the tables are STRICT. */
const MALFORMED: [string, string][] = [
  ['nothing', ''],
  ['the password itself', PASSWORD],
  ['bcrypt that was cut', `$2b$04$${'a'.repeat(40)}`],
  ['bcrypt of letters it does not have', `$2b$04$${'!'.repeat(53)}`],
  ['bcrypt that would take years', `$2b$31$${'a'.repeat(53)}`],
  ['argon2 without its parameters', '$argon2id$v=19$$$'],
  ['argon2 of no lanes', `$argon2id$v=19$m=1024,t=1,p=0$${'a'.repeat(22)}$${'a'.repeat(43)}`],
  ['argon2 with malformed base64', `$argon2id$v=19$m=1024,t=1,p=1$${'a'.repeat(21)}$${'a'.repeat(42)}`],
  ['scrypt that was cut', '$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw'],
  ['pbkdf2 of no iteration', `$pbkdf2-sha256$i=0$AAECAwQFBgcICQoLDA0ODw$${'A'.repeat(43)}`],
  ['a NUL', '$2b$04$\0'],
  ['a hundred kilobytes', '$2b$04$'.repeat(15_000)],
]

describe('check 5', () => {
  const here = running(inProcessApart, { RATE_LIMIT: 'off' })
  const { auth, users } = here
  const unreadable = () => here.system.output().split('"event":"hash.unreadable"').length - 1

  /** Writes into both databases while the services are stopped. */
  const onDisk = async (hashes: ReadonlyMap<string, string>) => {
    for (const name of ['auth', 'users', 'modules'] as const) await here.system.terminate(name)
    for (const [file, sql] of [
      ['auth', 'UPDATE accounts SET password_hash = ? WHERE user_id = ?'],
      ['users', 'UPDATE users SET password_hash = ? WHERE id = ?'],
    ] as const) {
      const database = new Database(join(here.system.dataDir, `${file}.sqlite`), { create: false, readwrite: true })
      for (const [id, hash] of hashes) expect(database.query(sql).run(hash, id).changes).toBe(1)
      database.close()
    }
    for (const name of ['users', 'auth', 'modules'] as const) await here.system.start(name)
  }

  test('check 5: a malformed hash on the disk is 401 and one line in the log, and a reset repairs it', async () => {
    const people = await Promise.all(MALFORMED.map(() => registerUser(here.system)))
    await onDisk(new Map(people.map(({ id }, i) => [id, MALFORMED[i]?.[1] ?? ''])))
    for (const [i, user] of people.entries()) {
      const name = MALFORMED[i]?.[0]
      const before = unreadable()
      const answer = await logIn(here.system, user.email)
      expect([name, answer.status]).toEqual([name, 401])
      expectProblem(answer, 401, 'invalid_credentials')
      await eventually(() => unreadable() === before + 1)
      // Users checks the same hash by itself, and logs another line.
      const verified = await users('POST /users/verify-credentials', {
        headers: as.internal,
        body: { login: user.email, password: PASSWORD },
      })
      expect([verified.status, verified.body]).toEqual([200, { valid: false }])
      const headers = as.bearer(user.tokens.access_token)
      const body = { current_password: PASSWORD, new_password: 'quite another phrase' }
      expectProblem(
        await users(`POST /users/${user.id}/change-password`, { headers, body }),
        401,
        'invalid_credentials',
      )
      await eventually(() => unreadable() === before + 3)

      const set = await users(`POST /users/${user.id}/set-password`, {
        headers: as.operator,
        body: { new_password: 'a phrase of its own' },
      })
      expect([name, set.status]).toEqual([name, 204])
      expect([name, (await logIn(here.system, user.email, 'a phrase of its own')).status]).toEqual([name, 200])
      expect(unreadable()).toBe(before + 3)
    }
    expect(here.system.output()).not.toContain('"status":500')
    expect(here.system.output()).not.toContain(PASSWORD)
    expect(here.system.output()).not.toContain('$2b$04$')
    expect((await auth('GET /health')).status).toBe(200)
  })

  test('check 5: a hash with an older cost, written by an older version, is replaced in both databases', async () => {
    const user = await registerUser(here.system)
    const old = await Bun.password.hash(PASSWORD, { algorithm: 'bcrypt', cost: 5 })
    await onDisk(new Map([[user.id, old]]))
    const storedHashes = () =>
      (
        [
          ['auth', 'SELECT password_hash AS hash FROM accounts WHERE user_id = ?'],
          ['users', 'SELECT password_hash AS hash FROM users WHERE id = ?'],
        ] as const
      ).map(([file, sql]) => {
        const database = new Database(join(here.system.dataDir, `${file}.sqlite`), { readonly: true })
        const row = database.query<{ hash: string }, [string]>(sql).get(user.id)
        database.close()
        return row?.hash ?? ''
      })
    expect(storedHashes()).toEqual([old, old])
    expectProblem(await logIn(here.system, user.email, 'not the right one'), 401, 'invalid_credentials')
    expect(storedHashes()).toEqual([old, old])
    expect((await logIn(here.system, user.email)).status).toBe(200)
    await eventually(() => storedHashes().every((hash) => /^\$2b\$04\$/.test(hash)))
    expect(new Set(storedHashes()).size).toBe(1)
    // Sessions stay valid.
    expect((await auth('GET /auth/me', { headers: as.bearer(user.tokens.access_token) })).status).toBe(200)
  })
})

describe('check 6, over four processes', () => {
  const SECRETS = ['INTERNAL_API_KEY', 'OPERATOR_API_KEY', 'CH202_SECRET'] as const
  const GUESSES = ['admin', 'root', 'ch202', 'operator', 'internal', 'secret', 'password', 'changeme', 'test']

  test('check 6: a fresh installation has no account and no predictable secret', async () => {
    const secrets: string[] = []
    for (let i = 0; i < 2; i++) {
      const dataDir = folder.fresh()
      const unset = Object.fromEntries(SECRETS.map((name) => [name, '']))
      const system = await processes('apart', { CH202_DATA_DIR: dataDir, CH202_ENV: 'development', ...unset })
      try {
        const newSecrets = parseEnv(readFileSync(join(dataDir, 'secrets.env'), 'utf8'))
        expect(Object.keys(newSecrets).sort()).toEqual([...SECRETS].sort())
        for (const name of SECRETS) {
          expect(newSecrets[name]).toMatch(/^[\w-]{43}$/)
          secrets.push(newSecrets[name] ?? '')
        }
        for (const key of [...GUESSES, '', ...Object.values(as.operator), ...Object.values(as.internal)]) {
          const headers = { 'x-api-key': key }
          expectProblem(await call(system.url.users, 'GET /users', { headers }), 401, 'invalid_api_key')
          expectProblem(await call(system.url.auth, 'GET /admin/keys', { headers }), 401, 'invalid_api_key')
        }
        for (const login of GUESSES)
          for (const password of [login, 'password'])
            expectProblem(await logIn(system, login, password), 401, 'invalid_credentials')
        const operator = { headers: { 'x-api-key': newSecrets.OPERATOR_API_KEY ?? '' } }
        expect((await call(system.url.users, 'GET /users', operator)).body).toMatchObject({ total: 0, items: [] })
        expect((await call(system.url.auth, 'GET /admin/password-cache', operator)).body.total).toBe(0)
        expect((await call(system.url.auth, 'GET /auth/sessions?all=true', operator)).body.total).toBe(0)
        const { keys } = (await call(system.url.auth, 'GET /.well-known/jwks.json')).body
        secrets.push(...keys.map(({ x }: { x: string }) => x))
        expect(system.output()).not.toContain(newSecrets.OPERATOR_API_KEY ?? '')
      } finally {
        await system.stop()
      }
    }
    // Secrets differ between installations.
    expect(new Set(secrets).size).toBe(8)
  })
})
