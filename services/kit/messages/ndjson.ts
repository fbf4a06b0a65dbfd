import { InternalError, type Log } from '../log.ts'
import { invalid, Problem } from '../problem.ts'
import { type Body, decode, encodingProblem, mediaType, readBytes, readObject } from './body.ts'

/** What a body of lines may have: bulk work comes in many requests of this size. */
const LINES_MAX = 1024 * 1024

/** JSON objects, one a line. Its other name is taken as well. */
export const LINES_TYPE = 'application/x-ndjson'
const LINES_TYPES = [LINES_TYPE, 'application/jsonl']

/** A line of a body: where it stands, from 1, and what it holds or why that will not do. */
export type Line<T> = { line: number } & Checked<T>
type Checked<T> = { value: T } | { problem: Problem }

/**
 * Reads a body of JSON objects, one a line: at most 1 MiB (counted while it arrives), UTF-8, each object by the rules
 * of `readBody`. Blank lines are passed over, and counted. A line is parsed when it is asked for, so that all that a
 * body holds is never there at once.
 * @param check gives what a line holds back as what it should be, or throws a Problem
 * @throws Problem `body_too_large`, `unsupported_media_type`, `malformed_json`
 */
export async function readLines<T>(request: Request, check: (value: unknown) => T): Promise<Iterable<Line<T>>> {
  const bytes = await readBytes(request, LINES_MAX)
  if (bytes === null) throw new Problem('body_too_large', { message: 'The body is larger than 1 MiB' })
  if (bytes.byteLength === 0) return []
  const encoded = encodingProblem(request.headers)
  if (encoded) throw encoded
  if (!LINES_TYPES.includes(mediaType(request.headers.get('content-type'))))
    throw new Problem('unsupported_media_type', { message: `The content type must be ${LINES_TYPE}` })
  const source = decode(bytes)
  if (typeof source !== 'string') throw source.problem
  return linesOf(source, check)
}

function* linesOf<T>(source: string, check: (value: unknown) => T): Generator<Line<T>> {
  let line = 0
  for (let start = 0; start < source.length; ) {
    const found = source.indexOf('\n', start)
    const end = found < 0 ? source.length : found
    const text = source.slice(start, end)
    line++
    start = end + 1
    if (text.trim() !== '') yield { line, ...checked(readObject(text), check) }
  }
}

function checked<T>(body: Body, check: (value: unknown) => T): Checked<T> {
  const problem = 'problem' in body ? body.problem : undefined
  if (problem && body.value === undefined) return { problem }
  try {
    const value = check(body.value)
    return problem ? { problem } : { value }
  } catch (error) {
    if (error instanceof Problem) return { problem: both(problem, error) }
    throw error
  }
}

function both(one: Problem | undefined, other: Problem): Problem {
  return one?.errors && other.errors ? invalid([...one.errors, ...other.errors]) : other
}

/**
 * Lets a request of lines take as long as its client needs: neither a slow upload nor a reader that pauses is cut. Once
 * the caller may: whoever never reads holds a connection and what lies in its buffers.
 * @param server null for a call within the process
 */
export function allowPauses(
  request: Request,
  server: { timeout(request: Request, seconds: number): void } | null | undefined,
): void {
  server?.timeout(request, 0)
}

/**
 * An answer of lines, made as fast as the client reads them. When it goes away, `chunks` is ended where it stands; when
 * `chunks` throws, the connection is cut, so that no one takes a part for the whole.
 * @param chunks of one or more whole lines each; null for a HEAD, which has no body
 */
export function ndjsonResponse(chunks: AsyncGenerator<string> | null, log: Log, requestId: string): Response {
  // The last of its connection, which has no limit that would end it afterwards.
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
          // Bun prints what it is given here, and the error itself may hold what was to be written.
          controller.error(new InternalError('An answer was cut short'))
        }
      },
      async cancel() {
        await chunks.return(undefined)
      },
    },
    // Nothing is made before it is asked for.
    { highWaterMark: 0 },
  )
  return new Response(stream, { headers })
}
