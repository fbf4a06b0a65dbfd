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
import { type Complaint, ERRORS_MAX, type FieldCode, mistyped, notAllowed, tooLong, tooShort } from '../field-errors.ts'
import { EMAIL_MAX, emailComplaint, withoutBlanks } from './email.ts'

/** What is wrong with a value, or with parts of it (`at`: their paths within it); undefined if it is right. */
export type Check = (value: unknown) => Complaint | PartComplaint[] | undefined

/** What is wrong with a part of a value. */
export interface PartComplaint extends Complaint {
  at: string
}

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

/** At most one of these fields, for the documentation, as `oneFieldOf`. */
export function oneFieldAtMost(...names: string[]) {
  const { oneOf } = oneFieldOf(...names)
  return { oneOf: [...oneOf, { not: { anyOf: oneOf } }] }
}
const NO_STRING = mistyped('a string')

/** The same field, which may also be null. */
export function nullable<T>(schema: TUnsafe<T> & CheckedSchema): TUnsafe<T | null> & CheckedSchema {
  const { check, enum: values, type, ...documentation } = schema
  const choices = Array.isArray(values) ? { enum: [...values, null] } : {}
  return checked<T | null>({ ...documentation, type: [type, 'null'], ...choices }, (value) =>
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
      if (typeof value !== 'string') return NO_STRING
      const length = lengthOf(value, most)
      if (length < least) return tooShort(least)
      if (length > most) return tooLong(most)
      if (!controls && CONTROL.test(value)) return { code: 'pattern', message: 'must not contain control characters' }
      return undefined
    },
  )
}

/** A string that a pattern settles. */
export function matching(pattern: RegExp, message: string, documentation: Record<string, unknown> = {}) {
  const code: FieldCode = 'format' in documentation ? 'format' : 'pattern'
  return checked<string>({ type: 'string', pattern: pattern.source, ...documentation }, (value) => {
    if (typeof value !== 'string') return NO_STRING
    return pattern.test(value) ? undefined : { code, message }
  })
}

export function oneOf<const T extends string>(...values: T[]) {
  const message = `must be one of the following values: ${values.join(', ')}`
  return checked<T>({ type: 'string', enum: values }, (value) => {
    if (values.includes(value as T)) return undefined
    return typeof value === 'string' ? notAllowed(message) : { code: 'type', message }
  })
}

const NO_BOOLEAN = mistyped('a boolean')
export const flag = () =>
  checked<boolean>({ type: 'boolean' }, (value) => (typeof value === 'boolean' ? undefined : NO_BOOLEAN))

const NO_OBJECT = mistyped('an object')
/** An object of whatever fields. */
export const object = () =>
  checked<Record<string, unknown>>({ type: 'object' }, (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : NO_OBJECT,
  )

/** A whole number in a body. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  const check = withinBounds(least, most)
  return checked<number>({ type: 'integer', minimum: least, maximum: most }, (value) =>
    check(Number.isSafeInteger(value) ? (value as number) : Number.NaN),
  )
}

/** What is wrong with a number; NaN stands for what is none. */
function withinBounds(least: number, most: number): (value: number) => Complaint | undefined {
  const message =
    most === Number.MAX_SAFE_INTEGER
      ? `must be a whole number from ${least}`
      : `must be a whole number from ${least} to ${most}`
  return (value) => {
    if (Number.isNaN(value)) return { code: 'type', message }
    if (value < least) return { code: 'too_small', message, limit: least }
    return value > most ? { code: 'too_large', message, limit: most } : undefined
  }
}

/** A list of at most `most` different strings, each held to the rule of `item`. */
export function listOf<T extends string>(item: TUnsafe<T> & CheckedSchema, most: number) {
  const { check, ...documentation } = item
  return checked<T[]>({ type: 'array', items: documentation, maxItems: most, uniqueItems: true }, (value) => {
    if (!Array.isArray(value)) return NO_ARRAY
    const complaints = value.length > most ? [{ at: '', ...tooMany(most) }] : []
    const earlier = new Set<unknown>()
    for (const [index, element] of value.entries()) {
      // An answer lists no more of them.
      if (complaints.length >= ERRORS_MAX) break
      const complaint = check(element) ?? (earlier.has(element) ? REPEATED : undefined)
      complaints.push(...partsOf(complaint, String(index)))
      earlier.add(element)
    }
    return complaints.length > 0 ? complaints : undefined
  })
}

const NO_ARRAY = mistyped('an array')
function tooMany(most: number): Complaint {
  return { code: 'too_many', message: `must contain no more than ${most} elements`, limit: most }
}
const REPEATED = notAllowed('must not repeat an earlier value')

/** What a check says of a part, as what is wrong with the whole. */
function partsOf(complaint: ReturnType<Check>, at: string): PartComplaint[] {
  if (complaint === undefined) return []
  if (Array.isArray(complaint)) return complaint.map((part) => ({ ...part, at: `${at}.${part.at}` }))
  return [{ ...complaint, at }]
}

/** An email, whose domain may be internationalized (RFC 6531), unlike what stands before it. */
export const email = () =>
  checked<string>(
    { type: 'string', format: 'idn-email', maxLength: EMAIL_MAX, examples: ['ana@example.org'] },
    (value) => (typeof value === 'string' ? emailComplaint(value) : NO_STRING),
  )

const TRIMMED = Symbol('trimmed')

/**
 * The same field, without the blanks around it: of names that people type, and whose keyboards put one behind. They are
 * taken away where a body is read, before anything looks at it.
 */
export function trimmed<T extends TSchema>(schema: T): T {
  return { ...schema, [TRIMMED]: true }
}

/** The fields of an object that are trimmed. */
export function trimmedFields({ properties = {} }: TSchema): string[] {
  return Object.entries(properties as Record<string, object>).flatMap(([name, field]) => (TRIMMED in field ? name : []))
}

/** Takes the blanks around the values of `fields` away. */
export function trim(value: object, fields: readonly string[]): void {
  const sent = value as Record<string, unknown>
  for (const name of fields) {
    const field = sent[name]
    if (typeof field === 'string') sent[name] = withoutBlanks(field)
  }
}

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
    if (time >= EARLIEST && time <= LATEST) return undefined
    return { code: typeof value === 'string' ? 'format' : 'type', message: 'must be an RFC 3339 time' }
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
  const check = withinBounds(least, most)
  return checked<string>({ type: 'integer', minimum: least, maximum: most }, (value) =>
    check(typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : Number.NaN),
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
