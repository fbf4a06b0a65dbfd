import fc from 'fast-check'

/** The parts of JSON Schema that the document's requests use. */
export interface Schema {
  type?: string | string[]
  format?: string
  pattern?: string
  enum?: unknown[]
  const?: unknown
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  maxItems?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
  oneOf?: Schema[]
}

/** A placeholder for a value that is known when the request is sent: `own.id`, `other.email`, `fresh.username` … */
export interface Ref {
  $: string
}

const ref = (...names: string[]): fc.Arbitrary<unknown> => fc.constantFrom(...names.map((name): Ref => ({ $: name })))

/** Part of every generated secret: no answer and no log may contain it. */
export const CANARY = 'canary-7Qw9xT2r'

const KNOWN_HASH = '$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'
const word = fc.string({ unit: 'grapheme-ascii', minLength: 4, maxLength: 40 })
const secret = word.map((text) => `${CANARY}${text}`)
const weak = fc.oneof(ref('own.email', 'own.username'), fc.constantFrom('password', 'short'))
const newSecret = fc.oneof(
  { weight: 5, arbitrary: secret },
  { weight: 1, arbitrary: ref('own.password') },
  { weight: 3, arbitrary: weak },
)
const ids = fc.oneof({ weight: 4, arbitrary: ref('own.id', 'other.id') }, { weight: 1, arbitrary: fc.uuid() })
const usernames = ref('fresh.username', 'fresh.username', 'own.username', 'other.username')
const emails = ref('fresh.email', 'fresh.email', 'fresh.email', 'own.email', 'other.email')
const refreshTokens = fc.oneof(ref('own.refresh', 'own.refresh', 'own.old', 'other.refresh'), secret, fc.uuid())
const modules = fc.oneof({ weight: 4, arbitrary: ref('module', 'module', 'base') }, fc.constant('no-such-module'))
const roleLists = fc.constantFrom<unknown>([], ['USER'], ['USER', 'EDITOR'], ['ADMIN'])

/** Likely values by the name of the field, which means the same in every operation. */
const BY_NAME: Record<string, fc.Arbitrary<unknown>> = {
  user_id: ids,
  session_id: ref('own.session', 'own.session', 'other.session', 'own.id'),
  module_id: modules,
  kid: fc.oneof({ weight: 1, arbitrary: ref('kid') }, { weight: 3, arbitrary: word }),
  email: emails,
  username: usernames,
  login: ref('own.email', 'own.username', 'other.email', 'fresh.email'),
  password: fc.oneof(ref('own.password'), newSecret),
  current_password: fc.oneof({ weight: 3, arbitrary: ref('own.password') }, secret),
  new_password: newSecret,
  password_hash: fc.constant(KNOWN_HASH),
  token: fc.oneof(ref('own.access', 'own.refresh', 'other.access', 'reset'), secret),
  refresh_token: refreshTokens,
  refreshToken: refreshTokens,
  roles: roleLists,
  required_roles: roleLists,
  requires: fc.oneof(
    { weight: 3, arbitrary: fc.constant<unknown>([]) },
    { weight: 1, arbitrary: modules.map((one) => [one]) },
  ),
  // Ending everyone's sessions sends all other actors back to a login.
  all: fc.oneof({ weight: 12, arbitrary: fc.constant('false') }, { weight: 1, arbitrary: fc.constant('true') }),
  address: fc.oneof(fc.ipV4(), fc.ipV6()),
  after_id: fc.uuid(),
  mail_id: fc.uuid(),
  webhook_id: fc.uuid(),
  client_id: fc.uuid(),
  jwks_uri: fc.constantFrom('https://127.0.0.1:9/jwks.json', 'https://[::1]:9/jwks.json'),
  // Nothing leaves the machine.
  url: fc.constantFrom('http://127.0.0.1:9/', 'https://[::1]:9/hook?a=b'),
}

