export interface Route {
  method: string
  path: string
}

/**
 * The methods of a path, for the `Allow` header (RFC 9110, 10.2.1); empty when no route has the path.
 * @param routes their paths have `:name` for one part and `*` for the rest
 */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const parts = split(path)
  const methods = new Set<string>()
  for (const route of routes) if (matches(split(route.path), parts)) methods.add(route.method)
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].filter((method) => /^[A-Z]+$/.test(method)).sort()
}

function split(path: string): string[] {
  const parts = path.split('/').slice(1)
  if (parts.at(-1) === '') parts.pop()
  return parts
}

function matches(pattern: string[], parts: string[]): boolean {
  if (pattern.length !== parts.length) return pattern.at(-1) === '*' && parts.length >= pattern.length - 1
  return pattern.every(
    (part, index) => part === '*' || (part.startsWith(':') ? parts[index] !== '' : part === parts[index]),
  )
}
