import type { FieldError } from '../../services/kit/field-errors.ts'
import type { ProblemBody } from '../../services/kit/problem.ts'

/** Bytes that a typed answer may have: a page has 200 items. */
const MOST = 64 * 1024 * 1024

/** Whether a body can be what a service of ours answers: a record, whose items, where it has any, are a list. */
export function isRecord(body: unknown): body is Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return false
  return !('items' in body) || Array.isArray(body.items)
}

/** Whether what a body says of a problem is text. What is missing is a proxy's problem, say, and no problem. */
export function isProblem(body: unknown): body is Partial<ProblemBody> {
  if (!isRecord(body)) return false
  const { code = '', message = '', requestId = '' } = body
  return [code, requestId, ...[message].flat()].every((text) => typeof text === 'string')
}

/** What a problem says field by field, as far as it is what ours says. */
export function errorsIn({ errors }: Partial<ProblemBody>): FieldError[] | undefined {
  const fieldErrors = (Array.isArray(errors) ? errors : []).filter(
    (error: unknown) =>
      isRecord(error) && [error.field, error.code, error.message].every((text) => typeof text === 'string'),
  )
  return fieldErrors.length > 0 ? fieldErrors : undefined
}

/** An answer that ends in an error where it grows beyond what any of ours is, in place of filling the memory. */
export function bounded(answer: Response): Response {
  const { body, headers, status, statusText } = answer
  // What is compressed says how long it is only then.
  const length = headers.has('content-encoding') ? Number.NaN : Number(headers.get('content-length') ?? Number.NaN)
  if (body === null || length <= MOST) return answer
  let read = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      read += chunk.byteLength
      if (read > MOST) controller.error(new Error('The answer is too large'))
      else controller.enqueue(chunk)
    },
  })
  return new Response(body.pipeThrough(counted), { headers, status, statusText })
}
