import { Elysia, t } from 'elysia'
import scalar from '../../../node_modules/@scalar/api-reference/dist/browser/standalone.js' with { type: 'file' }
import { hasCredential } from '../messages/response-headers.ts'
import type { guard } from './guard.ts'
import type { OpenApiDocument } from './openapi/document.ts'

/** Allows the page no other host: it works without the internet, and its script cannot send anything elsewhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * Serves the documentation page (`/swagger`), the document (`/swagger/json`) and the script of the page.
 * @param document builds the document; called at the first request
 */
export function swagger(guarded: ReturnType<typeof guard>, document: () => OpenApiDocument) {
  let json: string | undefined
  let page: Promise<string> | undefined
  return new Elysia()
    .use(guarded)
    .get(
      '/swagger',
      async ({ set }) => {
        page ??= render(document().info.title)
        set.headers['content-type'] = 'text/html; charset=utf-8'
        set.headers['content-security-policy'] = CONTENT_SECURITY_POLICY
        return await page
      },
      { auth: ['anyone'], response: t.String(), detail: { hide: true } },
    )
    .get(
      '/swagger/json',
      ({ set }) => {
        json ??= JSON.stringify(document())
        set.headers['content-type'] = 'application/json'
        return json
      },
      { auth: ['anyone'], response: t.String(), detail: { hide: true } },
    )
    .get(
      '/swagger/scalar.js',
      ({ request, set }) => {
        set.headers['content-type'] = 'text/javascript; charset=utf-8'
        if (!hasCredential(request)) set.headers['cache-control'] = 'public, max-age=86400'
        return Bun.file(scalar)
      },
      { auth: ['anyone'], detail: { hide: true } },
    )
}

/** Renders the page with the library, and replaces its links, which point to a CDN or are relative. */
async function render(title: string): Promise<string> {
  // Loads the library at the first request for the page.
  const { swagger: library } = await import('@elysiajs/swagger')
  const app = new Elysia().use(
    library({
      path: '/swagger',
      scalarCDN: '/swagger/scalar.js',
      documentation: { info: { title, version: '', description: title } },
      scalarConfig: {
        withDefaultFonts: false,
        telemetry: false,
        agent: { disabled: true },
        mcp: { disabled: true },
        showDeveloperTools: 'never',
      } as object,
    }),
  )
  const response = await app.handle(new Request('http://localhost/swagger'))
  const html = await response.text()
  return html.replaceAll('"swagger/json"', '"/swagger/json"')
}
