import fc from 'fast-check'
import { type Documented, type OpenApiDocument, operationsOf } from '../openapi/document.ts'
import { LINES } from '../openapi/validator.ts'
import { broken, brokenQuery, CONTENT_TYPES, HEADERS, hostile, MANGLINGS, type Mangling, MISSING } from './breaking.ts'
import { RAW } from './raw.ts'
import { type Schema, valid } from './values.ts'

/** Callers of requests. `unknown key` sends an invalid key, `damaged` an altered token. */
export const CALLERS = ['nobody', 'user', 'other', 'admin', 'operator', 'internal', 'unknown key', 'damaged'] as const
export type Caller = (typeof CALLERS)[number]

/** One change to a valid request. */
export type Twist =
  | { at: 'field' | 'query'; name: string; value: unknown }
  | { at: 'path'; name: string; value: string }
  | { at: 'text'; how: Mangling }
  | { at: 'type'; value: string }
  | { at: 'header'; name: string; value: string }
  | { at: 'headers'; count: number }
  | { at: 'raw'; how: string }

export type Kind = 'valid' | 'broken' | 'hostile'

/** A generated request: its placeholders are resolved when it is sent. */
export interface Drawn {
  call: string
  caller: Caller
  kind: Kind
  path: Record<string, unknown>
  query: Record<string, unknown>
  /** Undefined: no body is sent. The lines, for a body of lines. */
  body?: unknown
  /** The content type of the body. */
  type?: string
  /** Send it to the other of the operation's two paths. */
  elsewhere: boolean
  /** Position at which to alter a token, from 0 to 1. */
  place: number
  twists: Twist[]
}

/** Operations that end other callers' sessions or keys, or are slow by nature: drawn seldom. */
const SELDOM =
  /(keys|rotate|\{kid\}|announcements\/send|password-cache\/sync|users\/export|DELETE \/api\/v1\/auth\/sessions)$/
const USUAL = 40
/** Answered after a wait when there is no change: drawn even less. */
const RARE: Record<string, number> = { 'GET /api/v1/auth/revocations': 1, 'GET /api/v1/modules/sync/feed': 1 }

/** Requests for the documented operations, each generated from the operation's schemas. */
export function requestsOf(documents: readonly OpenApiDocument[]): fc.Arbitrary<Drawn> {
  const operations = new Map(documents.flatMap((document) => operationsOf(document)).map((one) => [one.call, one]))
  // Sorted, so that a seed gives the same requests whichever service describes an operation first.
  const sorted = [...operations.values()].sort((a, b) => (a.call < b.call ? -1 : 1))
  return fc.oneof(
    ...sorted.map((one) => ({
      weight: RARE[one.call] ?? (SELDOM.test(one.call) ? 4 : USUAL),
      arbitrary: requestOf(one),
    })),
  )
}

function requestOf(one: Documented): fc.Arbitrary<Drawn> {
  const parts = {
    call: fc.constant(one.call),
    caller: callerOf(one),
    path: parametersOf(one, 'path'),
    query: parametersOf(one, 'query'),
    elsewhere: fc.boolean(),
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    ...bodyOf(one),
  }
  const of = (kind: Kind, twists: fc.Arbitrary<Twist[]>) =>
    fc.record({ ...parts, kind: fc.constant(kind), twists }, { noNullPrototype: true }) as fc.Arbitrary<Drawn>
  const breaking = breakingOf(one)
  const kinds = [
    { weight: 4, arbitrary: of('valid', fc.constant([])) },
    { weight: 3, arbitrary: of('hostile', fc.array(hostileOf(one), { minLength: 1, maxLength: 3 })) },
  ]
  if (breaking)
    kinds.push({
      weight: 4,
      arbitrary: of(
        'broken',
        breaking.map((twist) => [twist]),
      ),
    })
  return fc.oneof(...kinds)
}

/** Draws the callers that the operation's security names more often than the others. */
function callerOf({ operation }: Documented): fc.Arbitrary<Caller> {
  const ways = new Set(operation.security.flatMap((way) => Object.keys(way)))
  const weights: Record<Caller, number> = {
    nobody: operation.security.some((way) => Object.keys(way).length === 0) ? 6 : 1,
    user: ways.has('bearer') ? 6 : 1,
    other: 1,
    admin: ways.has('bearer') ? 3 : 1,
    operator: ways.has('operatorKey') ? 6 : 1,
    internal: ways.has('internalKey') ? 6 : 1,
    'unknown key': 1,
    damaged: 1,
  }
  return fc.oneof(...CALLERS.map((caller) => ({ weight: weights[caller], arbitrary: fc.constant(caller) })))
}

type Values = fc.Arbitrary<Record<string, unknown>>

