import type { TSchema } from '@sinclair/typebox'
import type { DocumentDecoration } from 'elysia'
import { LINES_TYPE } from '../../messages/ndjson.ts'
import type { ProblemCode } from '../../problem.ts'

/**
 * What the documentation says of a route beside its schemas.
 * @param tag the chapter it stands in
 * @param problems what it can answer with, beside what its schemas and its callers bring with them
 */
export function operation(tag: string, summary: string, ...problems: ProblemCode[]): DocumentDecoration {
  return { tags: [tag], summary, 'x-problems': problems } as DocumentDecoration
}

/**
 * The same of a route whose answer is lines of JSON, each of the schema of its `response`.
 * @param line the schema of a line of its body, where it reads one of lines
 */
export function linesOperation(documented: DocumentDecoration, line?: TSchema): DocumentDecoration {
  const requestBody = line && { content: { [LINES_TYPE]: { schema: line } } }
  return { ...documented, 'x-lines': true, ...(requestBody ? { requestBody } : {}) } as DocumentDecoration
}
