import type { JsonSchema } from './types.ts'

const BY_FORMAT: Record<string, string> = {
  uuid: '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e',
  'date-time': '2026-11-20T10:00:00.000Z',
  'idn-email': 'ana@example.org',
}

/**
 * Builds a value that a schema allows: the schema's own example, or else a value made of the examples of its parts. A
 * string without an example becomes `text`, which the tests refuse.
 */
export function exampleOf(schema: JsonSchema): unknown {
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const alternatives = schema.anyOf ?? schema.oneOf
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'object') return exampleObject(schema)
  if (Array.isArray(alternatives)) return exampleOf(alternatives[0] as JsonSchema)
  if (type === 'array') return schema.items ? [exampleOf(schema.items as JsonSchema)] : []
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'null' || type === undefined) return null
  return BY_FORMAT[String(schema.format)] ?? 'text'.padEnd(Number(schema.minLength ?? 0), 'x')
}

function exampleObject({ properties = {} }: JsonSchema): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties as Record<string, JsonSchema>).map(([name, property]) => [name, exampleOf(property)]),
  )
}
