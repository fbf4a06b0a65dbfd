import type { AnyElysia } from 'elysia'
import { pathOf } from './kit/http/request-url.ts'

/**
 * Routes each request to an app. A single app takes every request, if there are no pages. Of several, the first is the
 * combined app: it takes the paths that every service has (health, metrics, the document), and every path that no other
 * app has. Each other app takes the paths whose first part, such as `/users`, no earlier app has.
 * @param pages the app of the pages. It takes its own paths, and those that nobody has if a browser asks for one
 */
export function router(
  apps: readonly AnyElysia[],
  pages?: AnyElysia,
): (request: Request) => Response | Promise<Response> {
  const [first, ...others] = apps
  if (!first) throw new Error('There is nothing to serve')
  if (others.length === 0 && !pages) return (request) => first.fetch(request)
  const byFirstPart = new Map<string, AnyElysia>()
  for (const app of apps)
    for (const { path } of app.routes) {
      const part = firstPart(path)
      // The combined app comes first, so it keeps the parts that all apps have.
      if (!byFirstPart.has(part)) byFirstPart.set(part, app)
    }
  byFirstPart.delete('')
  const byPath = new Map(others.flatMap((app) => app.routes.map(({ path }) => [path, app] as const)))
  for (const { path } of first.routes) byPath.set(path, first)
  const pagePaths = pages?.routes.map(({ path }) => path) ?? []
  const fixedPaths = new Set(pagePaths)
  const patterns = pagePaths.filter((path) => path.includes(':')).map(patternOf)
  const isPage = (path: string) =>
    fixedPaths.has(withoutSlash(path)) || path.startsWith('/assets/') || patterns.some((pattern) => pattern.test(path))
  return (request) => {
    const path = pathOf(request.url)
    const app = byPath.get(path) ?? byFirstPart.get(firstPart(path))
    if (pages && (isPage(path) || (!app && wantsPage(request)))) return pages.fetch(request)
    return (app ?? first).fetch(request)
  }
}

/** A slash at the end makes no difference, as in the paths of the API. */
function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** Matches a path whose parts may have any value: `/console/users/:user_id`. */
function patternOf(path: string): RegExp {
  const parts = path.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : RegExp.escape(part)))
  return new RegExp(`^${parts.join('/')}/?$`)
}

/** Whether a browser shows the answer to a request as a page. */
function wantsPage({ headers }: Request): boolean {
  return headers.get('accept')?.includes('text/html') ?? false
}

function firstPart(path: string): string {
  const start = path.startsWith('/api/v1/') ? '/api/v1/'.length : 1
  const end = path.indexOf('/', start)
  return path.slice(start, end < 0 ? undefined : end)
}
