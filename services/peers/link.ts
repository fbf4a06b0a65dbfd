import { treaty } from '@elysiajs/eden'
import type { Service } from '../kit/http/runtime.ts'
import { InternalError } from '../kit/log.ts'
import { isProblemCode, Problem, type ProblemBody, type ProblemCode } from '../kit/problem.ts'

/** How to reach another service: over HTTP, or within this process. */
export interface Link {
  /** The base address of the service. */
  url: string
  /** The internal key to send. */
  key: string
  fetch: (request: Request) => Promise<Response> | Response
}

/** In milliseconds: longer than a password hash at the end of a full queue takes. */
const CALL_TIMEOUT = 15_000
/** In milliseconds, for calls that a waiting request depends on. */
export const SHORT_TIMEOUT = 1000

/** How many bytes of a body of 64 KiB its list may take. */
const BATCH_BYTES = 63 * 1024

export interface Answer<T> {
  data: T | null
  error: { value: unknown } | null
  status: number
}

/** The typed client of a service. @param timeout of each call, in milliseconds */
export function clientOf<Api extends Service['app']>({ fetch, key, url }: Link, timeout = CALL_TIMEOUT) {
  return treaty<Api>(`${url}/api/v1`, {
    headers: { 'x-api-key': key },
    // Keeps times as the text that they are in the API.
    parseDate: false,
    fetcher: ((target: string, init?: RequestInit) =>
      fetch(
        new Request(target, { ...init, redirect: 'error', signal: AbortSignal.timeout(timeout) }),
      )) as typeof globalThis.fetch,
  })
}

/** Options that make a call part of a request: one id finds all its log lines and audit rows, in every service. */
export function withRequestId(requestId: string | null) {
  return { headers: requestId === null ? {} : { 'x-request-id': requestId } }
}

/** Splits a list into batches that each fit into a body. */
export function batchesOf<T>(items: readonly T[]): T[][] {
  const batches: T[][] = []
  let bytesLeft = 0
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1
    if (size > bytesLeft) {
      batches.push([])
      bytesLeft = BATCH_BYTES
    }
    batches.at(-1)?.push(item)
    bytesLeft -= size
  }
  return batches
}

/**
 * Waits for the answer of another service, and passes its problem on.
 * @throws Problem with the code of the other service; `unavailable` when the service can't be reached, fails, or
 * rejects the internal key
 */
export async function answerOf<T>(call: Promise<Answer<T>>, unavailable: ProblemCode): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await call
  } catch (cause) {
    throw new Problem(unavailable, { cause })
  }
  if (answer.error === null) return answer.data as T
  const body = answer.error.value as Partial<ProblemBody> | null
  const code = body?.code
  if (answer.status >= 500 && code !== 'overloaded') throw new Problem(unavailable)
  if (answer.status === 401 || code === undefined || !isProblemCode(code) || isWrongAddress(code))
    throw new Problem(unavailable, {
      cause: new InternalError(
        `The address is not a Ch202 service, or it rejected the internal key: status ${answer.status}`,
      ),
    })
  const { errors, message } = body ?? {}
  throw new Problem(code, {
    ...(message === undefined ? {} : { message }),
    ...(errors === undefined ? {} : { errors }),
  })
}

/** The services ask each other only for what exists and is allowed: these codes come from a wrong address or key. */
function isWrongAddress(code: ProblemCode): boolean {
  return code === 'forbidden' || code === 'not_found'
}

/** Waits for the acknowledgement of a notice. A refusal keeps its code, so the outbox can tell it from an outage. */
export async function acknowledged(call: Promise<Answer<unknown>>): Promise<void> {
  await answerOf(call, 'auth_unavailable')
}

/** Turns `user_not_found` into null. Any other 404 is a wrong address, and stays an error. */
export async function userOrNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Problem && error.code === 'user_not_found') return null
    throw error
  }
}
