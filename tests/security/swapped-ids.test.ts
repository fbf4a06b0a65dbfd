import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { all, askEach } from '../support/each-service.ts'
import { PROFILE_FIELDS } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import { OWNED } from '../support/owned-resources.ts'
import type { Name } from '../support/settings.ts'
import { inProcessApart, type System } from '../support/system.ts'
import { Databases } from './databases.ts'
import { MAIL_SETTINGS } from './mailed-values.ts'
import { credentialsOf, fieldsOf, fixtureFor, requestOf, type Served, servedOperations } from './operations.ts'
import { may, POLICY } from './policy.ts'

const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const NO_EMAIL = 'no.one@example.org'

/** A user with resources in other services, by the names in paths. */
type Owner = TestUser & { username: string; owned: Record<string, unknown> }
/** Identifiers of owners by field of a path, a query or a body: another user's, and one that does not exist. */
const WHOSE: Record<string, (owner: Owner) => [string, string]> = {
  user_id: ({ id }) => [id, NO_ONE],
  session_id: ({ tokens }) => [tokens.session_id, NO_ONE],
  email: ({ email }) => [email, NO_EMAIL],
  old_email: ({ email }) => [email, NO_EMAIL],
  username: ({ username }) => [username, 'no-one-at-all'],
  login: ({ email }) => [email, NO_EMAIL],
  grant_id: ({ owned }) => [String(owned.grant_id), NO_ONE],
  ...Object.fromEntries(
    OWNED.map(([field]) => [field, ({ owned }: Owner): [string, string] => [String(owned[field]), NO_ONE]]),
  ),
}
/** Operations whose `id` is a user's id or email. Elsewhere it is a module's, or a row's. */
const ID_OF_A_USER: Record<string, (owner: Owner) => [string, string][]> = {
  'GET /user/{id}': ({ id, email }) => [
    [id, NO_ONE],
    [email, NO_EMAIL],
  ],
  'DELETE /user/{id}': ({ id }) => [[id, NO_ONE]],
}
/** Fields with secrets: anyone who has one may use it. */
const SECRET_FIELDS = [
  'token refresh_token refreshToken password current_password new_password password_hash',
  'challenge_id code device_token secret credential client_secret client_assertion code_verifier id_token_hint',
].join(' ')
/** Fields that belong to no user. */
const NEUTRAL = [
  'id kid module module_id name description version required_roles requires default_enabled roles status email_verified',
  ...['has_password', ...PROFILE_FIELDS],
  'page size cursor search role sort after after_id limit with_hashes on_conflict all token_type_hint type since until',
  'request_id address follower epoch created_at updated_at at actor ip detail users emails usernames if_version password_version',
  'sessions_from session_kept all_sessions_from tokens_from factors_from algorithm digits period url types mail_id kind to locale webhook_id webhook delivery',
  'data events now alg new_email cause user_agent verified by_proof by only',
  'client_id client_assertion_type grant_type scope resource first_party redirect_uris post_logout_redirect_uris',
  'backchannel_logout_uri grant_types scopes resources id_token_alg token_auth_method jwks_uri require_pkce',
  'redirect_uri post_logout_redirect_uri response_type response_mode state nonce code_challenge code_challenge_method',
  'prompt max_age login_hint logout_hint ui_locales acr_values request request_uri registration consent started_at',
].join(' ')

let system: System
let databases: Databases
beforeAll(async () => {
  system = await inProcessApart({ RATE_LIMIT: 'off', ...MAIL_SETTINGS })
  databases = new Databases(system)
})
afterAll(async () => {
  databases?.close()
  await system?.stop()
})

/** An answer without the parts that differ between any two answers. */
function comparable({ status, headers, text, body }: Answer): unknown {
  const comparableHeaders = [...headers].filter(([name]) => !['x-request-id', 'date'].includes(name))
  return { status, headers: comparableHeaders, text: text.replaceAll(body?.requestId ?? 'none', '') }
}

