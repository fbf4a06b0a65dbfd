import type { OpenApiDocument } from '../../../services/kit/http/openapi/document.ts'
import { pathParameter, type ServiceName } from '../../../services/registry.ts'
import { serviceForPath } from '../../client/routing.ts'

/** A path that is open to the outside, with the methods that are. */
export interface Published {
  upstream: ServiceName
  methods: string[]
  /** A regular expression (RE2) of the whole path. */
  path: string
}

type Operation = OpenApiDocument['paths'][string][string]

const VERSIONED = '/api/v1'

/** Other names of documented operations, whole paths: those of the clients that know no prefix. */
const ALSO_AT: Record<string, [method: string, path: string]> = {
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

/** Of each service its own, for whoever scrapes them on the machine: on one origin there would be one of the three. */
const NEVER = ['/api/v1/metrics']
/** For anyone on the machine, but nobody outside needs to see how the service does, or to make it write a row. */
const FOR_ADMINS = ['/api/v1/health/db', '/api/v1/health/cache']

/**
 * What is open to the outside, by the document of the services: an operation that is for anyone or for users. One whose
 * callers the document doesn't name so is closed, and so is every path that it doesn't have.
 * @param admin also what is for operators
 * @throws Error where a path is of no known service, or a parameter has no form in the tables above
 */
export function publishedPaths({ paths }: OpenApiDocument, admin: boolean): Published[] {
  const open: Record<string, string[]> = {}
  for (const [path, operations] of Object.entries(paths)) {
    const methods = Object.keys(operations).filter((method) => isOpen(path, operations[method], admin))
    if (methods.length > 0) open[path] = methods
  }
  for (const [path, [method, of]] of Object.entries(ALSO_AT)) if (open[of]?.includes(method)) open[path] = [method]
  return Object.entries(open)
    .map(([path, methods]) => {
      // Served at the root as well, unless another operation has that path.
      const alsoAtRoot = !(path.replace(VERSIONED, '') in paths)
      return { upstream: upstreamOf(path), methods: methods.map(capital), path: pattern(path, alsoAtRoot) }
    })
    .sort((a, b) => a.upstream.localeCompare(b.upstream) || a.path.localeCompare(b.path))
}

function isOpen(path: string, operation: Operation | undefined, admin: boolean): boolean {
  if (!operation || NEVER.includes(path) || (!admin && FOR_ADMINS.includes(path))) return false
  const { description = '', security } = operation
  const [anyone, keyed] = [security.some(isEmpty), security.some((way) => 'operatorKey' in way)]
  // A token is a way in for operators too: it is the words that say whether it may be a user's.
  const forUsers = security.some((way) => 'bearer' in way) && /\busers, with their access token\b/.test(description)
  return anyone || forUsers || (admin && keyed)
}

function isEmpty(way: object): boolean {
  return Object.keys(way).length === 0
}

function capital(method: string): string {
  return method.toUpperCase()
}

function upstreamOf(path: string): ServiceName {
  const owner = serviceForPath(path)
  if (owner === undefined) throw new Error(`${path} is the path of no service that is known here`)
  return owner
}

function pattern(path: string, alsoAtRoot: boolean): string {
  const parts = path.replace(VERSIONED, '').split('/').slice(1)
  const known = parts.map((part) => {
    const [, name] = /^\{(\w+)\}$/.exec(part) ?? []
    if (name === undefined) return part.replaceAll('.', '\\.')
    const form = pathParameter(name)
    if (form === undefined) throw new Error(`${path} has a parameter of which no form is known here: ${name}`)
    return form
  })
  const prefix = path.startsWith(VERSIONED) ? VERSIONED : ''
  return `${prefix && alsoAtRoot ? `(${prefix})?` : prefix}/${known.join('/')}`
}
