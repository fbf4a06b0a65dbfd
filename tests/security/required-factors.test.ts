import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createUser, logIn, registerUser, type TestUser } from '../support/actors.ts'
import { enrolApp } from '../support/factors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { inProcess, type System } from '../support/system.ts'
import { MAIL_SETTINGS } from './mailed-values.ts'
import { type Fixture, fixtureFor, requestOf, type Served, servedOperations } from './operations.ts'
import { type Caller, may, POLICY, type Policy, SUPPORT_PERSON } from './policy.ts'

// Contract 13: with MFA=admins or MFA=all, an access token without a second factor opens no operator's call of any service.

const SUPPORT = 'SUPPORT'
const MODES = ['admins', 'all'] as const

/** Whether only operators may call it, and services. */
const isForOperators = (policy: Policy) =>
  may(policy, 'an admin') && !may(policy, 'another user') && !may(policy, 'the owner')
const isForSupport = (policy: Policy) =>
  may(policy, SUPPORT_PERSON) && !may(policy, 'another user') && !may(policy, 'the owner')

describe.each(MODES)('MFA=%s', (mfa) => {
  let system: System
  let operations: Map<string, Served>
  const fixtures = new Map<string, Fixture>()
  let admin: TestUser
  let supporter: TestUser
  let proved: TestUser
  beforeAll(async () => {
    // The accounts are those of an installation that did not require second factors so far.
    let setting = 'optional'
    const settings = { RATE_LIMIT: 'off', ...MAIL_SETTINGS, SUPPORT_ROLE: SUPPORT, DEVICE_TRUST: 'off' }
    system = await inProcess(settings, { layout: 'apart', settingsOf: () => ({ MFA: setting }) })
    operations = await servedOperations(system)
    const roles = ['USER', 'ADMIN']
    const other = await registerUser(system)
    proved = await createUser(system, { roles, email_verified: true })
    admin = await createUser(system, { roles, email_verified: true })
    supporter = await createUser(system, { roles: ['USER', SUPPORT], email_verified: true })
    await enrolApp(system, proved.tokens.access_token, Date.now())
    const { body } = await call(system.url.auth, 'POST /api/v1/auth/refresh', {
      body: { refresh_token: proved.tokens.refresh_token },
    })
    proved.tokens = body
    for (const policy of POLICY) {
      const one = operations.get(policy.call)
      if (one && !may(policy, 'no one')) fixtures.set(policy.call, await fixtureFor(system, one, { other, admin }))
    }
    for (const service of Object.keys(system.url) as (keyof System['url'])[]) await system.terminate(service)
    setting = mfa
    await Promise.all((Object.keys(system.url) as (keyof System['url'])[]).map((service) => system.start(service)))
  }, 300_000)
  afterAll(() => system?.stop())

  /** Sends the request of one caller with the token of someone. */
  async function ask(policy: Policy, like: Caller | typeof SUPPORT_PERSON, { tokens }: TestUser): Promise<Answer> {
    const one = operations.get(policy.call)
    const fixture = fixtures.get(policy.call)
    if (!one || !fixture) throw new Error('No document has it')
    const { headers, line, ...rest } = requestOf(one, fixture, like)
    const url = system.url[one.at[0] ?? 'auth']
    return call(url, line, { headers: { ...as.bearer(tokens.access_token), ...headers }, ...rest })
  }

  const guarded = POLICY.filter((policy) => !may(policy, 'no one'))
  const ofOperators = guarded.filter(isForOperators)

  test.each(ofOperators)('an administrator without a second factor is asked for one: $call', async (policy) => {
    for (const answer of [await ask(policy, 'an admin', admin), await ask(policy, 'another user', admin)]) {
      expect([answer.status, answer.body.code]).toEqual([401, 'reauthentication_required'])
      expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_user_authentication"')
    }
  })

  // The end of all sessions would leave no token to ask with.
  const naming = guarded.filter(
    (policy) => !isForOperators(policy) && may(policy, 'an admin') && !policy.call.endsWith('/logout-all'),
  )
  test.each(naming)('is no operator where users have a call of their own: $call', async (policy) => {
    const isOwn = policy.statuses['another user'] < 400
    const answer = await ask(policy, 'another user', admin)
    expect(answer.status).toBe(policy.statuses['another user'])
    if (isOwn && policy.call.includes('/auth/sessions')) {
      const ofAnother = await ask(policy, 'an admin', admin)
      expect(ofAnother.status).toBeGreaterThanOrEqual(400)
    }
  })

  test('an administrator with a second factor is one', async () => {
    const reads = ofOperators.filter(({ call: name }) => name.startsWith('GET '))
    expect(reads.length).toBeGreaterThan(10)
    for (const policy of reads) {
      const { status } = await ask(policy, 'an admin', proved)
      expect([policy.call, status]).toEqual([policy.call, policy.statuses['an admin']])
    }
  })

  const ofSupport = guarded.filter(isForSupport)
  test.each(ofSupport)('a support person without one: $call', async (policy) => {
    const { status } = await ask(policy, SUPPORT_PERSON, supporter)
    expect(status).toBe(mfa === 'all' ? 403 : policy.statuses[SUPPORT_PERSON])
  })

  test('logins of those who must have one, and have none, open no session', async () => {
    const ask = { admin: await logIn(system, admin.email), supporter: await logIn(system, supporter.email) }
    expect([ask.admin.status, ask.admin.body.code]).toEqual([403, 'second_factor_enrolment_required'])
    expect(ask.supporter.status).toBe(mfa === 'all' ? 403 : 200)
  })
})
