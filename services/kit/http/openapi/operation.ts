import type { TSchema } from '@sinclair/typebox'
import type { DocumentDecoration } from 'elysia'
import { LINES_TYPE } from '../../messages/ndjson.ts'
import type { ProblemCode } from '../../problem.ts'

/** The title of an operation: imperative, at most 60 characters, unique. */
type Summary = string

/**
 * Documents a route, beyond its schemas.
 * @param tag the group that shows it: `admin…` if only operators may call it, `internal` if only services may
 * @param title the summary, or the summary with a description in whole sentences
 * @param problems the codes that the route answers with, beyond those that follow from its schemas and its callers
 * @example operation('sessions', 'End a session', 'session_not_found')
 */
export function operation(
  tag: string,
  title: Summary | { summary: Summary; description: string },
  ...problems: ProblemCode[]
): DocumentDecoration {
  const texts = typeof title === 'string' ? { summary: title } : title
  return { tags: [tag], ...texts, ...({ 'x-problems': problems } as object) }
}

/**
 * Documents a route that returns lines of JSON, each of the schema of its `response`.
 * @param line the schema of a line of the body, if the route reads lines
 */
export function linesOperation(documented: DocumentDecoration, line?: TSchema): DocumentDecoration {
  const requestBody = line && { content: { [LINES_TYPE]: { schema: line } } }
  return { ...documented, 'x-lines': true, ...(requestBody ? { requestBody } : {}) } as DocumentDecoration
}
