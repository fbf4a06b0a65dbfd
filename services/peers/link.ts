import { treaty } from '@elysiajs/eden'
import type { Service } from '../kit/http/runtime.ts'
import { InternalError } from '../kit/log.ts'
import { isProblemCode, Problem, type ProblemBody, type ProblemCode } from '../kit/problem.ts'

/** The way to another service: over HTTP, or in memory within this process. */
export interface Link {
  /** The base address of the service. */
  url: string
  /** The internal key to send. */
  key: string
  fetch: (request: Request) => Promise<Response> | Response
}

/** Milliseconds: longer than a password hash at the end of a full queue takes. */
const CALL_TIMEOUT = 15_000
/** Milliseconds, for calls that a waiting request depends on. */
export const SHORT_TIMEOUT = 1000

/** Bytes of a batch: a body has 64 KiB, and needs a few for the field around the batch. */
const BATCH_BYTES = 63 * 1024

/** An answer, as the client of Eden returns it. */
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

/** Options that pass on the id of a request, so that one id finds its log lines and audit rows in every service. */
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
 * @param unavailable the code for a service that cannot be reached, fails, or rejects the internal key
 * @throws Problem with the code of the other service, or with `unavailable`; `database_unavailable` when its database fails
 */
export async function answerOf<T>(call: Promise<Answer<T>>, unavailable: ProblemCode): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await call
  } catch (cause) {
    throw new Problem(unavailable, { cause })
  }
  if (answer.error === null) return answer.data as T
  const body = answer.error.value as Partial<ProblemBody> | Error | null
  // Eden answers with the error of `fetch` when the service cannot be reached.
  if (body instanceof Error) throw new Problem(unavailable, { cause: body })
  const code = body?.code
  // Services share the PostgreSQL database: the caller learns that this one fails, whichever service noticed it.
  if (code === 'database_unavailable') throw new Problem(code, { retryAfter: 1 })
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

/** Whether a code comes from a wrong address or key: the services call only paths that exist and are allowed. */
function isWrongAddress(code: ProblemCode): boolean {
  return code === 'forbidden' || code === 'not_found'
}

/**
 * Waits for the acknowledgement of a notice. A refusal keeps its code: the outbox distinguishes it from an outage.
 * @throws as `answerOf`
 */
export async function acknowledged(call: Promise<Answer<unknown>>, unavailable: ProblemCode): Promise<void> {
  await answerOf(call, unavailable)
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
