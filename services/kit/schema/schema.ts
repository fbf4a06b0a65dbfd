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

/** Checks a value. @returns its error, or the errors of its parts; undefined when it is valid */
export type Check = (value: unknown) => Complaint | PartComplaint[] | undefined

/** The error of a part of a value. */
export interface PartComplaint extends Complaint {
  /** The path of the part within the value. */
  at: string
}

export interface CheckedSchema extends TSchema {
  check: Check
}

const CHECKED = 'Ch202Checked'

TypeRegistry.Set<CheckedSchema>(CHECKED, (schema, value) => schema.check(value) === undefined)

/**
 * A field with a check function, so that a rule and its message are in one place.
 * @param documentation the JSON Schema that the documentation shows
 */
export function checked<T>(documentation: Record<string, unknown>, check: Check): TUnsafe<T> & CheckedSchema {
  return { ...documentation, [Kind]: CHECKED, check } as unknown as TUnsafe<T> & CheckedSchema
}

export function isChecked(schema: TSchema): schema is CheckedSchema {
  return schema[Kind] === CHECKED
}

/** An object that refuses unknown fields: a 400 in a request, a 500 in a response. */
export function strict<T extends TProperties>(properties: T, options: Record<string, unknown> = {}) {
  return t.Object(properties, { ...options, additionalProperties: false })
}

/** An object that ignores unknown fields: only for routes whose standard requires it (RFC 6749, 3.2). */
export function open<T extends TProperties>(properties: T, options: Record<string, unknown> = {}) {
  return t.Object(properties, { ...options, additionalProperties: true })
}

/** Documents that exactly one of these fields is required. The route's function enforces it, with a better message. */
export function oneFieldOf(...names: string[]) {
  return { oneOf: names.map((name) => ({ required: [name] })) }
}

/** Documents that at most one of these fields is allowed. See `oneFieldOf`. */
export function oneFieldAtMost(...names: string[]) {
  const { oneOf } = oneFieldOf(...names)
  return { oneOf: [...oneOf, { not: { anyOf: oneOf } }] }
}

const NO_STRING = mistyped('a string')

