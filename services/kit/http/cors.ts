import { pathOf } from './request-url.ts'

/** Paths for services and operators. No page of another origin may read them. */
const NOT_FOR_PAGES =
  /^(\/api\/v1)?\/(admin|metrics|[a-z0-9]+\/sync\/|auth\/(introspect|revocations|audit|sessions\/[^/]+\/second-factor\/?$)|users\/(verify-credentials|password-hashes|announcements|export|import|invited|[^/]+\/(proof|password(-hash|-changed)?)\/?$)|modules\/users(\/|$))/

/** Allows exactly these origins, and none for the paths that no page needs. */
export function crossOrigin(origins: readonly string[]) {
  const allowed = new Set(origins)
  // Loaded only when CORS_ORIGINS is set.
  const { cors } = require('@elysiajs/cors') as typeof import('@elysiajs/cors')
  return cors({
    origin: (request: Request) =>
      allowed.has(request.headers.get('origin') ?? '') && !NOT_FOR_PAGES.test(pathOf(request.url)),
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [
      ...['authorization', 'content-type', 'x-request-id'],
      // Added by libraries: W3C Trace Context and Baggage, and a header of older HTTP clients.
      ...['traceparent', 'tracestate', 'baggage', 'x-requested-with'],
    ],
    exposeHeaders: ['x-request-id', 'retry-after', 'location', 'www-authenticate', 'x-ch202-stale'],
    credentials: true,
    maxAge: 600,
  })
}
