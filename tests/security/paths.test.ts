import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { as, call } from '../support/http.ts'
import { INTERNAL_KEY, type Name, OPERATOR_KEY } from '../support/settings.ts'
import { request } from '../support/sockets.ts'
import type { System } from '../support/system.ts'
import { inProcess } from '../support/system.ts'
import { sliced } from '../support/whole.ts'
import type { Databases } from './databases.ts'
import { fixtureFor, type Served } from './operations.ts'
import { isAdmin, isInternal, POLICY } from './policy.ts'
import { openSetup, type Setup } from './setup.ts'

/** Other spellings of a path, which a proxy or a router may treat as the same. */
function* spellings(path: string): Generator<string> {
  const [, first = '', ...rest] = path.split('/')
  const tail = rest.map((part) => `/${part}`).join('')
  const last = path.slice(path.lastIndexOf('/') + 1)
  const stem = path.slice(0, -last.length)
  const hex = (text: string) => [...text].map((character) => `%${character.charCodeAt(0).toString(16)}`).join('')

  yield* [path, `${path}/`, `${path}//`, `${path}/.`, `${path}/x/..`, `${path}?`, `${path}#`, `${path}#/health`]
  yield* [`/${path}`, `//${path}`, path.replaceAll('/', '//'), `/.${path}`, `/./${first}${tail}`, `/%2e${path}`]
  yield* [`/health/..${path}`, `/health/%2e%2e${path}`, `/health/.%2E${path}`, `/health/..%2f${first}${tail}`]
  yield* [`/api/v1/..${path}`, `/api/v1/health/../../..${path}`, `/api/v1/%2e%2e/%2e%2e${path}`, `/api/v1${path}`]
  yield* [`/API/V1${path}`, `/api/v1/${path}`, `/api/v1/.${path}`, `/api%2fv1${path}`, `/api/v1;x${path}`]
  yield* [path.toUpperCase(), stem + last.toUpperCase(), path.replace(first, first[0]?.toUpperCase() + first.slice(1))]
  yield* [`/${hex(first)}${tail}`, stem + hex(last), `${stem}%${hex(last).replaceAll('%', '%25').slice(1)}`]
  yield* [path.replace(last[0] ?? '', hex(last[0] ?? '')), `/${first}%2f${tail.slice(1)}`, `${path}%2f`, `${path}%00`]
  yield* [`${path};x`, `/${first};x=y${tail}`, `/health;/..${path}`, `/health/..;${path}`, `${path}.`, `${path}..`]
  yield* [`${path}.json`, `${path}%20`, `${path}%09`, `${path}%0d%0a`, `\\${first}${tail}`, `/\\${first}${tail}`]
  yield* [path.replaceAll('/', '\\'), `/health\\..\\${first}${tail}`, `/health/..\\${first}${tail}`]
  yield* [`http://localhost${path}`, `http://evil.example.org/${path}`, `//evil.example.org${path}`, `*${path}`]
  yield* [`/health#${path}`, `/${first}/%61/..${tail}`, `/x/..//${first}${tail}`]
}

/** Headers that some servers use instead of the request's path or method. */
const OVERRIDES = (path: string) => [
  `X-Original-URL: ${path}`,
  `X-Rewrite-URL: ${path}`,
  'X-HTTP-Method-Override: GET',
  'X-Forwarded-Prefix: /health',
  `X-Forwarded-Uri: ${path}`,
]

describe('check 24: no spelling of a path gives access without its credential', () => {
  let system: System
  let databases: Databases
  let operations: Map<string, Served>
  let others: Setup['others']
  let setup: Setup
  beforeAll(async () => {
    setup = await openSetup(inProcess)
    ;({ operations, others, system, databases } = setup)
  })
  afterAll(() => setup?.close())

  const rows = POLICY.filter((policy) => isInternal(policy) || isAdmin(policy)).map((policy) => ({
    call: policy.call,
    wrong: isInternal(policy) ? ('operator' as const) : ('internal' as const),
  }))

  test('the rows are the operations for operators and for services', () => {
    expect(rows.filter(({ wrong }) => wrong === 'operator').length).toBeGreaterThan(12)
    expect(rows.filter(({ wrong }) => wrong === 'internal').length).toBeGreaterThan(15)
  })

  test.each(sliced(rows, 3))('$call: nor with the key of $wrong', async ({ call: name, wrong }) => {
    const one = operations.get(name)
    if (!one) throw new Error('No document has it')
    const { admin, owner, other, values } = await fixtureFor(system, one, others)
    const [method = '', template = ''] = name.split(' ')
    const path = template
      .replace('/api/v1', '')
      .replace(/\{(\w+)\}/g, (_, parameter: string) => String(values[parameter]))
    const credentials = [
      `X-API-Key: ${wrong === 'operator' ? OPERATOR_KEY : INTERNAL_KEY}`,
      // An admin is an operator.
      `Authorization: Bearer ${(wrong === 'operator' ? admin : other).tokens.access_token}`,
      'X-API-Key: none',
    ]
    const before = databases.state(owner.id, values.id)
    const service: Name = one.at[0] ?? 'auth'
    const answers = await Promise.all(
      [...spellings(path)].flatMap((spelled) =>
        credentials.flatMap((credential) =>
          // R12: and with a request without a Host header.
          [['HTTP/1.1', 'Host: localhost'], ['HTTP/1.0']].map(async ([version, ...host]) => {
            const headers = [...host, credential, ...OVERRIDES(path)]
            const { status, body } = await request(system.url[service], `${method} ${spelled} ${version}`, headers)
            return { spelled, version, status, code: body?.code as unknown, credential }
          }),
        ),
      ),
    )
    // 0 and 400 without a code are Bun's answers to malformed HTTP. All others are refusals, or the path does not exist:
    // a 400 of ours would show that the caller was accepted.
    const opened = answers.filter(({ code, status }) => {
      const ours = [401, 403, 404, 405].includes(status) && typeof code === 'string'
      return !ours && !([0, 400].includes(status) && code === undefined)
    })
    expect(opened).toEqual([])
    expect(answers.filter(({ status }) => status === 403).length).toBeGreaterThan(4)
    const after = databases.state(owner.id, values.id)
    expect(after === before).toBeTrue()
  })

  test('nor with both keys at once, or one key in the header of the other', async () => {
    const both = [`X-API-Key: ${INTERNAL_KEY}`, `X-API-Key: ${OPERATOR_KEY}`]
    for (const [service, path, right] of [
      ['users', '/users/password-hashes', INTERNAL_KEY],
      ['auth', '/admin/keys', OPERATOR_KEY],
      ['modules', '/modules/x/users', OPERATOR_KEY],
    ] as const) {
      for (const headers of [
        both,
        both.toReversed(),
        [`X-API-Key: ${INTERNAL_KEY}, ${OPERATOR_KEY}`],
        [`Authorization: Bearer ${right}`],
        [`X-Internal-Key: ${right}`],
        [`Authorization: Bearer ${right}`, 'X-API-Key: none'],
        [`Cookie: X-API-Key=${right}`],
      ]) {
        const { status } = await request(system.url[service], `GET ${path} HTTP/1.1`, ['Host: localhost', ...headers])
        expect([path, headers, status]).toEqual([path, headers, 401])
      }
      const headers = right === OPERATOR_KEY ? as.operator : as.internal
      expect((await call(system.url[service], `GET ${path}`, { headers })).status).toBeOneOf([200, 404])
    }
  })
})
