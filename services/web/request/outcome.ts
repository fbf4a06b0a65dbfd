import type { FieldError } from '../../kit/field-errors.ts'

/** A problem that the API answered with, or that stood in for its answer. */
export interface ApiProblem {
  status: number
  code: string
  errors: readonly FieldError[]
  /** Further fields of the answer, such as `challenge_id`. */
  details: Readonly<Record<string, unknown>>
  /** Seconds. */
  retryAfter: number | undefined
  requestId: string | undefined
}

/** The end of a call of the API. */
export type Outcome<T> = { ok: true; data: T } | { ok: false; problem: ApiProblem }

/** An answer, as the client of Eden returns it. */
export interface Answer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
  headers?: unknown
}

/** An answer that a page has no words for. The page of the error shows the request id. */
export class UnexpectedProblem extends Error {
  constructor(readonly problem: ApiProblem) {
    super(`The API answered with ${problem.code}`)
    this.name = 'UnexpectedProblem'
  }
}

/** Waits for an answer of the API. Never throws: a service that cannot be reached is a problem too. */
export async function outcomeOf<T>(call: Promise<Answer<T>>): Promise<Outcome<T>> {
  let answer: Answer<T>
  try {
    answer = await call
  } catch {
    return { ok: false, problem: unreachable() }
  }
  if (answer.error === null) return { ok: true, data: answer.data as T }
  const value = answer.error.value
  if (typeof value !== 'object' || value === null || value instanceof Error || !('code' in value))
    return { ok: false, problem: unreachable() }
  const { code, error, errors, message, requestId, statusCode, ...details } = value as Record<string, unknown>
  const retryAfter = Number(new Headers(answer.headers as HeadersInit | undefined).get('retry-after') ?? Number.NaN)
  return {
    ok: false,
    problem: {
      status: answer.status,
      code: String(code),
      errors: Array.isArray(errors) ? (errors as FieldError[]) : [],
      details,
      retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
      requestId: typeof requestId === 'string' ? requestId : undefined,
    },
  }
}

/** The data of an answer. @throws UnexpectedProblem */
export function expected<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new UnexpectedProblem(outcome.problem)
  return outcome.data
}

function unreachable(): ApiProblem {
  return { status: 503, code: 'unreachable', errors: [], details: {}, retryAfter: undefined, requestId: undefined }
}
