import { beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { expectProblem } from '../support/expectations.ts'
import { appWith } from '../support/factors.ts'
import { as, call } from '../support/http.ts'
import { movingClock } from '../support/moving-clock.ts'
import { databaseRows } from '../support/postgres/database-rows.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'

const MINUTE = 60_000
const CHALLENGE = 'Bearer error="insufficient_user_authentication", max_age=600'
const LINES = { 'content-type': 'application/x-ndjson' }

interface Actors {
  owner: TestUser
  admin: TestUser
}
type By = keyof Actors
/** A request to users: who sends it, the request, and its body. */
type Row = [name: string, by: By, request: (actors: Actors) => string, body?: () => unknown, headers?: object]

const other = () => ({ email: newEmail() })
const another = ({ owner }: Actors) => `PATCH /api/v1/users/${owner.id}`
const self = ({ admin }: Actors) => `PATCH /api/v1/users/${admin.id}`
const creation = (fields: object = {}) => ({ email: newEmail(), password: PASSWORD, ...fields })
const line = () => `${JSON.stringify(creation())}\n`

/** Calls of users that need a recent authentication of the user who makes them. */
const RECENT: Row[] = [
  ['another email of your own, by PATCH', 'owner', another, other],
  ['another email of your own, by PUT', 'owner', ({ owner }) => `PUT /api/v1/users/${owner.id}`, other],
  ['deleting yourself', 'owner', ({ owner }) => `DELETE /api/v1/users/${owner.id}`],
  ['deleting yourself (v0)', 'owner', ({ owner }) => `DELETE /user/${owner.id}`],
  ['another email of a user', 'admin', another, other],
  ['another email of a user, by PUT', 'admin', ({ owner }) => `PUT /api/v1/users/${owner.id}`, other],
  ['a verified email of a user', 'admin', another, () => ({ email_verified: true })],
  ['other roles of a user', 'admin', another, () => ({ roles: ['USER', 'ADMIN'] })],
  ['your own email, as an administrator', 'admin', self, other],
  ['your own roles, as an administrator', 'admin', self, () => ({ roles: ['ADMIN', 'STAFF'] })],
  ['deleting yourself, as an administrator', 'admin', ({ admin }) => `DELETE /api/v1/users/${admin.id}`],
  ['erasing a user', 'admin', ({ owner }) => `POST /api/v1/users/${owner.id}/erase`],
  [
    'the password of a user',
    'admin',
    ({ owner }) => `POST /api/v1/users/${owner.id}/set-password`,
    () => ({ new_password: 'a wholly new password' }),
  ],
  ['an export with hashes', 'admin', () => 'GET /api/v1/users/export?with_hashes=true'],
  ['an import', 'admin', () => 'POST /api/v1/users/import', line, LINES],
  ['a new user with roles', 'admin', () => 'POST /api/v1/users', () => creation({ roles: ['USER'] })],
  ['a new user with roles (004)', 'admin', () => 'POST /user/register', () => creation({ roles: ['ADMIN'] })],
  ['a new user with roles (v0)', 'admin', () => 'POST /user', () => creation({ roles: ['ADMIN'] })],
]

/** Calls of users that need no recent authentication. */
const ANY_TIME: Row[] = [
  ['another name', 'owner', another, () => ({ name: 'Ana', metadata: { theme: 'dark' }, locale: 'ru' })],
  [
    'another password, with the current one',
    'owner',
    ({ owner }) => `POST /api/v1/users/${owner.id}/change-password`,
    () => ({ current_password: PASSWORD, new_password: 'a wholly new password' }),
  ],
  ['reading yourself', 'owner', ({ owner }) => `GET /api/v1/users/${owner.id}`],
  [
    'the fields of a user that give no rights',
    'admin',
    another,
    () => ({ name: 'Ana', app_metadata: { plan: 'pro' } }),
  ],
  ['disabling a user', 'admin', another, () => ({ status: 'disabled' })],
  ['the same roles and the same state', 'admin', another, () => ({ roles: ['USER'], email_verified: false })],
  ['deleting another user', 'admin', ({ owner }) => `DELETE /api/v1/users/${owner.id}`],
  ['an export without hashes', 'admin', () => 'GET /api/v1/users/export?with_hashes=false'],
  ['a new user without roles', 'admin', () => 'POST /api/v1/users', () => creation({ email_verified: true })],
]

type Here = ReturnType<typeof running>

async function actors({ system }: Here): Promise<Actors> {
  return { owner: await registerUser(system), admin: await createUser(system, { roles: ['ADMIN'] }) }
}

/** Sends the request of a row. @param credentials in place of the token of its user */
function ask({ system }: Here, row: Row, people: Actors, credentials?: Record<string, string>) {
  const [, by, request, body = () => undefined, headers = {}] = row
  const bearer = as.bearer(people[by].tokens.access_token)
  return call(system.url.users, request(people), { headers: { ...(credentials ?? bearer), ...headers }, body: body() })
}

const withNames = (rows: Row[]) => rows.map((row): [string, Row] => [row[0], row])

describe('Contract 11: users asks for a recent authentication', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), { RATE_LIMIT: 'off' })
  // Another administrator remains when one deletes themself.
  beforeAll(() => createUser(here.system, { roles: ['ADMIN'] }))
  const stored = async () =>
    JSON.stringify(await databaseRows(here.system, 'users', 'SELECT * FROM users ORDER BY seq'))

  test.each(withNames(RECENT))('for %s', async (_, row) => {
    const people = await actors(here)
    clock.pass(10 * MINUTE + 1000)
    const before = await stored()
    const refused = await ask(here, row, people)
    expectProblem(refused, 401, 'reauthentication_required')
    expect(refused.headers.get('www-authenticate')).toBe(CHALLENGE)
    expect(await stored()).toBe(before)
    // A refresh is no authentication.
    const by = people[row[1]]
    const { refresh_token } = by.tokens
    const refreshed = await call(here.system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
    by.tokens = refreshed.body
    expectProblem(await ask(here, row, people), 401, 'reauthentication_required')

    by.tokens = (await logIn(here.system, by.email)).body
    clock.pass(9 * MINUTE)
    expect((await ask(here, row, people)).status).toBeLessThan(300)
  })

  test.each(withNames(RECENT.filter(([, by]) => by === 'admin')))('not of the operator key: %s', async (_, row) => {
    const people = await actors(here)
    clock.pass(60 * MINUTE)
    expect((await ask(here, row, people, as.operator)).status).toBeLessThan(300)
  })

  test.each(withNames(ANY_TIME))('not for %s', async (_, row) => {
    const people = await actors(here)
    clock.pass(20 * MINUTE)
    expect((await ask(here, row, people)).status).toBeLessThan(300)
  })

  test('not for the same email in another spelling', async () => {
    const people = await actors(here)
    clock.pass(20 * MINUTE)
    const spelled: Row = ['', 'owner', another, () => ({ email: people.owner.email.toUpperCase() })]
    expect((await ask(here, spelled, people)).body.email).toBe(people.owner.email.toUpperCase())
  })

  test('after the other credentials and the body, and before anything else', async () => {
    const people = await actors(here)
    clock.pass(20 * MINUTE)
    const bearer = as.bearer(people.owner.tokens.access_token)
    const patch = (id: string, body: object) =>
      call(here.system.url.users, `PATCH /users/${id}`, { headers: bearer, body })
    expectProblem(await patch(people.admin.id, other()), 404, 'user_not_found')
    expectProblem(await patch(people.owner.id, { ...other(), roles: ['ADMIN'] }), 403, 'forbidden_field')
    expectProblem(await patch(people.owner.id, { email: 'nope' }), 400, 'validation_failed')
    // Whether an email is taken is not told to someone who could not take it.
    expectProblem(await patch(people.owner.id, { email: people.admin.email }), 401, 'reauthentication_required')
    const admin = as.bearer(people.admin.tokens.access_token)
    const body = '{'
    const imported = await call(here.system.url.users, 'POST /users/import', { headers: { ...admin, ...LINES }, body })
    expectProblem(imported, 401, 'reauthentication_required')
  })
})

