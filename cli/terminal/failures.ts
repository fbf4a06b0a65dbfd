import { EXIT, Failure } from '../exit.ts'
import { jsonOf } from './cells.ts'
import { fieldLines } from './field-lines.ts'
import { fileErrorMessage } from './file-errors.ts'
import type { Output } from './formats.ts'
import { note, plain, write } from './terminal.ts'

/** The fields of a failure in JSON output. */
export function failureFields(failure: Failure) {
  const { code = 'failed', errors, requestId, retryable = false, suggestion } = failure.details
  return { code, message: failure.message, errors, suggestion, request_id: requestId, retryable }
}

/** Prints a failure, as text on standard error or as JSON on standard output. Gives the exit status. */
export function printFailure(error: unknown, output: Output): number {
  const failure = asFailure(error)
  const { code, errors = [], message, request_id, suggestion } = failureFields(failure)
  if (output === 'json' || output === 'jsonl') {
    void write(jsonOf({ ok: false, error: failureFields(failure) }))
  } else {
    const request = request_id === undefined ? '' : `, request ${plain(request_id)}`
    // The message already contains a single field error; several are listed below it.
    const isList = errors.length > 1
    const heading = isList && code === 'validation_failed' ? 'The request is not valid' : message
    note(`✗ ${heading.split('\n').map(plain).join('\n')} (${plain(code)}${request})`)
    if (isList) note(fieldLines(errors, process.stderr.columns).join('\n'))
    if (suggestion !== undefined) note(`→ ${plain(suggestion)}`)
  }
  return failure.exit
}

/** Turns any error into a failure. Errors of settings, databases and ports have messages for operators already. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(EXIT.failed, fileErrorMessage(error) ?? (error instanceof Error ? error.message : String(error)))
}
