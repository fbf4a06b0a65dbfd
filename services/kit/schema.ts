import {
  FormatRegistry,
  Kind,
  type TProperties,
  type TSchema,
  type TUnsafe,
  Type,
  TypeRegistry,
} from '@sinclair/typebox'
import { t } from 'elysia'

/** Says what is wrong with a value, to stand behind the field's name ("must be a string"); nothing when it is right. */
export type Check = (value: unknown) => string | undefined

export interface CheckedSchema extends TSchema {
  check: Check
}

const CHECKED = 'Ch202Checked'

TypeRegistry.Set<CheckedSchema>(CHECKED, (schema, value) => schema.check(value) === undefined)

/**
 * A field that is checked by a function of ours and documented by a JSON Schema, so that the rule and the message that
 * a client reads stand in one place.
 */
export function checked<T>(documentation: Record<string, unknown>, check: Check): TUnsafe<T> & CheckedSchema {
  return { ...documentation, [Kind]: CHECKED, check } as unknown as TUnsafe<T> & CheckedSchema
}

export function isChecked(schema: TSchema): schema is CheckedSchema {
  return schema[Kind] === CHECKED
}

/** An object whose unknown fields are refused: in a body they are 400, in an answer they are a defect that shows. */
export function strict<T extends TProperties>(properties: T, options: Record<string, unknown> = {}) {
  return t.Object(properties, { ...options, additionalProperties: false })
}

/** An object with any further fields, which are ignored: only where a standard demands it (RFC 6749, 3.2). */
export function open<T extends TProperties>(properties: T) {
  return t.Object(properties, { additionalProperties: true })
}

/**
 * Exactly one of these fields, for the documentation: the function behind the route refuses none and several, with a
 * message that names them.
 */
export function oneFieldOf(...names: string[]) {
  return { oneOf: names.map((name) => ({ required: [name] })) }
}

/** The same field, which may also be null. */
export function nullable<T>(schema: TUnsafe<T> & CheckedSchema): TUnsafe<T | null> & CheckedSchema {
  const { check, type, ...documentation } = schema
  return checked<T | null>({ ...documentation, type: [type, 'null'] }, (value) =>
    value === null ? undefined : check(value),
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
/** The same, for the documentation. */
const WITHOUT_CONTROLS = `^${CONTROL.source.replace('[', '[^')}*$`

interface TextRule {
  least?: number
  most: number
  /** Line breaks and the like are fine: for secrets and for prose. */
  controls?: boolean
  description?: string
  examples?: string[]
}

/** A string of a bounded length, counted in Unicode characters. */
export function text({ least = 0, most, controls = false, ...documentation }: TextRule) {
  const pattern = controls ? {} : { pattern: WITHOUT_CONTROLS }
  return checked<string>(
    { ...documentation, type: 'string', minLength: least, maxLength: most, ...pattern },
    (value) => {
      if (typeof value !== 'string') return 'must be a string'
      const length = lengthOf(value, most)
      if (length < least) return `must be longer than or equal to ${least} characters`
      if (length > most) return `must be shorter than or equal to ${most} characters`
      if (!controls && CONTROL.test(value)) return 'must not contain control characters'
      return undefined
    },
  )
}

/** A string that a pattern settles. */
export function matching(pattern: RegExp, complaint: string, documentation: Record<string, unknown> = {}) {
  return checked<string>({ type: 'string', pattern: pattern.source, ...documentation }, (value) => {
    if (typeof value !== 'string') return 'must be a string'
    return pattern.test(value) ? undefined : complaint
  })
}

export function oneOf<const T extends string>(...values: T[]) {
  return checked<T>({ type: 'string', enum: values }, (value) =>
    values.includes(value as T) ? undefined : `must be one of the following values: ${values.join(', ')}`,
  )
}

export const flag = () =>
  checked<boolean>({ type: 'boolean' }, (value) => (typeof value === 'boolean' ? undefined : 'must be a boolean'))

/** A list of at most `most` different strings, each held to the rule of `item`. */
export function listOf<T extends string>(item: TUnsafe<T> & CheckedSchema, most: number) {
  const { check, ...documentation } = item
  return checked<T[]>({ type: 'array', items: documentation, maxItems: most, uniqueItems: true }, (value) => {
    if (!Array.isArray(value)) return 'must be an array'
    if (value.length > most) return `must contain no more than ${most} elements`
    for (const element of value) {
      const complaint = check(element)
      if (complaint) return `must be an array in which each value ${complaint}`
    }
    return new Set(value).size === value.length ? undefined : 'must not hold the same value twice'
  })
}

/** HTML's `<input type=email>` (WHATWG HTML, 4.10.5.1.5): only ASCII, so that no look-alike makes a second account. */
const EMAIL =
  /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/
const EMAIL_MAX = 254

export function isEmail(value: string): boolean {
  return value.length <= EMAIL_MAX && EMAIL.test(value)
}

export const email = () =>
  checked<string>({ type: 'string', format: 'email', maxLength: EMAIL_MAX, examples: ['ana@example.org'] }, (value) => {
    if (typeof value !== 'string') return 'must be a string'
    if (value.length > EMAIL_MAX) return `must be shorter than or equal to ${EMAIL_MAX} characters`
    return EMAIL.test(value) ? undefined : 'must be an email'
  })

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/
export const uuid = () => matching(UUID, 'must be a UUID', { format: 'uuid' })

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3])(:\d\d){2}(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
/** The years of RFC 3339 have four digits. In milliseconds. */
const EARLIEST = Date.parse('0000-01-01T00:00:00.000Z')
export const LATEST = Date.parse('9999-12-31T23:59:59.999Z')
/** A time that is sent to us (RFC 3339), and that can be given back in UTC. */
export const moment = () =>
  checked<string>({ type: 'string', format: 'date-time', examples: ['2026-11-20T10:00:00.000Z'] }, (value) => {
    const time = typeof value === 'string' ? timeOf(value) : Number.NaN
    return time >= EARLIEST && time <= LATEST ? undefined : 'must be an RFC 3339 time'
  })

/** Date.parse takes 30 February for the second of March. */
function timeOf(text: string): number {
  const [, year, month, day] = MOMENT.exec(text)?.map(Number) ?? []
  if (year === undefined || month === undefined || day === undefined) return Number.NaN
  const lastDay = new Date(0).setUTCFullYear(year, month, 0)
  return day <= new Date(lastDay).getUTCDate() ? Date.parse(text) : Number.NaN
}

/** A number in a query, which is text until it is read. */
export function count(least: number, most: number) {
  return checked<string>({ type: 'integer', minimum: least, maximum: most }, (value) =>
    typeof value === 'string' && /^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`,
  )
}

/** `true` or `false` in a query. */
export const queryFlag = () => oneOf('true', 'false')

/** Numbers of answers. The framework's own would also take text, and say so in the documentation. */
export const integer = () => Type.Integer()
export const number = () => Type.Number()

// As `timestamp` writes it. The framework's own check takes every date that JavaScript can read, and makes one of each.
FormatRegistry.Set('date-time', (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value))

/** RFC 3339. */
export const time = () => t.String({ format: 'date-time', examples: ['2026-11-20T10:00:00.000Z'] })

/** Unicode characters, not UTF-16 units; stops counting once past `enough`. */
function lengthOf(value: string, enough: number): number {
  if (value.length > enough * 2) return value.length
  let length = 0
  for (const _ of value) length++
  return length
}