/** Draws optional parameters one at a time more often than all at once: most of them contradict each other. */
function parametersOf({ call, operation }: Documented, where: 'path' | 'query'): Values {
  const parameters = (operation.parameters ?? []).filter((one) => one.in === where)
  const record = (some: typeof parameters, requiredKeys: string[]) =>
    fc.record(
      Object.fromEntries(
        some.map(({ name, schema }) => [
          name,
          valid(where === 'path' ? { minLength: 1, ...schema } : schema, name, call),
        ]),
      ),
      {
        requiredKeys,
        noNullPrototype: true,
      },
    ) as Values
  const required = parameters.filter((one) => one.required)
  const names = required.map(({ name }) => name)
  const others = parameters.filter((one) => !one.required)
  if (others.length === 0) return record(required, names)
  const single = others.map((one) => record([...required, one], [...names, one.name]))
  return fc.oneof(
    { weight: 1, arbitrary: record(required, names) },
    { weight: 4, arbitrary: fc.oneof(...single) },
    { weight: 1, arbitrary: record(parameters, names) },
  )
}

function mediaOf({ operation }: Documented): [type: string, schema: Schema][] {
  return Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) => [type, schema as Schema])
}

function bodyOf(one: Documented): { body: fc.Arbitrary<unknown>; type: fc.Arbitrary<string | undefined> } {
  const media = mediaOf(one)
  const [first] = media
  if (!first) return { body: fc.constant(undefined), type: fc.constant(undefined) }
  const [type, schema] = first
  const value = valid(schema, '', one.call)
  const body = type === LINES ? fc.array(value, { minLength: 1, maxLength: 3 }) : value
  const optional = !one.operation.requestBody?.required && type !== LINES
  return {
    body: optional ? fc.oneof({ weight: 4, arbitrary: body }, { weight: 1, arbitrary: fc.constant(undefined) }) : body,
    type: fc.constantFrom(...media.map(([name]) => name)),
  }
}

/** Breaks one field; no change for an operation without fields. */
function breakingOf(one: Documented): fc.Arbitrary<Twist> | undefined {
  const twists: fc.Arbitrary<Twist>[] = []
  const [media] = mediaOf(one)
  const { oneOf = [], properties = {}, required = [] } = media?.[1] ?? {}
  const alternatives = oneOf.flatMap((branch) => branch.required ?? [])
  const extra = { at: 'field' as const, name: 'nickname', value: 'x' }
  for (const [name, schema] of Object.entries(properties))
    twists.push(
      broken(schema, required.includes(name) || alternatives.includes(name)).map((value) => ({
        at: 'field',
        name,
        value,
      })),
    )
  if (media || one.call.startsWith('DELETE ')) twists.push(fc.constant(extra))
  const query = (one.operation.parameters ?? []).filter((parameter) => parameter.in === 'query')
  for (const { name, required, schema } of query) {
    twists.push(brokenQuery(schema as Schema).map((value) => ({ at: 'query', name, value })))
    if (required) twists.push(fc.constant({ at: 'query', name, value: MISSING }))
  }
  if (query.length > 0) twists.push(fc.constant({ at: 'query', name: 'nickname', value: 'x' }))
  return twists.length > 0 ? fc.oneof(...twists) : undefined
}

/** Fields of other operations, and names that no operation has. */
const NAMES = ['id', 'roles', 'status', 'password', '__proto__', 'constructor', 'x'.repeat(300), 'a\r\nb', '\u202e']

function hostileOf(one: Documented): fc.Arbitrary<Twist> {
  const texts = hostile.filter((value) => typeof value === 'string') as fc.Arbitrary<string>
  const of = (where: 'path' | 'query') =>
    (one.operation.parameters ?? []).filter((parameter) => parameter.in === where).map(({ name }) => name)
  const fields = Object.keys(mediaOf(one)[0]?.[1].properties ?? {})
  const twists: fc.Arbitrary<Twist>[] = [
    fc.constantFrom(...HEADERS).map(([name, value]) => ({ at: 'header', name, value })),
    fc.constantFrom(60, 60, 60, 60, 60, 60, 400).map((count) => ({ at: 'headers', count })),
    fc.constantFrom(...RAW).map((how) => ({ at: 'raw', how })),
    fc.record({ at: fc.constant('query' as const), name: fc.constantFrom(...of('query'), ...NAMES), value: texts }),
  ]
  // `fetch` sends no body with a GET.
  if (!one.call.startsWith('GET '))
    twists.push(
      fc.record({ at: fc.constant('field' as const), name: fc.constantFrom(...fields, ...NAMES), value: hostile }),
    )
  if (of('path').length > 0)
    twists.push(fc.record({ at: fc.constant('path' as const), name: fc.constantFrom(...of('path')), value: texts }))
  if (fields.length > 0)
    twists.push(
      fc.record({ at: fc.constant('field' as const), name: fc.constantFrom(...fields), value: hostile }),
      fc.constantFrom(...(Object.keys(MANGLINGS) as Mangling[])).map((how) => ({ at: 'text', how })),
      fc.constantFrom(...CONTENT_TYPES).map((value) => ({ at: 'type', value })),
    )
  return fc.oneof(...twists)
}
