import type { FieldError } from '../services/kit/field-errors.ts'
import { withoutUndefined } from './without-undefined.ts'

/** The tool's exit statuses, the same for all commands. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notLoggedIn: 4,
  forbidden: 5,
  conflict: 6,
  tryAgain: 7,
  partly: 8,
  checkFailed: 10,
  interrupted: 130,
} as const

interface FailureDetails {
  code?: string
  /** The command that fixes the failure. */
  suggestion?: string
  requestId?: string
  retryable?: boolean
  /** Validation errors by field. */
  errors?: FieldError[]
}

/** A failure that is shown to the user: what happened, why, and the command that fixes it. */
export class Failure extends Error {
  override name = 'Failure'
  constructor(
    readonly exit: number,
    message: string,
    readonly details: FailureDetails = {},
  ) {
    super(message)
  }
}

/** Creates a failure for a command that was used wrongly. */
export function usage(message: string, suggestion?: string): Failure {
  return new Failure(EXIT.usage, message, { code: 'usage', ...withoutUndefined({ suggestion }) })
}

/** The exit status for an HTTP status of the API. */
export function exitOf(status: number): number {
  if (status === 404) return EXIT.notFound
  if (status === 401) return EXIT.notLoggedIn
  if (status === 403) return EXIT.forbidden
  if (status === 409) return EXIT.conflict
  if (status === 429 || status >= 500) return EXIT.tryAgain
  return EXIT.failed
}
