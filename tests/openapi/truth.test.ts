import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { newEmail, PASSWORD, registerUser, type TestUser } from '../support/actors.ts'
import { eventually } from '../support/eventually.ts'
import { as, call } from '../support/http.ts'
import { mails, resetLinkIn } from '../support/mails.ts'
import { ownedValues, turnOnModules } from '../support/owned.ts'
import { inProcess, type System } from '../support/system.ts'
import { type Documented, operationsOf } from './document.ts'
import { type Complaint, judge, LINES } from './judge.ts'
import { CONTRACT } from './operations.ts'

/** Whom a request comes from. */
const CALLERS = ['nobody', 'user', 'operator', 'internal', 'stranger'] as const
type Caller = (typeof CALLERS)[number]

/** What an example stands for, in a system where it is sent. */
type Values = Record<string, unknown>

describe('the document is true', () => {
  let system: System
  let described: { base: string; operations: Documented[]; complaint: Complaint }[]

  beforeAll(async () => {
    system = await inProcess({ RATE_LIMIT: 'off' })
    const bases = [...new Set(Object.values(system.url))]
    const documents = await Promise.all(bases.map((base) => call(base, 'GET /swagger/json')))
    described = documents.map(({ body }, index) => ({
      base: bases[index] ?? '',
      operations: operationsOf(body),
      complaint: judge(body),
    }))
    for (const { operations } of described) await turnOnModules(system, operations)
  })
  afterAll(() => system?.stop())

  /** Each operation with values of its own: a user, a module, a key that it may do away with. */
  const valuesFor = async (name: string): Promise<Values & { user: TestUser }> => {
    const username = `ana-${Bun.randomUUIDv7().slice(-12)}`
    const user = await registerUser(system, { username })
    const makes = /\/(register|users|user)$/.test(name)
    const values: Values & { user: TestUser } = {
      user,
      id: user.id,
      user_id: user.id,
      session_id: user.tokens.session_id,
      email: makes ? newEmail() : user.email,
      username: makes ? `bob-${Bun.randomUUIDv7().slice(-12)}` : username,
      login: user.email,
      password: PASSWORD,
      current_password: PASSWORD,
      token: user.tokens.access_token,
      refresh_token: user.tokens.refresh_token,
      refreshToken: user.tokens.refresh_token,
    }
    if (name.includes('{module_id}')) values.module_id = await newModule()
    Object.assign(values, await ownedValues(system, name, user))
    if (name.endsWith(' /api/v1/modules')) values.id = `module-${Bun.randomUUIDv7()}`
    if (name.includes('/auth/audit')) values.id = Bun.randomUUIDv7()
    if (name.includes('{kid}')) {
      const rotated = await call(system.url.auth, 'POST /admin/keys/rotate?now=true', { headers: as.operator })
      values.kid = rotated.body.kid
    }
    if (name.includes('{webhook_id}')) {
      const body = { url: 'http://127.0.0.1:9/' }
      const made = await call(system.url.auth, 'POST /admin/webhooks', { headers: as.operator, body })
      values.webhook_id = made.body.id
    }
    if (name.includes('password-reset-confirm')) values.token = await resetToken(user.email)
    return values
  }
  const newModule = async () => {
    const id = `module-${Bun.randomUUIDv7()}`
    await call(system.url.modules, 'POST /modules', {
      headers: as.operator,
      body: { id, name: 'Module', description: 'One of its own' },
    })
    return id
  }
  const resetToken = async (email: string) => {
    await call(system.url.auth, 'POST /auth/password-reset-request', { body: { email } })
    const mail = await eventually(() => mails(system).find((one) => one.includes(email)))
    return resetLinkIn(mail).searchParams.get('token')
  }

  test('each example, sent by one who may, is understood and answered as documented', async () => {
    const wrong: string[] = []
    for (const { base, operations, complaint } of described)
      for (const one of operations) {
        const values = await valuesFor(one.call)
        const caller = callerOf(one)
        const { headers, ...rest } = bodyOf(one, values)
        const answer = await call(base, request(one, values, caller), {
          headers: { ...headersOf(caller, values.user), ...headers },
          ...rest,
        })
        if (answer.status >= 400) wrong.push(`${one.call}: ${answer.status} ${answer.text}`)
        wrong.push(...complaint(one, answer))
      }
    expect(wrong).toEqual([])
  }, 20_000)

  /** What is wrong with a request, beside its caller. */
  const faults: [string, (one: Documented, values: Values) => Parameters<typeof call>[2]][] = [
    ['the example', (one, values) => bodyOf(one, values)],
    ['an unknown field', () => ({ body: { nickname: 'x' } })],
    ['what is no JSON', () => ({ body: '{"', headers: { 'content-type': 'application/json' } })],
    ['plain text', () => ({ body: 'text', headers: { 'content-type': 'text/plain' } })],
    ['64 KiB and more', () => ({ body: { x: 'x'.repeat(70_000) } })],
  ]
  test.each(faults)(
    '%s, from whomever, gets an answer that is documented',
    async (what, sent) => {
      const wrong: string[] = []
      const nowhere: Values = {
        id: '01900000-0000-7000-8000-000000000000',
        user_id: '01900000-0000-7000-8000-000000000000',
        session_id: '01900000-0000-7000-8000-000000000000',
        module_id: 'no-such-module',
        kid: 'no-such-key',
      }
      const ask = async (base: string, one: Documented, complaint: Complaint) => {
        const user = await registerUser(system)
        for (const caller of CALLERS) {
          const { headers, ...rest } = sent(one, nowhere) ?? {}
          const answer = await call(base, request(one, nowhere, caller), {
            headers: { ...headersOf(caller, user), ...headers },
            ...rest,
          })
          wrong.push(...complaint(one, answer).map((said) => `${said} (${caller})`))
        }
      }
      await Promise.all(
        described.flatMap(({ base, operations, complaint }) =>
          operations
            .filter(({ operation }) => operation.requestBody || what === 'the example')
            .map((one) => ask(base, one, complaint)),
        ),
      )
      expect(wrong).toEqual([])
    },
    20_000,
  )
})

