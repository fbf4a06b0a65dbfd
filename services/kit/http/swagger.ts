import { Elysia, t } from 'elysia'
import scalar from '../../../node_modules/@scalar/api-reference/dist/browser/standalone.js' with { type: 'file' }
import { hasCredential } from '../messages/response-headers.ts'
import type { guard } from './guard.ts'
import type { OpenApiDocument } from './openapi/document.ts'

/** Nothing from elsewhere: the page works without the internet, and what it shows can't call home. */
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

/** `GET /swagger` (the page), `GET /swagger/json` (the document), and the script of the page. */
export function swagger(guarded: ReturnType<typeof guard>, document: () => OpenApiDocument) {
  let written: string | undefined
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
        written ??= JSON.stringify(document())
        set.headers['content-type'] = 'application/json'
        return written
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

/** The page of the library, but for its links: those point at a CDN, and are relative to a path without a slash. */
async function render(title: string): Promise<string> {
  // Loaded when the page is asked for.
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
  const answer = await app.handle(new Request('http://localhost/swagger'))
  const html = await answer.text()
  return html.replaceAll('"swagger/json"', '"/swagger/json"')
}
