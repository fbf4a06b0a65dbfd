type Schema = Record<string, unknown>

const BY_FORMAT: Record<string, string> = {
  uuid: '0198c7a2-7f3e-7c21-9d5b-3f6a1b2c4d5e',
  'date-time': '2026-11-20T10:00:00.000Z',
  email: 'ana@example.org',
}

/** A value that a JSON Schema allows: its own example where it has one, else one made of its parts. */
export function sample(schema: Schema): unknown {
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const choices = schema.anyOf ?? schema.oneOf
  if (Array.isArray(choices)) return sample(choices[0] as Schema)
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'object') {
    const properties = Object.entries((schema.properties ?? {}) as Record<string, Schema>)
    return Object.fromEntries(properties.map(([name, property]) => [name, sample(property)]))
  }
  if (type === 'array') return schema.items ? [sample(schema.items as Schema)] : []
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'null' || type === undefined) return null
  return BY_FORMAT[String(schema.format)] ?? 'text'.padEnd(Number(schema.minLength ?? 0), 'x')
}
