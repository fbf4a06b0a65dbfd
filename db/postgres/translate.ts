/** Replaces each `$name` by the number of its parameter. A name that occurs twice is one parameter. */
export function numberParameters(source: string): { text: string; names: string[] } {
  const names: string[] = []
  const text = source.replaceAll(/\$([a-zA-Z]\w*)/g, (_, name: string) => {
    const at = names.indexOf(name)
    return `$${at < 0 ? names.push(name) : at + 1}`
  })
  return { text, names }
}

/**
 * Writes the schema before each table of a statement. A search path would do the same, but a pooler of connections refuses
 * it as a setting of a connection.
 */
export function qualifyTables(
  text: string,
  { schema, tables }: { schema: string; tables: ReadonlySet<string> },
): string {
  return text.replaceAll(/\b(from|join|into|update)(\s+)("?)(\w+)\3/gi, (match, keyword, space, _, table: string) =>
    tables.has(table) ? `${keyword}${space}"${schema}"."${table}"` : match,
  )
}
