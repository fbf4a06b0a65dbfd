import { LINES } from '../openapi/validator.ts'
import { MANGLINGS, MISSING } from './breaking.ts'
import type { Drawn, Twist } from './requests.ts'
import type { Ref } from './values.ts'

const FORM = 'application/x-www-form-urlencoded'

/** A request as it is sent. */
export interface Prepared {
  method: string
  /** Path and query. */
  target: string
  headers: [string, string][]
  body?: string | Uint8Array
  /** The values of path, query and body, to be checked against their schemas; a body of lines is a list. */
  path: Record<string, string>
  query: Record<string, string>
  value: unknown
  type: string | undefined
}

/** Resolves a placeholder to its current value. */
export type LookUp = (name: string) => Promise<string>

/** Resolves the placeholders of a request and applies its twists. `headers`: those of its caller. */
export async function prepare(drawn: Drawn, headers: [string, string][], lookUp: LookUp): Promise<Prepared> {
  const [method = '', path = ''] = drawn.call.split(' ')
  const resolve = async <T>(value: T) => (await resolved(value, lookUp)) as T
  const fields = await resolve(drawn.path)
  const query = new Map(Object.entries(await resolve(drawn.query)).map(([name, value]) => [name, String(value)]))
  let value: unknown = await resolve(drawn.body)
  for (const twist of drawn.twists) {
    if (twist.at === 'path') fields[twist.name] = twist.value
    if (twist.at === 'query') twistQuery(query, twist)
    if (twist.at === 'field') value = twisted(value, twist)
  }
  // All values of a form are text.
  if (drawn.type === FORM && value !== undefined)
    value = Object.fromEntries(Object.entries(value as object).map(([name, field]) => [name, asText(field)]))
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encoded(String(fields[name])))
  const search = [...query].map(([name, text]) => `${encoded(name)}=${encoded(text)}`).join('&')
  const prepared: Prepared = {
    method,
    target: `${elsewhere(drawn, filled)}${search === '' ? '' : `?${search}`}`,
    headers: [...headers],
    path: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)])),
    query: Object.fromEntries(query),
    value,
    type: value === undefined ? undefined : (drawn.type ?? 'application/json'),
  }
  if (value !== undefined) prepared.body = textOf(value, prepared.type)
  twistText(prepared, drawn.twists)
  if (prepared.type !== undefined) prepared.headers.push(['content-type', prepared.type])
  return prepared
}

/** Moves a path to the root, where every operation is served too, except those whose path there belongs to v0. */
function elsewhere({ call, elsewhere: atRoot }: Drawn, path: string): string {
  const v0 = /^POST \/api\/v1\/auth\/(register|login|refresh)$/.test(call)
  return atRoot && !v0 ? path.replace(/^\/api\/v1/, '') : path
}

function textOf(value: unknown, type: string | undefined): string {
  if (type === LINES && Array.isArray(value)) return value.map((line) => JSON.stringify(line)).join('\n')
  if (type === FORM)
    return Object.entries(value as object)
      .map(([name, field]) => `${encoded(name)}=${encoded(field)}`)
      .join('&')
  return JSON.stringify(value)
}

function twistQuery(query: Map<string, string>, { name, value }: { name: string; value: unknown }): void {
  if (value === MISSING) query.delete(name)
  else query.set(name, String(value))
}

/** Applies a twist to the value, or to the first of several lines. */
function twisted(value: unknown, { name, value: field }: { name: string; value: unknown }): unknown {
  if (Array.isArray(value)) return [twisted(value[0], { name, value: field }), ...value.slice(1)]
  const copy = { ...((value ?? {}) as object) }
  if (field === MISSING) delete (copy as Record<string, unknown>)[name]
  else Object.defineProperty(copy, name, { value: field, enumerable: true, configurable: true })
  return copy
}

function twistText(prepared: Prepared, twists: readonly Twist[]): void {
  for (const twist of twists) {
    if (twist.at === 'type' && prepared.type !== undefined) prepared.type = twist.value
    if (twist.at === 'header') prepared.headers.push([twist.name, twist.value])
    if (twist.at === 'headers')
      for (let n = 0; n < twist.count; n++) prepared.headers.push([`x-flood-${n}`, 'y'.repeat(20)])
    if (twist.at === 'text' && typeof prepared.body === 'string') {
      prepared.body = MANGLINGS[twist.how](prepared.body)
      prepared.value = undefined
    }
  }
}

function asText(field: unknown): string {
  return typeof field === 'object' ? JSON.stringify(field) : String(field)
}

/** A lone surrogate has no form in a URL. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

function isRef(value: object): value is Ref {
  return '$' in value && Object.keys(value).length === 1 && typeof value.$ === 'string'
}

async function resolved(value: unknown, lookUp: LookUp): Promise<unknown> {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return Promise.all(value.map((one) => resolved(one, lookUp)))
  if (isRef(value)) return lookUp(value.$)
  const copy = {}
  for (const [name, field] of Object.entries(value))
    Object.defineProperty(copy, name, {
      value: await resolved(field, lookUp),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  return copy
}

/** The placeholders of a request. */
export function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  if (!Array.isArray(value) && isRef(value)) return [value.$]
  return Object.values(value).flatMap(namesIn)
}
