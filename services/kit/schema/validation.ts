import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { Value } from '@sinclair/typebox/value'
import type { ValidationError } from 'elysia'
import type { Caller } from '../caller.ts'
import { type Complaint, errorOf, type FieldError, firstOfEach, mistyped, REQUIRED, UNKNOWN } from '../field-errors.ts'
import { InternalError } from '../log.ts'
import { invalid, Problem } from '../problem.ts'
import { type Check, isChecked, trim, trimmedFields } from './schema.ts'

/**
 * What a route refuses of its body (of its query, if it takes no body) beyond the schema: how fields go together, and
 * what depends on settings. It is asked about what the schema refuses too, so that one answer has all errors; of what
 * the schema allows the function behind the route says the same.
 * @param sent of whatever shape
 * @throws Problem that comes before all errors: `forbidden_field`, `registration_closed`
 */
export type Rule = (sent: Record<string, unknown>, by: Sender) => FieldError[]

/** Who sends it, and where to. */
export interface Sender {
  caller: Caller
  /** Of the path. */
  params: Readonly<Record<string, string>>
  request: Request
}

/** What a route says of what it takes. */
export interface RouteInput {
  body?: TSchema | undefined
  /** Fields of the body. */
  trimmed: readonly string[]
  rule?: Rule | undefined
}

/**
 * Turns the framework's error into ours. Its own text is never used: it repeats what was submitted, passwords
 * included.
 */
export function validationProblem(error: ValidationError, { rule }: RouteInput, by: Sender): Problem {
  const validator = error.validator as unknown as { Errors(value: unknown): Iterable<ValueError> }
  const errors = firstOfEach(fieldErrors(validator.Errors(error.value), error.type))
  // An answer that is not of its schema is our fault, not the caller's. The cause names fields, never values.
  if (error.type === 'response') {
    const fields = errors.map(({ field, message }) => `${field} ${message}`).join('; ')
    return new Problem('internal_error', { cause: new InternalError(`An answer is not of its schema: ${fields}`) })
  }
  if (errors.length === 0) errors.push(errorOf(error.type, NOT_VALID))
  const ruled = error.type === 'body' || error.type === 'query' ? rule : undefined
  return refusal(errors, error.value, ruled, by)
}

/** What is wrong with a body beside what could be seen when it was read, or with the query of a route that takes none. */
export function bodyProblem(
  problem: Problem,
  sent: { body: unknown; query: unknown },
  taken: RouteInput,
  by: Sender,
): Problem {
  // Without fields the whole of it is at fault, and may be forbidden all the same.
  if (!problem.errors || Object.keys(fieldsOf(sent.body)).length === 0) return forbidden(taken.rule, by) ?? problem
  if (!taken.body) return refusal(problem.errors, sent.query, taken.rule, by)
  const more = firstOfEach(fieldErrors(Value.Errors(taken.body, sent.body), 'body'))
  // Of a field that no one knows it does not matter what is in it.
  const unknown = more.filter(({ code }) => code === UNKNOWN.code)
  return refusal([...unknown, ...problem.errors, ...more], sent.body, taken.rule, by)
}

function refusal(errors: FieldError[], sent: unknown, rule: Rule | undefined, by: Sender): Problem {
  try {
    return invalid([...errors, ...(rule?.(fieldsOf(sent), by) ?? [])])
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

function forbidden(rule: Rule | undefined, by: Sender): Problem | undefined {
  const problem = refusal([], {}, rule, by)
  return problem.errors ? undefined : problem
}

function fieldsOf(sent: unknown): Record<string, unknown> {
  return typeof sent === 'object' && sent !== null ? (sent as Record<string, unknown>) : {}
}

/**
 * Holds values to a schema outside of a route, with the errors that a route gives.
 * @param rule what else is wrong with a value that the schema refuses
 * @returns a function that gives the value back as one of the schema's, or throws Problem `validation_failed`
 */
export function validator<T extends TSchema>(
  schema: T,
  rule: (value: Record<string, unknown>) => FieldError[] = () => [],
): (value: unknown) => Static<T> {
  const trimmed = trimmedFields(schema)
  let compiled: TypeCheck<T> | undefined
  return (value) => {
    trim(fieldsOf(value), trimmed)
    // Not at the start, which would wait for it.
    compiled ??= TypeCompiler.Compile(schema)
    if (compiled.Check(value)) return value
    throw invalid([...firstOfEach(fieldErrors(compiled.Errors(value), 'body')), ...rule(fieldsOf(value))])
  }
}

/** Every error; of one field there may be several. */
function* fieldErrors(faults: Iterable<ValueError>, where: string): Generator<FieldError> {
  for (const fault of faults) {
    const path = pathOf(fault.path)
    for (const { at, ...complaint } of complaints(fault))
      yield errorOf([path, at].filter(Boolean).join('.') || where, complaint)
  }
}

/** Of a JSON pointer (RFC 6901). */
function pathOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
}

const NOT_VALID: Complaint = { code: 'type', message: 'is not valid' }

function complaints(fault: ValueError): (Complaint & { at?: string })[] {
  if (fault.type === ValueErrorType.ObjectRequiredProperty) return [REQUIRED]
  if (fault.type === ValueErrorType.ObjectAdditionalProperties) return [UNKNOWN]
  if (fault.type === ValueErrorType.Object) return [mistyped('an object')]
  if (fault.type === ValueErrorType.Array) return [mistyped('an array')]
  const complaint: ReturnType<Check> = isChecked(fault.schema) ? fault.schema.check(fault.value) : NOT_VALID
  return [complaint ?? NOT_VALID].flat()
}

/** Fields of a body where no body is declared. */
export function unknownFields(names: readonly string[]): Problem {
  return invalid(names.map((name) => errorOf(name, UNKNOWN)))
}
