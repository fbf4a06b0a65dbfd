import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { USER_SCOPES, type UserScope } from '../../services/kit/access/scopes.ts'
import { createUser, logIn } from '../support/actors.ts'
import { type Answer, as, call } from '../support/http.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { overProcesses } from '../support/processes.ts'
import type { Start } from '../support/running.ts'
import type { Name } from '../support/settings.ts'
import { inProcess, type System } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { AN_APP, type Fixture, fixtureFor, requestOf, type Served } from './operations.ts'
import { isOpen, POLICY, type Policy, successOf } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

// Check 49: what an app gets for a user never has the rights of that user, whoever they are.

setDefaultTimeout(120_000)

const ALL = Object.keys(USER_SCOPES) as UserScope[]
const RESOURCE = 'https://orders.example.org'
const closed = POLICY.filter((policy) => !isOpen(policy))

const LAYOUTS: [name: string, start: Start][] = [
  ['one process', inProcess],
  ['a process for each service', overProcesses('apart')],
]

test('49: scopes of users open what the contract says, and nothing else', () => {
  const opened = POLICY.filter(({ app }) => app !== undefined).map(({ app, call }) => `${call} ${app}`)
  expect(opened.toSorted()).toEqual([
    'GET /api/v1/modules modules',
    'GET /api/v1/oauth/userinfo openid',
    'POST /api/v1/oauth/userinfo openid',
  ])
})

/** The tokens of an app for an administrator: with all scopes, an online grant and an offline one, and one for a service. */
interface Tokens {
  all: string[]
  /** With one scope alone, and with all others. */
  only: Record<UserScope, string>
  without: Record<UserScope, string>
  /** Tokens that are not for Ch202, or are not access tokens. */
  others: string[]
}

async function tokensForAdmin(system: System): Promise<Tokens> {
  const admin = await createUser(system, { roles: ['USER', 'ADMIN'] })
  const app = await createApp(system, { scopes: ALL, resources: [RESOURCE] })
  /** Each in a session of its own. */
  const tokensWith = async (scopes: readonly UserScope[], fields: object = {}) => {
    const session = await logIn(system, admin.email)
    return tokensFor(system, session.body.access_token, app, { scope: scopes.join(' '), ...fields })
  }
  const byScope = async (scopesOf: (scope: UserScope) => UserScope[]) => {
    const entries = []
    for (const scope of ALL) entries.push([scope, (await tokensWith(scopesOf(scope))).access_token])
    return Object.fromEntries(entries) as Record<UserScope, string>
  }
  const only = await byScope((scope) => [scope])
  const without = await byScope((scope) => ALL.filter((other) => other !== scope))
  const all = await tokensWith(ALL)
  const elsewhere = await tokensWith(ALL, { resource: RESOURCE })
  return {
    // Without `offline_access` it ends with the session.
    all: [all.access_token, without.offline_access],
    only,
    without,
    others: [elsewhere.access_token, all.id_token, all.refresh_token],
  }
}

interface How {
  caller?: 'the operator key' | typeof AN_APP
  sent?: 'at the root' | 'with a bad body' | undefined
}

describe.each(sliced(LAYOUTS, 2))('49: an app with a token for an administrator, in %s', (_, start) => {
  let setup: Setup
  let tokens: Tokens
  beforeAll(async () => {
    setup = await openSetup(start)
    tokens = await tokensForAdmin(setup.system)
  })
  afterAll(() => setup?.close())

  const ask = (
    one: Served,
    fixture: Fixture,
    at: Name,
    token: string,
    { caller = 'the operator key', sent }: How = {},
  ) => {
    const { headers, line, ...rest } = requestOf(one, fixture, caller)
    const request = sent === 'at the root' ? line.replace(' /api/v1/', ' /') : line
    const body = sent === 'with a bad body' && 'body' in rest ? { body: '[' } : rest
    return call(setup.system.url[at], request, { headers: { ...as.bearer(token), ...headers }, ...body })
  }
  const expectRefusal = ({ body, headers, status }: Answer, { app }: Pick<Policy, 'app'>) => {
    const challenge = `Bearer error="insufficient_scope"${app ? `, scope="${app}"` : ''}`
    expect([status, body.code, headers.get('www-authenticate')]).toEqual([403, 'insufficient_scope', challenge])
  }
  const served = ({ call }: Policy): Served => {
    const one = setup.operations.get(call)
    if (!one) throw new Error('No document has it')
    return one
  }

  test.each(sliced(closed, 3, ({ app }) => app))('$call', async (policy) => {
    const one = served(policy)
    for (const service of one.at) {
      const fixture = await fixtureFor(setup.system, one, setup.others)
      const state = () => setup.databases.state(fixture.values.user_id, fixture.values.id)
      const before = state()
      for (const token of policy.app ? [tokens.without[policy.app]] : tokens.all)
        for (const sent of [undefined, 'at the root', 'with a bad body'] as const)
          expectRefusal(await ask(one, fixture, service, token, { sent }), policy)
      // A valid refresh token in the body is enough for a logout.
      const alone = { ...fixture, values: { ...fixture.values, refresh_token: null } }
      for (const token of tokens.others) {
        const { body, status } = await ask(one, alone, service, token)
        expect([service, status, body.code]).toEqual([service, 401, 'invalid_token'])
      }
      expect(state()).toBe(before)
      if (!policy.app) continue
      for (const token of [...tokens.all, tokens.only[policy.app]]) {
        const answer = await ask(one, fixture, service, token, { caller: AN_APP })
        expect([service, answer.status, answer.text]).toEqual([service, successOf(policy), expect.any(String)])
      }
    }
  })
})