describe("check 18: another user's resource", () => {
  let operations: Map<string, Served>
  beforeAll(async () => {
    operations = await servedOperations(system)
  })

  const namesOf = ({ operation }: Served) => [
    ...(operation.parameters ?? []).map(({ name }) => name),
    ...fieldsOf(operation),
  ]

  test('is recognised by its field: each field of a path, a query or a body is a user’s, a secret, or nobody’s', () => {
    const names = new Set([...Object.keys(WHOSE), ...SECRET_FIELDS.split(' '), ...NEUTRAL.split(' ')])
    const strange = [...operations.values()].flatMap((one) => namesOf(one).filter((name) => !names.has(name)))
    expect(strange).toEqual([])
  })

  // Operations without credentials are left out: there a secret gives access.
  const guarded = POLICY.filter((policy) => !may(policy, 'no one'))
  test.each(guarded)('in $call is answered as if it did not exist', async (policy) => {
    const one = operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    // Nothing in it is of a user.
    if (!namesOf(one).some((name) => WHOSE[name] || (name === 'id' && ID_OF_A_USER[policy.call]))) return
    const ben = await registerUser(system)
    const fixture = await fixtureFor(system, one, { other: ben, admin: ben })
    const ana: Owner = { ...fixture.owner, username: `ana-${fixture.unique}`, owned: fixture.values }
    const swaps = [...new Set(namesOf(one))].flatMap((name) => {
      const pairs = WHOSE[name] ? [WHOSE[name](ana)] : name === 'id' ? ID_OF_A_USER[policy.call]?.(ana) : []
      return (pairs ?? []).map(([anothers, unknown]) => ({ name, anothers, unknown }))
    })
    const before = databases.state(ana.id)
    for (const { name, anothers, unknown } of swaps) {
      const ask = async (value: string) => {
        const values = { ...fixture.values, [name]: value }
        const { line, headers, ...rest } = requestOf(one, { values }, 'another user', [name])
        const sent = { headers: { ...credentialsOf('another user', fixture), ...headers }, ...rest }
        return call(system.url[one.at[0] ?? 'auth'], line, sent)
      }
      const [nothing, ...answers] = [await ask(unknown), await ask(anothers), await ask(anothers.toUpperCase())]
      expect(nothing?.status).toBeOneOf([403, 404])
      for (const answer of answers) expect([name, comparable(answer)]).toEqual([name, comparable(nothing as Answer)])
    }
    expect(databases.state(ana.id) === before).toBeTrue()
    // Nothing of ben's has changed either.
    expect(await askEach(system, ben.tokens.access_token)).toEqual(all(200))
  })

  // A refresh token may end its session without an access token: beside one it does the same, with the same answer.
  test('a refresh token at a logout ends its session, and the caller’s own', async () => {
    const ana = await registerUser(system)
    const answers = []
    for (const refresh_token of [ana.tokens.refresh_token, 'never.a.token']) {
      const ben = await registerUser(system)
      const sent = { headers: as.bearer(ben.tokens.access_token), body: { refresh_token } }
      answers.push(comparable(await call(system.url.auth, 'POST /api/v1/auth/logout', sent)))
      expect(await askEach(system, ben.tokens.access_token)).toEqual(all('token_revoked'))
    }
    expect(answers[0]).toEqual(answers[1])
    expect(await askEach(system, ana.tokens.access_token)).toEqual(all('token_revoked'))
  })
})

/** A request for operators alone at each service. */
const OPERATORS: [Name, string][] = [
  ['auth', 'GET /admin/keys'],
  ['users', 'GET /users'],
  ['modules', 'GET /modules/none/users'],
]

/** Every way for an operator to change a user. */
const CHANGES: [string, (user: TestUser, fields: object) => Promise<Answer>][] = [
  ['PATCH', (user, fields) => change('PATCH', user, fields)],
  ['PUT', (user, fields) => change('PUT', user, { email: user.email, ...fields })],
  [
    'an import',
    ({ email }, fields) =>
      call(system.url.users, 'POST /users/import?on_conflict=update', {
        headers: { ...as.operator, 'content-type': 'application/x-ndjson' },
        body: JSON.stringify({ email, ...fields }),
      }),
  ],
]

function change(method: string, { id }: TestUser, body: object): Promise<Answer> {
  return call(system.url.users, `${method} /users/${id}`, { headers: as.operator, body })
}

describe('check 18: a role that was removed', () => {
  const askOperators = async (token: string) => {
    const answers = await Promise.all(
      OPERATORS.map(([name, request]) => call(system.url[name], request, { headers: as.bearer(token) })),
    )
    return answers.map(({ status, body }) => (status === 401 ? body.code : status))
  }

  test.each(CHANGES)('by %s gives no access from the next request on, at each service', async (_, change) => {
    for (let round = 0; round < 3; round++) {
      const ben = await createUser(system, { roles: ['USER', 'ADMIN'] })
      await createUser(system, { roles: ['ADMIN'] })
      const token = ben.tokens.access_token
      expect(await askOperators(token)).toEqual([200, 200, 404])
      expect((await change(ben, { roles: ['USER'] })).status).toBe(200)
      expect(await askOperators(token)).toEqual(['token_revoked', 'token_revoked', 'token_revoked'])
      const { refresh_token } = ben.tokens
      const refreshed = await call(system.url.auth, 'POST /api/v1/auth/refresh', { body: { refresh_token } })
      for (const { access_token } of [refreshed.body, (await logIn(system, ben.email)).body])
        expect(await askOperators(access_token)).toEqual([403, 403, 403])
    }
  })
})

describe('check 18: the last admin', () => {
  let last: TestUser
  beforeAll(async () => {
    last = await createUser(system, { roles: ['USER', 'ADMIN'] })
    const { body } = await call(system.url.users, 'GET /users?role=ADMIN&size=200', { headers: as.operator })
    for (const { id } of body.items)
      if (id !== last.id) await call(system.url.users, `DELETE /users/${id}`, { headers: as.operator })
  })

  const refused = async (sent: Promise<Answer>) => {
    const before = databases.user(last.id)
    const { status, body } = await sent
    // An import says of each line what became of it.
    expect([body.code, status]).toEqual(['last_admin', status === 200 ? 200 : 409])
    expect(body.status ?? 'failed').toBe('failed')
    expect(databases.user(last.id)).toEqual(before)
    expect(await askEach(system, last.tokens.access_token)).toEqual(all(200))
  }

  test.each(CHANGES)('cannot be stripped or disabled by %s', async (_, change) => {
    for (const fields of [{ roles: ['USER'] }, { roles: [] }, { status: 'disabled' }])
      await refused(change(last, fields))
  })

  test('cannot be deleted, in the old contract either', async () => {
    for (const headers of [as.operator, as.bearer(last.tokens.access_token)])
      for (const path of [`/users/${last.id}`, `/user/${last.id}`, `/user/${last.id.toUpperCase()}`])
        await refused(call(system.url.users, `DELETE ${path}`, { headers }))
  })
})