/** Likely values of `id`, which differ between operations. */
const IDS: Record<string, fc.Arbitrary<unknown>> = {
  'POST /api/v1/modules': fc.oneof(
    { weight: 4, arbitrary: ref('fresh.module') },
    { weight: 1, arbitrary: ref('module') },
  ),
  'GET /user/{id}': fc.oneof(ids, emails),
  'DELETE /user/{id}': ids,
  'POST /api/v1/users/import': fc.oneof(fc.uuid(), ref('own.id')),
}

/** Values that the schema allows, most of them existing ones. `call`: the operation that takes them. */
export function valid(schema: Schema, name: string, call: string): fc.Arbitrary<unknown> {
  const specific = name === 'id' ? IDS[call] : BY_NAME[name]
  const generic = generated(schema, call)
  if (!specific) return generic
  // The schema alone would give a password that is too short, or a malformed hash.
  if (/password/.test(name)) return specific
  return fc.oneof({ weight: 6, arbitrary: specific }, { weight: 1, arbitrary: generic })
}

function generated(schema: Schema, call: string): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => generated(one, call)))
  if (Array.isArray(schema.type))
    return fc.oneof(
      ...schema.type.map((type, index) => ({
        weight: index === 0 ? 4 : 1,
        arbitrary: generated({ ...schema, type }, call),
      })),
    )
  switch (schema.type) {
    case 'object':
      return object(schema, call)
    case 'array':
      return fc.uniqueArray(schema.items ? valid(schema.items, '', call) : fc.constant('x'), {
        maxLength: Math.min(schema.maxItems ?? 3, 3),
        selector: (item) => JSON.stringify(item),
      })
    case 'integer':
    case 'number':
      return whole(schema)
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return text(schema)
  }
}

function whole({ maximum = Number.MAX_SAFE_INTEGER, minimum = 0 }: Schema): fc.Arbitrary<number> {
  return fc.oneof(fc.integer({ min: minimum, max: maximum }), fc.constantFrom(minimum, minimum + 1, maximum))
}

const EARLIEST = new Date('1970-01-01T00:00:00.000Z')
const LATEST = new Date('2099-12-31T00:00:00.000Z')

function text({ format, maxLength, minLength = 0, pattern }: Schema): fc.Arbitrary<string> {
  if (format === 'uuid') return fc.uuid()
  if (format === 'date-time')
    return fc.date({ min: EARLIEST, max: LATEST, noInvalidDate: true }).map((date) => date.toISOString())
  if (format === 'idn-email')
    return fc
      .stringMatching(/^[a-z0-9.+_-]{1,20}@([a-z][a-z0-9-]{0,10}[a-z0-9]\.(org|example)|[а-яё]{1,12}\.рф)$/)
      .filter((email) => !/\.\.|^\.|\.@/.test(email))
  // A pattern that only excludes control characters allows any printable text.
  if (pattern && !pattern.startsWith('^[^')) return fc.stringMatching(new RegExp(pattern))
  const most = maxLength ?? 64
  const short = Math.min(most, minLength + 12)
  const allowed = new RegExp(pattern ?? '', 'u')
  return fc
    .oneof(
      fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.floor(short / 8)) }),
      fc.string({ unit: 'grapheme-ascii', minLength, maxLength: short }),
      fc.constantFrom('x'.repeat(Math.max(1, minLength)), 'é'.repeat(Math.max(minLength, Math.min(most, 8192)))),
    )
    .filter((value) => allowed.test(value))
}

function object({ oneOf, properties = {}, required = [] }: Schema, call: string): fc.Arbitrary<unknown> {
  const alternatives = (oneOf ?? []).flatMap((one) => one.required ?? [])
  const fields = Object.entries(properties)
  const record = (without: readonly string[], more: readonly string[]) =>
    fc.record(
      Object.fromEntries(
        fields.filter(([name]) => !without.includes(name)).map(([name, schema]) => [name, valid(schema, name, call)]),
      ),
      { requiredKeys: [...required, ...more], noNullPrototype: true },
    )
  if (alternatives.length === 0) return record([], [])
  return fc.oneof(
    ...alternatives.map((name) =>
      record(
        alternatives.filter((other) => other !== name),
        [name],
      ),
    ),
  )
}
