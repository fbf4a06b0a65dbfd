import type { OpenApiDocument } from '../../../services/kit/http/openapi/document.ts'
import { descriptorOf, pathParameter, SERVICE_NAMES, type ServiceName } from '../../../services/registry.ts'
import { serviceForPath } from '../../client/routing.ts'

/** A public path with its public methods. */
export interface Published {
  upstream: ServiceName
  /** All of them, HEAD and OPTIONS too. */
  methods: string[]
  /** A regular expression (RE2) for the whole path; empty for `/`. */
  path: string
}

type Operation = OpenApiDocument['paths'][string][string]

const VERSIONED = '/api/v1'

/** Older paths of documented operations, for clients that do not know `/api/v1` or call a user resource `user`. */
const LEGACY_PATHS: Record<string, [method: string, path: string]> = {
  '/register': ['post', '/api/v1/auth/register'],
  '/login': ['post', '/api/v1/auth/login'],
  '/refresh': ['post', '/api/v1/auth/refresh'],
  '/token/refresh': ['post', '/api/v1/auth/token/refresh'],
  '/logout': ['post', '/api/v1/auth/logout'],
  '/validate-token': ['post', '/api/v1/auth/validate-token'],
  '/password-reset': ['post', '/api/v1/auth/password-reset-request'],
  '/whoami': ['get', '/api/v1/auth/me'],
  '/api/v1/user/register': ['post', '/api/v1/users'],
}

/** Metrics are for scrapers on this machine. Every service has its own at this path, so one origin could publish only one. */
const NEVER_PUBLISHED = ['/api/v1/metrics']
/** Health details, open to anyone on this machine: others need not see them, or cause a database write with them. */
const FOR_ADMINS = ['/api/v1/health/db', '/api/v1/health/cache', '/api/v1/health/ready']

/**
 * Finds the public paths in the services' OpenAPI document: operations for anyone, for users, or for their apps. All other
 * operations and paths stay closed.
 * @param admin include the operators' operations
 * @throws Error if a path belongs to no known service, or the registry has no pattern for a parameter
 */
export function publishedPaths({ paths }: OpenApiDocument, admin: boolean): Published[] {
  const published: Record<string, string[]> = {}
  for (const [path, operations] of Object.entries(paths)) {
    const methods = Object.keys(operations).filter((method) => isPublic(path, operations[method], admin))
    if (methods.length > 0) published[path] = methods
  }
  for (const [path, [method, target]] of Object.entries(LEGACY_PATHS))
    if (published[target]?.includes(method)) published[path] = [method]
  return Object.entries(published)
    .map(([path, methods]) => {
      // Also served at the root, unless another operation has that path.
      const alsoAtRoot = !(path.replace(VERSIONED, '') in paths)
      return { upstream: upstreamOf(path), methods: withImplied(methods), path: pattern(path, alsoAtRoot) }
    })
    .sort((a, b) => a.upstream.localeCompare(b.upstream) || a.path.localeCompare(b.path))
}

/** Finds the paths of the pages for browsers. */
export async function publishedPages(): Promise<Published[]> {
  const pages = await Promise.all(
    SERVICE_NAMES.map(async (upstream) => {
      const paths = (await descriptorOf(upstream).pagePaths?.()) ?? []
      return paths.map((path) => ({ upstream, methods: PAGE_METHODS, path: pagePattern(path) }))
    }),
  )
  return pages.flat()
}

/** A page itself refuses a form that it has no use for. */
const PAGE_METHODS = ['GET', 'HEAD', 'POST']

function pagePattern(path: string): string {
  return path.replaceAll('.', '\\.').replaceAll('*', '[\\w.-]+').replace(/\/$/, '')
}

function isPublic(path: string, operation: Operation | undefined, admin: boolean): boolean {
  if (!operation || NEVER_PUBLISHED.includes(path) || (!admin && FOR_ADMINS.includes(path))) return false
  const { description = '', security } = operation
  const [anyone, forOperators] = [security.some(isEmpty), security.some((scheme) => 'operatorKey' in scheme)]
  // Operators can use a token too, so only the description tells whether users or their apps may call the operation.
  const isOfUsers = /\b(users, with their access token|of a user who gave them the scope)\b/.test(description)
  const forUsers = security.some((way) => 'bearer' in way) && isOfUsers
  return anyone || forUsers || (admin && forOperators)
}

function isEmpty(way: object): boolean {
  return Object.keys(way).length === 0
}

/** Adds HEAD to GET, and OPTIONS for the CORS preflight of browsers. */
function withImplied(methods: readonly string[]): string[] {
  const upper = methods.map((method) => method.toUpperCase())
  return [...upper, ...(upper.includes('GET') ? ['HEAD'] : []), 'OPTIONS']
}

function upstreamOf(path: string): ServiceName {
  const service = serviceForPath(path)
  if (service === undefined) throw new Error(`${path} belongs to no known service`)
  return service
}

function pattern(path: string, alsoAtRoot: boolean): string {
  const parts = path.replace(VERSIONED, '').split('/').slice(1)
  const segments = parts.map((part) => {
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? []
    if (name === undefined) return part.replaceAll('.', '\\.')
    const form = pathParameter(name)
    if (form === undefined) throw new Error(`${path} has a parameter without a pattern: ${name}`)
    return form
  })
  const prefix = path.startsWith(VERSIONED) ? VERSIONED : ''
  return `${prefix && alsoAtRoot ? `(${prefix})?` : prefix}/${segments.join('/')}`
}