describe('contract 11: of a user with a second factor', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock, layout: 'apart' }), { RATE_LIMIT: 'off' })
  beforeAll(() => createUser(here.system, { roles: ['ADMIN'] }))

  /** Users of whom one gets an app after the login: the session has not shown it. */
  async function withApp(by: By) {
    const people = {
      owner: await createUser(here.system, { email_verified: by === 'owner' }),
      admin: await createUser(here.system, { email_verified: true, roles: ['ADMIN'] }),
    }
    const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
    const line = `POST /admin/users/${people[by].id}/factors`
    const { body } = await here.auth(line, { headers: as.operator, body: { secret } })
    return { people, app: appWith({ id: body.id, secret }) }
  }

  test.each(withNames(RECENT))('users needs it in the session, however recent that is: %s', async (_, row) => {
    const { app, people } = await withApp(row[1])
    const refused = await ask(here, row, people)
    expectProblem(refused, 401, 'reauthentication_required')
    expect(refused.headers.get('www-authenticate')).toBe('Bearer error="insufficient_user_authentication"')
    const by = people[row[1]]
    const headers = as.bearer(by.tokens.access_token)
    const body = { code: app.codeAt(clock.now()) }
    const proved = await here.auth('POST /auth/reauthenticate', { headers, body })
    expect(proved.status).toBe(200)
    by.tokens = { ...by.tokens, ...proved.body }
    expect((await ask(here, row, people)).status).toBeLessThan(300)
  })

  test.each(withNames(ANY_TIME))('users does not need it for %s', async (_, row) => {
    const { people } = await withApp(row[1])
    expect((await ask(here, row, people)).status).toBeLessThan(300)
  })

  test('while auth is down users cannot tell, and changes nothing', async () => {
    const people = await actors(here)
    await here.system.kill('auth')
    try {
      for (const row of RECENT) expectProblem(await ask(here, row, people), 503, 'auth_unavailable')
    } finally {
      await here.system.start('auth')
    }
    const unchanged = await call(here.system.url.users, `GET /api/v1/users/${people.owner.id}`, {
      headers: as.operator,
    })
    expect(unchanged.body).toMatchObject({ email: people.owner.email, roles: ['USER'] })
  })
})

