import type { DocumentDecoration } from 'elysia'
import type { ProblemCode } from './problem.ts'

/**
 * What the documentation says of a route beside its schemas.
 * @param tag the chapter it stands in
 * @param problems what it can answer with, beside what its schemas and its callers bring with them
 */
export function operation(tag: string, summary: string, ...problems: ProblemCode[]): DocumentDecoration {
  return { tags: [tag], summary, 'x-problems': problems } as DocumentDecoration
}
