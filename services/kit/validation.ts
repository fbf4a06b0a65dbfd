import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import type { ValidationError } from 'elysia'
import { Fault } from './log.ts'
import { fieldName, invalid, Problem } from './problem.ts'
import { isChecked } from './schema.ts'

const MESSAGES_MAX = 20

/**
 * Turns the framework's error into ours. Its own text is never used: it repeats what was submitted, passwords
 * included.
 */
export function validationProblem(error: ValidationError): Problem {
  // An answer that is not of its schema is our fault, not the caller's. The cause names fields, never values.
  if (error.type === 'response') {
    const fields = [...describe(error)].join('; ')
    return new Problem('internal_error', { cause: new Fault(`An answer is not of its schema: ${fields}`) })
  }
  const said = [...describe(error)].slice(0, MESSAGES_MAX)
  return new Problem('validation_failed', { message: said.length > 0 ? said : [`${error.type} is not valid`] })
}

/**
 * Holds values to a schema outside of a route, with the messages that a route gives.
 * @returns a function that gives the value back as one of the schema's, or throws Problem `validation_failed`
 */
export function validator<T extends TSchema>(schema: T): (value: unknown) => Static<T> {
  let known: TypeCheck<T> | undefined
  return (value) => {
    // Not at the start, which would wait for it.
    known ??= TypeCompiler.Compile(schema)
    const compiled = known
    if (compiled.Check(value)) return value
    throw invalid(...[...messages(compiled.Errors(value), 'body')].slice(0, MESSAGES_MAX))
  }
}

function describe(error: ValidationError): Iterable<string> {
  const validator = error.validator as unknown as { Errors(value: unknown): Iterable<ValueError> }
  return messages(validator.Errors(error.value), error.type)
}

/** One message a field, each naming its field first. */
function* messages(faults: Iterable<ValueError>, where: string): Generator<string> {
  const told = new Set<string>()
  for (const fault of faults) {
    if (told.has(fault.path)) continue
    told.add(fault.path)
    yield `${fieldAt(fault.path, where)} ${complaint(fault)}`
  }
}

function fieldAt(path: string, where: string): string {
  const name = path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
  return name === '' ? where : fieldName(name)
}

/** A field of a body where no body is declared. */
export function unknownField(name: string): Problem {
  return invalid(`${fieldName(name)} should not exist`)
}

function complaint(fault: ValueError): string {
  if (fault.type === ValueErrorType.ObjectRequiredProperty) return 'is required'
  if (fault.type === ValueErrorType.ObjectAdditionalProperties) return 'should not exist'
  if (fault.type === ValueErrorType.Object) return 'must be an object'
  if (isChecked(fault.schema)) return fault.schema.check(fault.value) ?? 'is not valid'
  return 'is not valid'
}
