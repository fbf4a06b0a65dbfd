import { SERVICE_NAMES } from '../../services/registry.ts'
import { as } from './http.ts'
import { OWNED } from './owned-resources.ts'
import type { Name } from './settings.ts'
import { inThisProcess } from './system.ts'

/** The part of a JSON Schema that the tests read. */
export interface Schema {
  type?: string | string[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
}

/** A route as the app lists it. Tests over all of them cover new routes too. */
export interface ServedRoute {
  service: Name
  method: string
  path: string
  body?: Schema
  query?: Schema
  response?: unknown
}

/** Lists every route of all services. */
export async function servedRoutes(): Promise<ServedRoute[]> {
  const system = await inThisProcess()
  try {
    return SERVICE_NAMES.flatMap((service) =>
      system
        .app(service)
        .routes.filter(({ method }) => method !== 'OPTIONS')
        .map(({ method, path, hooks }) => ({
          service,
          method,
          path,
          ...schemasOf(hooks),
        })),
    )
  } finally {
    await system.stop()
  }
}

function schemasOf({ body, query, response }: ServedRoute): Pick<ServedRoute, 'body' | 'query' | 'response'> {
  return { ...(body ? { body } : {}), ...(query ? { query } : {}), ...(response ? { response } : {}) }
}

const SAMPLE_ID = '01900000-0000-7000-8000-000000000000'
const SAMPLES: Record<string, string> = { module_id: 'billing', username: 'ana', email: 'ana@example.org', kid: 'kid' }

/** The path with sample values in place of its parameters. */
export function samplePath(path: string): string {
  return path.replace(/:(\w+)\??/g, (_, name: string) => SAMPLES[name] ?? SAMPLE_ID)
}

/** The routes without aliases: those under `/api/v1`, and those that exist only at the root, or differ there. */
export function distinctRoutes(routes: readonly ServedRoute[]): ServedRoute[] {
  const all = new Map(routes.map((route) => [`${route.method} ${route.path}`, route]))
  return [...all.values()].filter((route) => {
    const versioned = all.get(`${route.method} /api/v1${route.path}`)
    return !versioned || bodyFields(versioned) !== bodyFields(route)
  })
}

function bodyFields({ body }: ServedRoute): string {
  return Object.keys(body?.properties ?? {}).join()
}

const OPEN_TO_ALL = new Set([
  'POST /auth/register',
  'POST /auth/login',
  'POST /auth/refresh',
  'POST /auth/token/refresh',
  'POST /auth/logout',
  'POST /auth/validate-token',
  'POST /auth/revoke',
  'POST /auth/password-reset-request',
  'POST /auth/password-reset-confirm',
  'POST /auth/email-verification-request',
  'POST /auth/email-verification-confirm',
  'POST /auth/email-code-request',
  'POST /auth/email-code-login',
  'POST /auth/email-change-undo',
  'POST /auth/invitation-accept',
  'POST /auth/device-confirm',
  'POST /auth/second-factor',
  'POST /auth/passkeys/login-options',
  'POST /auth/passkeys/login',
  // By the challenge of a login that waits for an enrolment.
  'POST /auth/factors/totp',
  'POST /auth/factors/totp/confirm',
  'POST /auth/passkeys/options',
  'POST /auth/passkeys',
  'POST /users',
  'POST /user',
  'POST /user/register',
  'POST /register',
  'POST /login',
  'POST /refresh',
  'POST /token/refresh',
  'POST /logout',
  'POST /validate-token',
  'POST /password-reset',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/openid-configuration',
  'GET /auth/authorizations',
  'POST /auth/logout-requests',
  'GET /health',
  'GET /health/db',
  'GET /health/cache',
  'GET /health/ready',
])

/** Whether the contract opens a route to callers without credentials. All others are guarded. */
export function isPublic({ method, path }: Pick<ServedRoute, 'method' | 'path'>): boolean {
  const bare = path.replace(/^\/api\/v1/, '')
  return OPEN_TO_ALL.has(`${method} ${bare}`) || (method === 'GET' && /^\/swagger(\/|$)/.test(bare))
}

/** Matches the routes between services. */
const INTERNAL =
  /\/(sync|audit|verify-credentials|password|password-changed|send|revocations|password-hash|password-hashes|proof|invited)(\/|$)/

/** Credentials that the route accepts: the operator key if possible. @param bearer those of a user */
export function credentialFor({ path }: Pick<ServedRoute, 'path'>, bearer: Record<string, string>) {
  if (/\/(logout-all|change-password|me|activity|reauthenticate|email-change-(request|confirm))$/.test(path))
    return bearer
  if (/\/auth\/(authorizations|factors|grants|passkeys|recovery-codes)(\/|$)/.test(path)) return bearer
  if (/\/auth\/sessions\/[^/]+\/second-factor$/.test(path)) return as.internal
  // These routes create a resource of a user, and a key has no user.
  if (OWNED.some(([, service]) => path.endsWith(`/${service}`))) return bearer
  return INTERNAL.test(path) && !path.includes('/admin/') ? as.internal : as.operator
}
