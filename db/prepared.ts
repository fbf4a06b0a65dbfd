/**
 * Gives statements that are prepared when they are first used, each once: a start prepares only those that it runs.
 * @param makers functions that prepare one statement each
 */
export function prepared<Makers extends Record<string, () => unknown>>(
  makers: Makers,
): { readonly [Name in keyof Makers]: ReturnType<Makers[Name]> } {
  const statements = {}
  for (const name of Object.keys(makers))
    Object.defineProperty(statements, name, {
      configurable: true,
      get() {
        const value = makers[name]?.()
        Object.defineProperty(statements, name, { value })
        return value
      },
    })
  return statements as { readonly [Name in keyof Makers]: ReturnType<Makers[Name]> }
}
