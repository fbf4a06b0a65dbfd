import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { OPEN_CALL, OPERATOR_FIELDS } from '../support/expectations.ts'
import { type Answer, as, call } from '../support/http.ts'
import type { System } from '../support/system.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import type { Databases } from './databases.ts'
import { credentialsOf, fieldsOf, fixtureFor, requestOf, type Served } from './operations.ts'
import { CALLERS, type Caller, may, POLICY } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

const NO_ONE = '0198c0de-0000-7000-8000-000000000000'
const HASH = `$2b$04$${'a'.repeat(53)}`
const LINES = 'application/x-ndjson'

/** Fields of a user in every spelling that a client might try, each with a harmful value. */
const FIELDS: Record<string, unknown> = {
  id: NO_ONE,
  user_id: NO_ONE,
  userId: NO_ONE,
  roles: ['ADMIN'],
  role: 'ADMIN',
  isAdmin: true,
  is_admin: true,
  status: 'disabled',
  password_hash: HASH,
  passwordHash: HASH,
  email_verified: true,
  emailVerified: true,
  created_at: '2001-01-01T00:00:00.000Z',
  updated_at: '2001-01-01T00:00:00.000Z',
  version: 1000,
  password_version: 1000,
  session_id: NO_ONE,
  sessions_from: 1000,
  caller: { operator: true },
  app_metadata: { plan: 'pro' },
  appMetadata: { plan: 'pro' },
}
/** Parameters that OAuth clients send, or could send, beside a token. */
const OTHERS: Record<string, unknown> = {
  client_id: 'spa',
  client_secret: 'a secret of theirs',
  token_type_hint: 'id_token',
  'odd name [ ]': '1',
  'it\'s "quoted"': 'é\u0000',
  __proto__x: '',
  token_: 'x',
}
/** Fields for operators alone in bodies that everyone may send. */
const OPERATORS: string[] = ['user_id', 'password_hash', ...OPERATOR_FIELDS]

let system: System
let databases: Databases
let others: Setup['others']
let operations: Map<string, Served>
let setup: Setup
beforeAll(async () => {
  setup = await openSetup(inProcess)
  ;({ operations, others, system, databases } = setup)
})
afterAll(() => setup?.close())

function operationOf(name: string): Served {
  const one = operations.get(name)
  if (!one) throw new Error(`No document has ${name}`)
  return one
}

const isOperator = (caller: Caller) => caller === 'an admin' || caller === 'the operator key'

describe('check 19: an unknown or forbidden field', () => {
  const strictOnes = POLICY.filter(({ call }) => !call.startsWith('GET') && !OPEN_CALL.test(call.replace('POST ', '')))
  test.each(sliced(strictOnes, 2))('in $call', async (policy) => {
    const one = operationOf(policy.call)
    if (one.operation.requestBody?.content[LINES]) return
    const fixture = await fixtureFor(system, one, others)
    const fields = fieldsOf(one.operation)
    const before = databases.state(fixture.owner.id)
    for (const caller of CALLERS.filter((caller) => may(policy, caller))) {
      const { body, headers, line } = requestOf(one, fixture, caller)
      const forbidden = fields.filter((field) => OPERATORS.includes(field) && !isOperator(caller))
      const unknownFields = Object.keys(FIELDS).filter((field) => !fields.includes(field))
      // Notices between services contain a user: all of these fields are valid there.
      const wrong = may(policy, 'the owner') || may(policy, 'no one') ? [...unknownFields, ...forbidden] : unknownFields
      await Promise.all(
        wrong.map(async (field) => {
          const sent = { ...(body as object | undefined), [field]: FIELDS[field] }
          const answer = await call(system.url[one.at[0] ?? 'auth'], line, {
            headers: { ...credentialsOf(caller, fixture), ...headers, 'content-type': 'application/json' },
            body: sent,
          })
          const [status, code, message] = forbidden.includes(field)
            ? [403, 'forbidden_field', expect.stringContaining(field)]
            : [400, 'validation_failed', [`${field} should not exist`]]
          const { body: problem } = answer
          expect([caller, field, answer.status, problem.code]).toEqual([caller, field, status, code])
          // The message about `user_id` of a module switch names the field's purpose.
          if (field !== 'user_id' || status === 400) expect([field, problem.message]).toEqual([field, message])
        }),
      )
    }
    expect(databases.state(fixture.owner.id) === before).toBeTrue()
  })

  test('R14: in a call of OAuth changes nothing (RFC 6749, 3.2)', async () => {
    const fixture = await fixtureFor(system, operationOf('POST /api/v1/auth/introspect'), others)
    const token = String(fixture.values.token)
    const ask = async (path: string, fields: object, asForm: boolean) => {
      const body = asForm ? new URLSearchParams(fields as Record<string, string>).toString() : fields
      const type = asForm ? 'application/x-www-form-urlencoded' : 'application/json'
      const headers = { ...as.operator, 'content-type': type }
      return (await call(system.url.auth, `POST ${path}`, { headers, body })).text
    }
    for (const asForm of [true, false]) {
      const answer = await ask('/auth/introspect', { token }, asForm)
      expect(answer).toStartWith('{"active":true')
      for (const [field, value] of Object.entries({ ...FIELDS, ...OTHERS })) {
        expect([field, await ask('/auth/introspect', { token, [field]: value }, asForm)]).toEqual([field, answer])
        expect([field, await ask('/auth/revoke', { token: 'x', [field]: value }, asForm)]).toEqual([field, '{}'])
      }
    }
  })

  test('in a line of an import', async () => {
    const fields = fieldsOf(operationOf('POST /api/v1/users/import').operation)
    const wrong = Object.keys(FIELDS).filter((field) => !fields.includes(field))
    expect(wrong).toEqual(expect.arrayContaining(['user_id', 'version', 'password_version', 'isAdmin']))
    const before = databases.state(others.other.id)
    const lines = [newEmail(), others.other.email].flatMap((email) =>
      wrong.map((field) => JSON.stringify({ email, password: PASSWORD, name: 'x', [field]: FIELDS[field] })),
    )
    const answer = await call(system.url.users, 'POST /users/import?on_conflict=update', {
      headers: { ...as.operator, 'content-type': LINES },
      body: lines.join('\n'),
    })
    const results = answer.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(results.map(({ status, message }) => [status, message])).toEqual(
      [...wrong, ...wrong].map((field) => ['failed', [`${field} should not exist`]]),
    )
    expect(databases.state(others.other.id) === before).toBeTrue()
  })

  test('in a query does not act as a field of the body', async () => {
    const query = new URLSearchParams({ roles: 'ADMIN', status: 'disabled', email_verified: 'true', id: NO_ONE })
    const body = { email: newEmail(), password: PASSWORD }
    const creation = await call(system.url.users, `POST /users?${query}`, { body })
    expect(creation).toMatchObject({ status: 201, body: { roles: ['USER'], status: 'active', email_verified: false } })
    expect(creation.body.id).not.toBe(NO_ONE)
    expect(databases.user(creation.body.id)).toMatchObject({
      roles: '["USER"]',
      is_admin: 0,
      status: 'active',
      version: 1,
    })
  })
})

