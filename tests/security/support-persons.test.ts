import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUser, logIn, newEmail, type TestUser } from '../support/actors.ts'
import { as, call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'
import { sliced, WHOLE } from '../support/whole.ts'
import { type Fixture, fixtureFor, requestOf, type Served } from './operations.ts'
import { may, POLICY, type Policy, SUPPORT_PERSON } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

setDefaultTimeout(120_000)

const SUPPORT = 'SUPPORT'
/** The email of the support person is verified, as their factors need it; their logins need no other step. */
const NO_DEVICES = { DEVICE_TRUST: 'off' }

/** The users whom a request may be about. */
const TARGETS = ['a user', 'an admin', 'another support person', 'a deleted user', 'a user who never existed'] as const
type Target = (typeof TARGETS)[number]
/** The others are refused as these are. */
const IN_SUITE: readonly Target[] = ['a user', 'an admin', 'a user who never existed']
/** One of so many calls that are answered alike whomever they are about is tried in the suite about others than a user. */
const ALIKE = 8

/**
 * The calls about a user whom a support person sees, whatever they may do with them: anyone else is answered as a user who
 * does not exist. All other calls are answered in the same way whomever they are about.
 */
const ABOUT_A_USER = [
  'GET /api/v1/auth/sessions',
  'DELETE /api/v1/auth/sessions',
  'DELETE /api/v1/auth/sessions/{session_id}',
  'GET /api/v1/users/{user_id}',
  'GET /api/v1/users/by-username/{username}',
  'GET /api/v1/users/by-email/{email}',
  'PUT /api/v1/users/{user_id}',
  'PATCH /api/v1/users/{user_id}',
  'DELETE /api/v1/users/{user_id}',
  'GET /api/v1/admin/audit',
  'GET /api/v1/admin/login-limits',
  'GET /api/v1/admin/mails',
  'GET /api/v1/admin/refused-logins',
  'POST /api/v1/admin/users/{user_id}/password-reset',
  'GET /user/{id}',
  'DELETE /user/{id}',
]

/** Gives the owner of a fixture another status: the requests are about them. */
async function makeTarget(system: System, { owner, values }: Fixture, target: Target): Promise<void> {
  const line = `/api/v1/users/${owner.id}`
  const change = (method: string, body?: object) =>
    call(system.url.users, `${method} ${line}`, { headers: as.operator, ...(body && { body }) })
  if (target === 'an admin') expect((await change('PATCH', { roles: ['USER', 'ADMIN'] })).status).toBe(200)
  if (target === 'another support person') expect((await change('PATCH', { roles: [SUPPORT] })).status).toBe(200)
  if (target === 'a deleted user') expect((await change('DELETE')).status).toBe(204)
  if (target !== 'a user who never existed') return
  const replaced: [string, string][] = [
    [owner.id, Bun.randomUUIDv7()],
    [owner.tokens.session_id, Bun.randomUUIDv7()],
    [owner.email, newEmail()],
    [String(values.username), `nobody-${Bun.randomUUIDv7().slice(-12)}`],
  ]
  for (const [field, value] of Object.entries(values))
    values[field] = replaced.find(([before]) => before === value)?.[1] ?? value
}

describe('contract 11, support: the permissions of a support person', () => {
  let setup: Setup
  let supporter: TestUser
  beforeAll(async () => {
    setup = await openSetup((env) => inProcess({ ...env, ...NO_DEVICES, SUPPORT_ROLE: SUPPORT }))
    supporter = await createUser(setup.system, { roles: ['USER', SUPPORT], email_verified: true })
  })
  afterAll(() => setup?.close())

  /** Sends a request of the support person about the owner of a fixture, in a new session. */
  const ask = async (one: Served, fixture: Fixture) => {
    const { line, headers, ...rest } = requestOf(one, fixture, SUPPORT_PERSON)
    const { body: tokens } = await logIn(setup.system, supporter.email)
    const url = setup.system.url[one.at[0] ?? 'auth']
    return call(url, line, { headers: { ...as.bearer(tokens.access_token), ...headers }, ...rest })
  }

  test('are decided for every operation', () => {
    for (const { call, statuses } of POLICY)
      expect([call, statuses[SUPPORT_PERSON]]).toEqual([call, expect.any(Number)])
    for (const { statuses } of POLICY) expect(statuses[SUPPORT_PERSON]).toBeWithin(200, 405)
  })

  /** Public calls have no caller. */
  const guarded = POLICY.filter((policy) => !may(policy, 'no one'))
  const expected = ({ call, statuses }: Policy, target: Target) =>
    target === 'a user' || !ABOUT_A_USER.includes(call) ? statuses[SUPPORT_PERSON] : 404

  const about = guarded.filter(({ call }) => ABOUT_A_USER.includes(call))
  const alike = guarded.filter((policy) => !about.includes(policy))

  describe.each(WHOLE ? TARGETS : IN_SUITE)('about %s', (target) => {
    test.each(target === 'a user' ? guarded : [...about, ...sliced(alike, ALIKE)])('$call', async (policy) => {
      const { databases, operations, others, system } = setup
      const one = operations.get(policy.call)
      if (!one) throw new Error('No document has it')
      const fixture = await fixtureFor(system, one, others)
      await makeTarget(system, fixture, target)
      // The login comes before the comparison: it opens a session.
      const before = databases.user(fixture.owner.id)
      const answer = await ask(one, fixture)
      expect([answer.status, answer.text]).toEqual([expected(policy, target), expect.any(String)])
      if (target === 'a user') return
      expect(databases.user(fixture.owner.id)).toEqual(before)
      for (const secret of [fixture.owner.id, fixture.owner.email]) expect(answer.text).not.toContain(secret)
    })
  })
})

describe('without the setting', () => {
  let setup: Setup
  let supporter: TestUser
  beforeAll(async () => {
    setup = await openSetup((env) => inProcess({ ...env, ...NO_DEVICES }))
    supporter = await createUser(setup.system, { roles: ['USER', SUPPORT], email_verified: true })
  })
  afterAll(() => setup?.close())

  const guarded = POLICY.filter((policy) => !may(policy, 'no one'))
  test.each(sliced(guarded, 4))('the role opens nothing: $call', async (policy) => {
    const { operations, others, system } = setup
    const one = operations.get(policy.call)
    if (!one) throw new Error('No document has it')
    const { line, headers, ...rest } = requestOf(one, await fixtureFor(system, one, others), 'another user')
    const { body: tokens } = await logIn(system, supporter.email)
    const url = system.url[one.at[0] ?? 'auth']
    const answer = await call(url, line, { headers: { ...as.bearer(tokens.access_token), ...headers }, ...rest })
    expect(answer.status).toBe(policy.statuses['another user'])
  })
})