describe('REAUTH_MAX_AGE', () => {
  const clock = movingClock()
  const here = running((env) => inProcess(env, { clock }), {
    REAUTH_MAX_AGE: 'off',
    JWT_EXPIRE: '1d',
    RATE_LIMIT: 'off',
  })

  test.each(withNames(RECENT))('off: %s is allowed at any time', async (_, row) => {
    const people = await actors(here)
    await createUser(here.system, { roles: ['ADMIN'] })
    clock.pass(600 * MINUTE)
    expect((await ask(here, row, people)).status).toBeLessThan(300)
  })
})

describe('EMAIL_VERIFICATION=required', () => {
  const here = running(inProcess, { EMAIL_VERIFICATION: 'required' })
  const change = (user: TestUser, headers: Record<string, string>, body: object, method = 'PATCH') =>
    here.users(`${method} /users/${user.id}`, { headers, body })

  test('another email is not set by its owner, but by a proof', async () => {
    const ana = await createUser(here.system, { email_verified: true, name: 'Ana' })
    const admin = await createUser(here.system, { email_verified: true, roles: ['ADMIN'] })
    for (const user of [ana, admin])
      for (const method of ['PATCH', 'PUT']) {
        const refused = await change(user, as.bearer(user.tokens.access_token), other(), method)
        expectProblem(refused, 403, 'forbidden_field')
        expect(refused.body.message).toContain('email-change-request')
      }
    const bearer = as.bearer(ana.tokens.access_token)
    const spelled = { email: ana.email.toUpperCase(), name: 'Anna' }
    expect((await change(ana, bearer, spelled, 'PUT')).body).toMatchObject({ ...spelled, email_verified: true })
  })

  test('operators set that of others', async () => {
    const ana = await createUser(here.system, { email_verified: true })
    const admin = await createUser(here.system, { email_verified: true, roles: ['ADMIN'] })
    for (const headers of [as.operator, as.bearer(admin.tokens.access_token)])
      expect((await change(ana, headers, other())).status).toBe(200)
  })
})
