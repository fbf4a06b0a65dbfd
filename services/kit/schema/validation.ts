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
 * Checks a body (or the query of a route without a body) beyond the schema: combinations of fields, and rules that depend
 * on settings. It also runs on input that the schema refuses, so that one response has all errors. For input that the
 * schema accepts, the function behind the route makes the same checks.
 * @param input a value of any shape
 * @throws Problem that takes precedence over errors of fields: `forbidden_field`, `registration_closed`
 */
export type InputRule = (input: Record<string, unknown>, context: RuleContext) => FieldError[]

/** The parts of a request that a rule may decide by, besides its fields. */
export interface RuleContext {
  caller: Caller
  /** The parameters of the path. */
  params: Readonly<Record<string, string>>
  request: Request
}

/** The input that a route declares. */
export interface RouteInput {
  body?: TSchema | undefined
  /** The fields of the body that are trimmed. */
  trimmed: readonly string[]
  rule?: InputRule | undefined
}

/** Turns the framework's error into a problem. Its own text is never used: it quotes the input, including passwords. */
export function validationProblem(error: ValidationError, { rule }: RouteInput, context: RuleContext): Problem {
  const validator = error.validator as unknown as { Errors(value: unknown): Iterable<ValueError> }
  const errors = firstOfEach(fieldErrors(validator.Errors(error.value), error.type))
  // A response that does not match its schema is our fault, not the caller's. The cause names fields, never values.
  if (error.type === 'response') {
    const fields = errors.map(({ field, message }) => `${field} ${message}`).join('; ')
    return new Problem('internal_error', {
      cause: new InternalError(`A response does not match its schema: ${fields}`),
    })
  }
  if (errors.length === 0) errors.push(errorOf(error.type, NOT_VALID))
  const applicableRule = error.type === 'body' || error.type === 'query' ? rule : undefined
  return withRule(errors, error.value, applicableRule, context)
}

/**
 * Adds the errors of the schema and the rule to the problem of a body that was found while reading it. For a route
 * without a body, it adds those of the query.
 */
export function bodyProblem(
  problem: Problem,
  request: { body: unknown; query: unknown },
  input: RouteInput,
  context: RuleContext,
): Problem {
  // A body without fields has no errors of fields, but the rule may still forbid the request.
  if (!problem.errors || Object.keys(fieldsOf(request.body)).length === 0)
    return precedingProblem(input.rule, context) ?? problem
  if (!input.body) return withRule(problem.errors, request.query, input.rule, context)
  const more = firstOfEach(fieldErrors(Value.Errors(input.body, request.body), 'body'))
  // The error that a field is unknown replaces any error of its value.
  const unknown = more.filter(({ code }) => code === UNKNOWN.code)
  return withRule([...unknown, ...problem.errors, ...more], request.body, input.rule, context)
}

/** The problem with these errors and those of the rule, or the problem that the rule throws. */
function withRule(errors: FieldError[], input: unknown, rule: InputRule | undefined, context: RuleContext): Problem {
  try {
    return invalid([...errors, ...(rule?.(fieldsOf(input), context) ?? [])])
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
}

/** The problem that a rule throws for every input, such as `registration_closed`. */
function precedingProblem(rule: InputRule | undefined, context: RuleContext): Problem | undefined {
  const problem = withRule([], {}, rule, context)
  return problem.errors ? undefined : problem
}

function fieldsOf(input: unknown): Record<string, unknown> {
  return typeof input === 'object' && input !== null ? (input as Record<string, unknown>) : {}
}

/**
 * Creates a validator for values outside of a route, with the same errors as a route.
 * @param rule finds further errors of a value that the schema refuses
 * @returns a function that returns the value in the schema's type, or throws Problem `validation_failed`
 */
export function validator<T extends TSchema>(
  schema: T,
  rule: (value: Record<string, unknown>) => FieldError[] = () => [],
): (value: unknown) => Static<T> {
  const trimmed = trimmedFields(schema)
  let compiled: TypeCheck<T> | undefined
  return (value) => {
    trim(fieldsOf(value), trimmed)
    // Compiled at the first use, to keep the start fast.
    compiled ??= TypeCompiler.Compile(schema)
    if (compiled.Check(value)) return value
    throw invalid([...firstOfEach(fieldErrors(compiled.Errors(value), 'body')), ...rule(fieldsOf(value))])
  }
}

/** Every error of a value; a field may have several. @param wholeName the name in an error that is of no single field */
function* fieldErrors(faults: Iterable<ValueError>, wholeName: string): Generator<FieldError> {
  for (const fault of faults) {
    const path = pathOf(fault.path)
    for (const { at, ...complaint } of complaints(fault))
      yield errorOf([path, at].filter(Boolean).join('.') || wholeName, complaint)
  }
}

/** The path of a JSON pointer (RFC 6901). */
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

/** The problem of a body with fields on a route that takes no body. */
export function unknownFields(names: readonly string[]): Problem {
  return invalid(names.map((name) => errorOf(name, UNKNOWN)))
}
