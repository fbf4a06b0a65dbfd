/** What can be wrong with a field: for forms, and for programs that have their own texts. */
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

/** What is wrong with a value. */
export interface Complaint {
  code: FieldCode
  /** Stands behind the name of the field: "must be a string". */
  message: string
  /** The bound that the value passes. */
  limit?: number
}

/** The same of a field of a request, as an answer lists it. */
export interface FieldError extends Complaint {
  /** The path of the field: `email`, `roles.0`. */
  field: string
}

/** How many errors one answer lists: more than any form has, fewer than a body of 64 KiB can make. */
export const ERRORS_MAX = 100

export const REQUIRED: Complaint = { code: 'required', message: 'is required' }
export const UNKNOWN: Complaint = { code: 'unknown', message: 'should not exist' }

/** A complaint that the value is of another type. */
export function mistyped(what: string): Complaint {
  return { code: 'type', message: `must be ${what}` }
}

/** A complaint about a value of the right form that is none of those allowed. */
export function notAllowed(message: string): Complaint {
  return { code: 'not_allowed', message }
}

/** In characters. */
export function tooShort(least: number): Complaint {
  return { code: 'too_short', message: `must be longer than or equal to ${least} characters`, limit: least }
}

/** In characters. */
export function tooLong(most: number): Complaint {
  return { code: 'too_long', message: `must be shorter than or equal to ${most} characters`, limit: most }
}

/**
 * An error of a field whose name may come from the request.
 * @param path dots between its parts
 */
export function errorOf(path: string, { code, limit, message }: Complaint): FieldError {
  return { field: fieldName(path), code, message, ...(limit === undefined ? {} : { limit }) }
}

/** The first error of each field, at most `ERRORS_MAX`. */
export function firstOfEach(errors: Iterable<FieldError>): FieldError[] {
  const byField = new Map<string, FieldError>()
  for (const error of errors) {
    if (!byField.has(error.field)) byField.set(error.field, error)
    if (byField.size === ERRORS_MAX) break
  }
  return [...byField.values()]
}

/**
 * A field's name, for a message. It comes from the request: what is no name, such as a body of another content type
 * that is taken for one, may hold a secret and is not repeated.
 */
function fieldName(name: string): string {
  return /^[\w.$-]{1,100}$/.test(name) ? name : 'a field of an odd name'
}

/** A complaint about a field that contradicts another. */
export function beside(other: string): Complaint {
  return notAllowed(`should not exist beside ${other}`)
}

/**
 * What is wrong if not exactly one of several fields is there.
 * @param names the first is the one that is named if all are missing
 * @param missing what is said of it then
 */
export function exactlyOne(
  sent: object,
  names: readonly [string, ...string[]],
  missing: Complaint = REQUIRED,
): FieldError[] {
  const [first, ...others] = names.filter((name) => (sent as Record<string, unknown>)[name] !== undefined)
  if (first === undefined) return [errorOf(names[0], missing)]
  return others.map((name) => errorOf(name, beside(first)))
}
