import type { FieldError } from '../../services/kit/field-errors.ts'
import type { ProblemBody } from '../../services/kit/problem.ts'

/** Maximum size of a typed response in bytes, ample for a page of 200 items. */
const SIZE_MAX = 64 * 1024 * 1024

/** Whether a body has the form of our responses: an object, whose `items`, if any, are an array. */
export function isRecord(body: unknown): body is Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return false
  return !('items' in body) || Array.isArray(body.items)
}

/** Whether a body can be a problem: its fields are strings or missing, as a proxy may leave them out. */
export function isProblem(body: unknown): body is Partial<ProblemBody> {
  if (!isRecord(body)) return false
  const { code = '', message = '', requestId = '' } = body
  return [code, requestId, ...[message].flat()].every((text) => typeof text === 'string')
}

/** The problem that a response reports, without using up its body; undefined for any other response. */
export async function problemIn(
  answer: Response,
): Promise<(Partial<ProblemBody> & Record<string, unknown>) | undefined> {
  if (answer.ok) return undefined
  const body: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined)
  return isProblem(body) && isRecord(body) ? body : undefined
}

/** Whether a code was refused, so that another one may be right. */
export async function isWrongCode(answer: Response): Promise<boolean> {
  return answer.status === 401 && (await problemIn(answer))?.code === 'invalid_code'
}

/** The field errors in a problem that have our form. */
export function errorsIn({ errors }: Partial<ProblemBody>): FieldError[] | undefined {
  const fieldErrors = (Array.isArray(errors) ? errors : []).filter(
    (error: unknown) =>
      isRecord(error) && [error.field, error.code, error.message].every((text) => typeof text === 'string'),
  )
  return fieldErrors.length > 0 ? fieldErrors : undefined
}

/** Limits the size of a response: a larger one ends in an error instead of filling the memory. */
export function bounded(answer: Response): Response {
  const { body, headers, status, statusText } = answer
  // The length of a compressed response says nothing about its decompressed size.
  const length = headers.has('content-encoding') ? Number.NaN : Number(headers.get('content-length') ?? Number.NaN)
  if (body === null || length <= SIZE_MAX) return answer
  let received = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      received += chunk.byteLength
      if (received > SIZE_MAX) controller.error(new Error('The response is too large'))
      else controller.enqueue(chunk)
    },
  })
  return new Response(body.pipeThrough(counted), { headers, status, statusText })
}
