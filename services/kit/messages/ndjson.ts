import { InternalError, type Log } from '../log.ts'
import { invalid, Problem } from '../problem.ts'
import { type Body, decode, encodingProblem, mediaType, readBytes, readObject } from './body.ts'

/** Bytes of an NDJSON body. Bulk work is sent in many requests of this size. */
const LINES_MAX = 1024 * 1024

/** The media type of JSON objects, one per line. Its other name is accepted too. */
export const LINES_TYPE = 'application/x-ndjson'
const LINES_TYPES = [LINES_TYPE, 'application/jsonl']

/** A line of a body: its number, from 1, and its value or its problem. */
export type NumberedLine<T> = { line: number } & Checked<T>
type Checked<T> = { value: T } | { problem: Problem }

/**
 * Reads a body of JSON objects, one per line: at most 1 MiB (counted while it arrives), UTF-8, each object by the rules
 * of `readBody`. Blank lines are skipped but counted. Each line is parsed when the iteration reaches it, so that the
 * values of a body are never in memory all at once.
 * @param check returns the value of a line in its type, or throws a Problem
 * @throws Problem `body_too_large`, `unsupported_media_type`, `malformed_json`
 */
export async function readLines<T>(request: Request, check: (value: unknown) => T): Promise<Iterable<NumberedLine<T>>> {
  const bytes = await readBytes(request, LINES_MAX)
  if (bytes === null) throw new Problem('body_too_large', { message: 'The body is larger than 1 MiB' })
  if (bytes.byteLength === 0) return []
  const encoding = encodingProblem(request.headers)
  if (encoding) throw encoding
  if (!LINES_TYPES.includes(mediaType(request.headers.get('content-type'))))
    throw new Problem('unsupported_media_type', { message: `The content type must be ${LINES_TYPE}` })
  const source = decode(bytes)
  if (typeof source !== 'string') throw source.problem
  return linesOf(source, check)
}

function* linesOf<T>(source: string, check: (value: unknown) => T): Generator<NumberedLine<T>> {
  let line = 0
  for (let start = 0; start < source.length; ) {
    const newline = source.indexOf('\n', start)
    const end = newline < 0 ? source.length : newline
    const text = source.slice(start, end)
    line++
    start = end + 1
    if (text.trim() !== '') yield { line, ...checkLine(readObject(text), check) }
  }
}

function checkLine<T>(body: Body, check: (value: unknown) => T): Checked<T> {
  const problem = 'problem' in body ? body.problem : undefined
  if (problem && body.value === undefined) return { problem }
  try {
    const value = check(body.value)
    return problem ? { problem } : { value }
  } catch (error) {
    if (error instanceof Problem) return { problem: mergeProblems(problem, error) }
    throw error
  }
}

function mergeProblems(first: Problem | undefined, second: Problem): Problem {
  return first?.errors && second.errors ? invalid([...first.errors, ...second.errors]) : second
}

/**
 * Turns off the idle timeout of a bulk request: a slow upload or a paused download is not cut off. To be called only
 * after the caller was authorized, because a client that never reads keeps a connection and its buffers.
 * @param server null for a call within the process
 */
export function allowPauses(
  request: Request,
  server: { timeout(request: Request, seconds: number): void } | null | undefined,
): void {
  server?.timeout(request, 0)
}

/**
 * A response of lines, generated as fast as the client reads them. If the client disconnects, `chunks` is stopped; if
 * `chunks` throws, the connection is cut, so that no client takes a partial response for a complete one.
 * @param chunks one or more complete lines each; null for a HEAD request, whose response has no body
 */
export function ndjsonResponse(chunks: AsyncGenerator<string> | null, log: Log, requestId: string): Response {
  // The connection closes afterwards: its idle timeout is off.
  const headers = { 'content-type': LINES_TYPE, connection: 'close' }
  if (!chunks) return new Response(null, { headers })
  const utf8 = new TextEncoder()
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next()
          if (done) controller.close()
          else controller.enqueue(utf8.encode(value))
        } catch (error) {
          log.error({ event: 'answer.cut', requestId, err: error })
          // Bun prints this error. The original one may quote the data of the response.
          controller.error(new InternalError('A response was cut short'))
        }
      },
      async cancel() {
        await chunks.return(undefined)
      },
    },
    // Nothing is generated before the client reads.
    { highWaterMark: 0 },
  )
  return new Response(stream, { headers })
}
