import { DatabaseUnavailable } from '../database-unavailable.ts'
import { InternalError } from '../log.ts'
import { Problem } from '../problem.ts'

/**
 * Turns a thrown value into a Problem, so that every failure has a code from the dictionary. The framework's own texts
 * are never used.
 * @param code the framework's code for the error
 * @param allowedMethods the methods that the path answers to
 */
export function problemOf(error: unknown, code: unknown, allowedMethods: () => string[]): Problem {
  if (error instanceof Problem) return error
  if (code === 'NOT_FOUND') {
    const methods = allowedMethods()
    if (methods.length > 0) return new Problem('method_not_allowed', { allow: methods.join(', ') })
    return new Problem('not_found')
  }
  // The error is not the cause: its text quotes the request.
  if (code === 'VALIDATION')
    return new Problem('internal_error', { cause: new InternalError('Validated before the guard') })
  if (code === 'PARSE') return new Problem('malformed_json')
  if (error instanceof DatabaseUnavailable) return new Problem('database_unavailable', { cause: error, retryAfter: 1 })
  return new Problem('internal_error', {
    cause: error instanceof Error ? error : new InternalError('A thrown value is not an Error'),
  })
}