/** Of those who may, the one for whom it is there. */
function callerOf({ call: name }: Documented): Caller {
  const { who = [] } = CONTRACT.find((row) => row.call === name) ?? {}
  return (['user', 'operator', 'internal'] as const).find((one) => who.includes(one)) ?? 'nobody'
}

function headersOf(caller: Caller, user: TestUser): Record<string, string> {
  if (caller === 'operator' || caller === 'internal') return as[caller]
  if (caller === 'user') return as.bearer(user.tokens.access_token)
  return caller === 'stranger' ? { 'x-api-key': 'no-key-of-this-system' } : {}
}

/** The request line: what is required from the examples, and of whom where an operator has to say so. */
function request({ call: name, operation }: Documented, values: Values, caller: Caller): string {
  const query = (operation.parameters ?? [])
    .filter((one) => one.in === 'query' && (one.required || (one.name === 'user_id' && caller === 'operator')))
    .map((one) => `${one.name}=${encodeURIComponent(String(values[one.name] ?? one.example))}`)
  const path = name.replace(/\{(\w+)\}/g, (_, parameter: string) => String(values[parameter] ?? 'nobody'))
  return query.length > 0 ? `${path}?${query.join('&')}` : path
}

function bodyOf({ operation }: Documented, values: Values): { body?: unknown; headers?: Record<string, string> } {
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? []
  if (!type || !media) return {}
  const fields = Object.entries(media.example as Values)
  const body = Object.fromEntries(fields.map(([field, value]) => [field, values[field] ?? value]))
  return type === LINES ? { body: JSON.stringify(body), headers: { 'content-type': LINES } } : { body }
}
