import { beforeAll, describe, expect, test } from 'bun:test'
import { appValues, clientValues } from '../security/client-values.ts'
import { factorValues, isAboutFactors, verifyEmails } from '../security/factor-values.ts'
import { MAIL_SETTINGS, mailedValues } from '../security/mailed-values.ts'
import { isNeeded } from '../security/operations.ts'
import { newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { as, call, type Options } from '../support/http.ts'
import { enableNeededModules, ownedValues } from '../support/owned-resources.ts'
import { running } from '../support/running.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import { type Documented, operationsOf } from './document.ts'
import { CONTRACT } from './operations.ts'
import { LINES, type ResponseValidator, responseValidator } from './validator.ts'

/** The callers that send requests. */
const CALLERS = ['nobody', 'user', 'operator', 'internal', 'unknown key'] as const
type Caller = (typeof CALLERS)[number] | 'app'

/** Real values of a running here.system, which replace those of an example. */
type Values = Record<string, unknown>

describe('the document is true', () => {
  const here = running(inProcess, { RATE_LIMIT: 'off', ...MAIL_SETTINGS })
  let documented: { base: string; operations: Documented[]; validate: ResponseValidator }[]

  beforeAll(async () => {
    const bases = [...new Set(Object.values(here.system.url))]
    const documents = await Promise.all(bases.map((base) => call(base, 'GET /swagger/json')))
    documented = documents.map(({ body }, index) => ({
      base: bases[index] ?? '',
      operations: operationsOf(body),
      validate: responseValidator(body),
    }))
    for (const { operations } of documented) await enableNeededModules(here.system, operations)
  })

  /** Creates a user, and a module or a key if the operation needs one, which it may delete. */
  const valuesFor = async (name: string): Promise<Values & { user: TestUser }> => {
    const username = `ana-${Bun.randomUUIDv7().slice(-12)}`
    const user = await registerUser(here.system, { username })
    const createsUser = /\/(register|users|user|invited|invitations)$/.test(name)
    const values: Values & { user: TestUser } = {
      user,
      id: user.id,
      user_id: user.id,
      session_id: user.tokens.session_id,
      email: createsUser ? newEmail() : user.email,
      username: createsUser ? `bob-${Bun.randomUUIDv7().slice(-12)}` : username,
      login: user.email,
      password: PASSWORD,
      current_password: PASSWORD,
      token: user.tokens.access_token,
      refresh_token: user.tokens.refresh_token,
      refreshToken: user.tokens.refresh_token,
    }
    if (name.includes('{module_id}')) values.module_id = await newModule()
    Object.assign(values, await ownedValues(here.system, name, user), await clientValues(here.system, name))
    Object.assign(values, await appValues(here.system, name, user))
    if (name.endsWith(' /api/v1/modules')) values.id = `module-${Bun.randomUUIDv7()}`
    if (name.includes('/auth/audit')) values.id = Bun.randomUUIDv7()
    if (name.includes('{kid}')) {
      const rotated = await call(here.system.url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
      values.kid = rotated.body.kid
    }
    if (name.includes('{webhook_id}')) {
      const body = { url: 'http://127.0.0.1:9/' }
      const created = await call(here.system.url.auth, 'POST /admin/webhooks', { headers: as.operator, body })
      values.webhook_id = created.body.id
    }
    if (name.endsWith('email-change-request')) values.new_email = newEmail()
    Object.assign(values, await mailedValues(here.system, name, user))
    if (!isAboutFactors(name)) return values
    await verifyEmails(here.system, [user])
    return Object.assign(values, await factorValues(here.system, name, user))
  }
  const newModule = async () => {
    const id = `module-${Bun.randomUUIDv7()}`
    await call(here.system.url.modules, 'POST /modules', {
      headers: as.operator,
      body: { id, name: 'Module', description: 'A module for one test' },
    })
    return id
  }

  test('each example, sent by an authorized caller, is answered as documented', async () => {
    const faults: string[] = []
    for (const { base, operations, validate } of documented)
      for (const one of operations) {
        const values = await valuesFor(one.call)
        const caller = callerOf(one)
        const { headers, ...rest } = bodyOf(one, values)
        const answer = await call(base, request(one, values, caller), {
          headers: { ...headersOf(caller, values.user, values.app_token), ...headers },
          ...rest,
        })
        if (answer.status >= 400) faults.push(`${one.call}: ${answer.status} ${answer.text}`)
        faults.push(...validate(one, answer))
      }
    expect(faults).toEqual([])
  })

  /** Bodies to send: the example, and invalid ones. */
  const bodies: [string, (one: Documented, values: Values) => Options][] = [
    ['the example', (one, values) => bodyOf(one, values)],
    ['an unknown field', () => ({ body: { nickname: 'x' } })],
    ['invalid JSON', () => ({ body: '{"', headers: { 'content-type': 'application/json' } })],
    ['plain text', () => ({ body: 'text', headers: { 'content-type': 'text/plain' } })],
    ['more than 64 KiB', () => ({ body: { x: 'x'.repeat(70_000) } })],
  ]
  test.each(bodies)('%s, from every caller, gets a documented answer', async (what, sent) => {
    const faults: string[] = []
    const unknownIds: Values = {
      id: '01900000-0000-7000-8000-000000000000',
      user_id: '01900000-0000-7000-8000-000000000000',
      session_id: '01900000-0000-7000-8000-000000000000',
      module_id: 'no-such-module',
      kid: 'no-such-key',
    }
    const callAsEveryone = async (base: string, one: Documented, validate: ResponseValidator, user: TestUser) => {
      for (const caller of CALLERS) {
        const { headers, ...rest } = sent(one, unknownIds)
        const answer = await call(base, request(one, unknownIds, caller), {
          headers: { ...headersOf(caller, user), ...headers },
          ...rest,
        })
        faults.push(...validate(one, answer).map((fault) => `${fault} (${caller})`))
      }
    }
    const calls = documented.flatMap(({ base, operations, validate }) =>
      operations
        .filter(({ operation }) => operation.requestBody || what === 'the example')
        .map((one) => ({ base, one, validate })),
    )
    // Bodies that are wrong everywhere are refused in one place.
    const sentTo = what === 'the example' ? calls : sliced(calls, 3)
    // One after the other: all at once are more than the queue of hashes takes.
    const users: TestUser[] = []
    while (users.length < sentTo.length) users.push(await registerUser(here.system))
    await Promise.all(
      sentTo.map(({ base, one, validate }, index) => callAsEveryone(base, one, validate, users[index] as TestUser)),
    )
    expect(faults).toEqual([])
  })
})

/** The caller with the fewest rights who may call an operation. */
function callerOf({ call: name }: Documented): Caller {
  const { who = [] } = CONTRACT.find((row) => row.call === name) ?? {}
  return (['user', 'operator', 'internal', 'app'] as const).find((one) => who.includes(one)) ?? 'nobody'
}

function headersOf(caller: Caller, user: TestUser, appToken?: unknown): Record<string, string> {
  if (caller === 'operator' || caller === 'internal') return as[caller]
  if (caller === 'app') return as.bearer(String(appToken))
  if (caller === 'user') return as.bearer(user.tokens.access_token)
  return caller === 'unknown key' ? { 'x-api-key': 'unknown-key' } : {}
}

/** The request line, with the required parameters, and the user if an operator must name one. */
function request({ call: name, operation }: Documented, values: Values, caller: Caller): string {
  const query = (operation.parameters ?? [])
    .filter((one) => one.in === 'query' && (isNeeded(name, one) || (one.name === 'user_id' && caller === 'operator')))
    .map((one) => `${one.name}=${encodeURIComponent(String(values[one.name] ?? one.example))}`)
  const path = name.replace(/\{(\w+)\}/g, (_, parameter: string) => String(values[parameter] ?? 'nobody'))
  return query.length > 0 ? `${path}?${query.join('&')}` : path
}

function bodyOf({ operation }: Documented, values: Values): Options {
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? []
  if (!type || !media) return {}
  const fields = Object.entries(media.example as Values)
  const sent = fields.filter(([field]) => values[field] !== null)
  const body = Object.fromEntries(sent.map(([field, value]) => [field, values[field] ?? value]))
  return type === LINES ? { body: JSON.stringify(body), headers: { 'content-type': LINES } } : { body }
}