/** A field that may also be null. */
export function nullable<T>(schema: TUnsafe<T> & CheckedSchema): TUnsafe<T | null> & CheckedSchema {
  const { check, enum: values, type, ...documentation } = schema
  const choices = Array.isArray(values) ? { enum: [...values, null] } : {}
  return checked<T | null>({ ...documentation, type: [type, 'null'], ...choices }, (value) =>
    value === null ? undefined : check(value),
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it matches control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
/** The patterns for the documentation. */
const NO_CONTROL = CONTROL.source.replace('[', '[^')
const WITHOUT_CONTROLS = `^${NO_CONTROL}*$`
const NOT_BLANK = `^${NO_CONTROL}*${NO_CONTROL.replace(']', '\\s]')}${NO_CONTROL}*$`

interface TextRule {
  least?: number
  most: number
  /** Whether control characters such as line breaks are allowed: for secrets and prose. */
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

/** A string that matches a pattern. */
export function matching(pattern: RegExp, message: string, documentation: Record<string, unknown> = {}) {
  const code: FieldCode = 'format' in documentation ? 'format' : 'pattern'
  return checked<string>({ type: 'string', pattern: pattern.source, ...documentation }, (value) => {
    if (typeof value !== 'string') return NO_STRING
    return pattern.test(value) ? undefined : { code, message }
  })
}

/** One of several strings. */
export function oneOf<const T extends string>(...values: T[]) {
  const message = `must be one of the following values: ${values.join(', ')}`
  return checked<T>({ type: 'string', enum: values }, (value) => {
    if (values.includes(value as T)) return undefined
    return typeof value === 'string' ? notAllowed(message) : { code: 'type', message }
  })
}

const NO_BOOLEAN = mistyped('a boolean')
/** A boolean in a body. */
export const flag = () =>
  checked<boolean>({ type: 'boolean' }, (value) => (typeof value === 'boolean' ? undefined : NO_BOOLEAN))

const NO_OBJECT = mistyped('an object')
/** An object with any fields. */
export const object = () =>
  checked<Record<string, unknown>>({ type: 'object' }, (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : NO_OBJECT,
  )

/** An integer in a body. */
export function bodyInteger(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  const check = withinBounds(least, most)
  return checked<number>({ type: 'integer', minimum: least, maximum: most }, (value) =>
    check(Number.isSafeInteger(value) ? (value as number) : Number.NaN),
  )
}

/** Checks a number; NaN stands for a value that is not a number. */
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

/** A list of at most `most` different strings, each checked by `item`. */
export function listOf<T extends string>(item: TUnsafe<T> & CheckedSchema, most: number) {
  const { check, ...documentation } = item
  return checked<T[]>({ type: 'array', items: documentation, maxItems: most, uniqueItems: true }, (value) => {
    if (!Array.isArray(value)) return NO_ARRAY
    const complaints = value.length > most ? [{ at: '', ...tooMany(most) }] : []
    const earlier = new Set<unknown>()
    for (const [index, element] of value.entries()) {
      // A response lists no more errors.
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

/** The errors of a part, as errors of the whole. */
function partsOf(complaint: ReturnType<Check>, at: string): PartComplaint[] {
  if (complaint === undefined) return []
  if (Array.isArray(complaint)) return complaint.map((part) => ({ ...part, at: `${at}.${part.at}` }))
  return [{ ...complaint, at }]
}

/** An email. Its domain may be internationalized (RFC 6531), its local part may not. */
export const email = () =>
  checked<string>(
    { type: 'string', format: 'idn-email', maxLength: EMAIL_MAX, examples: ['ana@example.org'] },
    (value) => (typeof value === 'string' ? emailComplaint(value) : NO_STRING),
  )

const TRIMMED = Symbol('trimmed')

/**
 * A field whose surrounding blanks are removed: for names that people type, and whose keyboards append a blank. Blanks
 * are removed when a body is read, before any check.
 */
export function trimmed<T extends TSchema>(schema: T): T {
  return { ...schema, [TRIMMED]: true }
}

/** A name that someone types: trimmed, and at least one character is left. */
export function typedName(rule: Omit<TextRule, 'least' | 'controls'>): ReturnType<typeof text> {
  return trimmed({ ...text({ ...rule, least: 1 }), pattern: NOT_BLANK })
}

/** The fields of an object that are trimmed. */
export function trimmedFields({ properties = {} }: TSchema): string[] {
  return Object.entries(properties as Record<string, object>).flatMap(([name, field]) => (TRIMMED in field ? name : []))
}

/** Removes the blanks around the values of `fields`, in place. */
export function trim(value: object, fields: readonly string[]): void {
  const record = value as Record<string, unknown>
  for (const name of fields) {
    const field = record[name]
    if (typeof field === 'string') record[name] = withoutBlanks(field)
  }
}

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/
export const uuid = () => matching(UUID, 'must be a UUID', { format: 'uuid' })

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3])(:\d\d){2}(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
/** Milliseconds since the epoch. RFC 3339 has years of four digits. */
const EARLIEST = Date.parse('0000-01-01T00:00:00.000Z')
export const LATEST = Date.parse('9999-12-31T23:59:59.999Z')
/** A time in a request (RFC 3339) that can be written in UTC too. */
export const moment = () =>
  checked<string>({ type: 'string', format: 'date-time', examples: ['2026-11-20T10:00:00.000Z'] }, (value) => {
    const time = typeof value === 'string' ? timeOf(value) : Number.NaN
    if (time >= EARLIEST && time <= LATEST) return undefined
    return { code: typeof value === 'string' ? 'format' : 'type', message: 'must be an RFC 3339 time' }
  })

/** Parses a time. Date.parse alone would read 30 February as 2 March. @returns NaN when it is not valid */
function timeOf(text: string): number {
  const [, year, month, day] = MOMENT.exec(text)?.map(Number) ?? []
  if (year === undefined || month === undefined || day === undefined) return Number.NaN
  const lastDay = new Date(0).setUTCFullYear(year, month, 0)
  return day <= new Date(lastDay).getUTCDate() ? Date.parse(text) : Number.NaN
}

/** An integer in a query, as text. */
export function queryInteger(least: number, most: number) {
  const check = withinBounds(least, most)
  return checked<string>({ type: 'integer', minimum: least, maximum: most }, (value) =>
    check(typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : Number.NaN),
  )
}

/** `true` or `false` in a query. */
export const queryFlag = () => oneOf('true', 'false')

/** Numbers in responses. The framework's own schemas (`t.Integer`) would accept text too, and document that. */
export const integer = () => Type.Integer()
export const number = () => Type.Number()

// The format of `timestamp`. The framework's check would accept any date that JavaScript can parse, and parse it each time.
FormatRegistry.Set('date-time', (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value))

/** A time in a response (RFC 3339), as `timestamp` writes it. */
export const time = () => t.String({ format: 'date-time', examples: ['2026-11-20T10:00:00.000Z'] })

/** The number of Unicode characters, not UTF-16 units. Stops counting far beyond `limit`. */
function lengthOf(value: string, limit: number): number {
  if (value.length > limit * 2) return value.length
  let length = 0
  for (const _ of value) length++
  return length
}
