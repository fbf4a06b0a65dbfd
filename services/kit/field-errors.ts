/** The codes of field errors, for forms and programs with their own texts. */
export const FIELD_CODES = [
  'required',
  'unknown',
  'type',
  'format',
  'pattern',
  'too_short',
  'too_long',
  'too_small',
  'too_large',
  'too_many',
  'not_allowed',
  'weak',
  'taken',
] as const
export type FieldCode = (typeof FIELD_CODES)[number]

/** The error of a value, without the field's name. */
export interface Complaint {
  code: FieldCode
  /** Follows the name of the field: "must be a string". */
  message: string
  /** The limit that the value exceeds. */
  limit?: number
}

/** The error of a field of a request, as a response lists it. */
export interface FieldError extends Complaint {
  /** The path of the field: `email`, `roles.0`. */
  field: string
}

/** The maximum of errors in one response: more than any form needs, fewer than a body of 64 KiB could cause. */
export const ERRORS_MAX = 100

export const REQUIRED: Complaint = { code: 'required', message: 'is required' }
export const UNKNOWN: Complaint = { code: 'unknown', message: 'should not exist' }

/** The error of a value of the wrong type. @param type with its article: `a string` */
export function mistyped(type: string): Complaint {
  return { code: 'type', message: `must be ${type}` }
}

/** The error of a well-formed value that is not allowed. */
export function notAllowed(message: string): Complaint {
  return { code: 'not_allowed', message }
}

/** @param least the minimum length in characters */
export function tooShort(least: number): Complaint {
  return { code: 'too_short', message: `must be longer than or equal to ${least} characters`, limit: least }
}

/** @param most the maximum length in characters */
export function tooLong(most: number): Complaint {
  return { code: 'too_long', message: `must be shorter than or equal to ${most} characters`, limit: most }
}

/**
 * The error of a field. The field's name may come from the request.
 * @param path its parts joined by dots: `roles.0`
 */
export function errorOf(path: string, { code, limit, message }: Complaint): FieldError {
  return { field: fieldName(path), code, message, ...(limit === undefined ? {} : { limit }) }
}

/** The first error of each field, at most `ERRORS_MAX` in all. */
export function firstOfEach(errors: Iterable<FieldError>): FieldError[] {
  const byField = new Map<string, FieldError>()
  for (const error of errors) {
    if (!byField.has(error.field)) byField.set(error.field, error)
    if (byField.size === ERRORS_MAX) break
  }
  return [...byField.values()]
}

/**
 * The name of a field, for a message. Text that is not a name is not repeated, because it may hold a secret: for example
 * when a body of another format is parsed as one long name.
 */
function fieldName(name: string): string {
  return /^[\w.$-]{1,100}$/.test(name) ? name : 'an invalid field name'
}

/** The error of a field that excludes another one. */
export function excludedBy(other: string): Complaint {
  return notAllowed(`should not exist beside ${other}`)
}

/**
 * The errors of an object that does not have exactly one of several fields.
 * @param names if all of them are missing, the error is that of the first
 * @param missing the error when all of them are missing
 */
export function exactlyOne(
  value: object,
  names: readonly [string, ...string[]],
  missing: Complaint = REQUIRED,
): FieldError[] {
  const [first, ...others] = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined)
  if (first === undefined) return [errorOf(names[0], missing)]
  return others.map((name) => errorOf(name, excludedBy(first)))
}
