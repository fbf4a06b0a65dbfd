/** The prefix of the current API. Every route is served under it, and at the root. */
export const VERSIONED = '/api/v1'

/** Both paths of each route: at the root and under the prefix. */
export function atBothPaths(paths: readonly string[] = []): Set<string> {
  return new Set(paths.flatMap((path) => [path, VERSIONED + path]))
}