const isEmpty = (object: object) => Object.keys(object).length === 0

describe('check 19: a user_id does not replace a session', () => {
  /** Claims to be another user, wherever a request could name one. */
  const claimed = ({ id, tokens }: TestUser) => ({
    query: new URLSearchParams({ user_id: id, sub: id, session_id: tokens.session_id }).toString(),
    body: { user_id: id, id, sub: id, session_id: tokens.session_id, roles: ['ADMIN'] },
    headers: {
      'x-user-id': id,
      'x-user': id,
      'x-forwarded-user': id,
      'x-remote-user': id,
      'x-roles': 'ADMIN',
      cookie: `user_id=${id}; session_id=${tokens.session_id}; token=${tokens.access_token}`,
    },
  })
  const ask = (one: Served, line: string, user: TestUser, credentials: Record<string, string>): Promise<Answer> => {
    const { body, headers, query } = claimed(user)
    const [method, path = ''] = line.split(' ')
    return call(system.url[one.at[0] ?? 'auth'], `${method} ${path}${path.includes('?') ? '&' : '?'}${query}`, {
      headers: { ...headers, ...credentials },
      ...(method === 'GET' ? {} : { body }),
    })
  }

  const guarded = POLICY.filter((policy) => !may(policy, 'no one'))
  test.each(sliced(guarded, 3))('in $call', async (policy) => {
    const one = operationOf(policy.call)
    const fixture = await fixtureFor(system, one, others)
    const before = databases.state(fixture.owner.id, fixture.values.id)
    for (const caller of CALLERS.filter((caller) => !may(policy, caller))) {
      const { line } = requestOf(one, fixture, caller)
      for (const who of [fixture.owner, others.admin]) {
        const { body, status } = await ask(one, line, who, credentialsOf(caller, fixture))
        // A refused caller's request is not read further; a path of another user is checked after the body.
        // So is who adds a factor: the body may name a login that waits for it.
        const isBodyFirst = policy.statuses[caller] === 404 || one.operation.security.some((way) => isEmpty(way))
        const refusals = isBodyFirst ? [400, policy.statuses[caller]] : [policy.statuses[caller]]
        expect([caller, status, refusals.includes(status)]).toEqual([caller, status, true])
        expect(body.statusCode).toBe(status)
      }
    }
    const after = databases.state(fixture.owner.id, fixture.values.id)
    expect(after === before).toBeTrue()
  })

  test('in the body does not override the user of the token', async () => {
    const ben = await registerUser(system)
    const credentials = as.bearer(ben.tokens.access_token)
    const me = await ask(operationOf('GET /api/v1/auth/me'), 'GET /auth/me', others.admin, credentials)
    expect([me.body.id, me.body.roles]).toEqual([ben.id, ['USER']])
    for (const [name, line] of [
      ['GET /api/v1/auth/sessions', 'GET /auth/sessions'],
      ['GET /api/v1/modules', 'GET /modules'],
      ['POST /api/v1/auth/logout-all', 'POST /auth/logout-all'],
    ] as const) {
      const { body, status } = await ask(operationOf(name), line, others.admin, credentials)
      expect([line, status, body.code]).toEqual([line, 400, 'validation_failed'])
    }
    const { admin } = others
    expect(
      (await call(system.url.auth, 'GET /auth/me', { headers: as.bearer(admin.tokens.access_token) })).status,
    ).toBe(200)
  })
})
