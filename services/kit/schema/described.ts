import type { TSchema } from '@sinclair/typebox'

/**
 * Adds what the API documentation shows of a field: a description and, if the schema itself has none, an example.
 * @example described(uuid(), 'The user')
 */
export function described<T extends TSchema>(schema: T, description: string, example?: unknown): T {
  return { ...schema, description, ...(example === undefined ? {} : { examples: [example] }) }
}
