import { authMigrations as authOnPostgres } from '../db/postgres/migrations/auth.ts'
import { modulesMigrations as modulesOnPostgres } from '../db/postgres/migrations/modules.ts'
import { usersMigrations as usersOnPostgres } from '../db/postgres/migrations/users.ts'
import type { ServiceDatabase } from '../db/sqlite/database-file.ts'
import { authMigrations } from '../db/sqlite/migrations/auth.ts'
import { modulesMigrations } from '../db/sqlite/migrations/modules.ts'
import { usersMigrations } from '../db/sqlite/migrations/users.ts'
import type { Routes } from './kit/http/app.ts'
import type { Runtime, Service } from './kit/http/runtime.ts'
import type { NumberedService } from './kit/process/service-address.ts'
import type { Peers } from './peers/peers.ts'

/** Everything that the program knows about a service before loading it. */
export interface ServiceDescriptor extends NumberedService {
  /** The chapters that the service adds to the OpenAPI document, with a sentence about each. */
  tags: Record<string, string>
  /** First parts of paths that belong to the service, besides its name: `.well-known` of `/.well-known/jwks.json`. */
  paths?: readonly string[]
  /**
   * The values of path parameters, each as a regular expression (RE2) that is as narrow as the service's own check.
   * `ch202 package caddy` opens nothing else. A parameter `<word>_id` that is not listed is a UUID.
   */
  pathParameters?: Record<string, string>
  /** The paths of pages for browsers, which are no part of the API; `*` stands for any part. */
  pagePaths?(): Promise<readonly string[]>
  /** The notices that users delivers to the service, at `POST /<name>/sync/user-deleted`. */
  subscribesTo?: readonly 'user.deleted'[]
  /** Absent: the service keeps nothing. */
  database?: ServiceDatabase
  /** Loads the function that builds the service. Lazy: the tool starts without the services. */
  load(): Promise<(runtime: Runtime, peers: Peers) => Service | Promise<Service>>
  /** Builds the routes for the OpenAPI document, without a context because they are never called. */
  documentedRoutes?(guard: Service['guard']): Promise<Routes & { forms?: readonly string[] }>
}

const UUID = '[0-9A-Fa-f-]{36}'
/** An email as `encodeURIComponent` writes it, or with a bare @. The proxy refuses an email with a slash. */
const EMAIL = "([\\w.!$&'*+=~-]|%(2[3-6Bb]|3[DdFf]|5[Ee]|60|7[B-Db-d]))+(@|%40)[\\w.-]+"

/** Stands in for the context of routes that are never called. */
const UNUSED = undefined as never

/**
 * Every service, one entry each, in the order in which `ch202 serve` builds them. All code that needs every service
 * reads this list, except the services themselves: they get what they need as parameters.
 */
export const SERVICES = {
  auth: {
    number: 1,
    tags: {
      auth: 'Register, log in, refresh tokens, reset passwords',
      sessions: 'The active sessions of a user',
      factors: 'Second factors and passkeys of a user',
      discovery: 'Public keys and metadata, for APIs that verify access tokens',
      admin: 'For operators: sessions, signing keys, password cache, login limits, audit log',
      oauth: 'Tokens for clients: other programs that use this instance',
      'admin-clients': 'For operators: the clients, their settings and their secrets',
      'admin-webhooks': 'For operators: webhooks, and the deliveries to them and to the message broker',
    },
    paths: [
      '.well-known',
      'admin',
      'login',
      'logout',
      'oauth',
      'password-reset',
      'refresh',
      'register',
      'token',
      'validate-token',
      'whoami',
    ],
    pathParameters: { client_id: UUID, kid: '[\\w-]{43}' },
    database: {
      migrations: authMigrations,
      postgres: authOnPostgres,
      schema: () => import('../db/schema/auth.ts'),
      mainTables: ['accounts', 'sessions', 'audit'],
    },
    load: async () => (await import('./auth/main.ts')).authService,
    documentedRoutes: async (guard) => {
      const [{ authRoutes, FORM_PATHS }, { authV0 }] = await Promise.all([
        import('./auth/index.ts'),
        import('./auth/routes/v0.ts'),
      ])
      return { routes: authRoutes(UNUSED, guard), root: authV0(UNUSED, guard), forms: FORM_PATHS }
    },
  },
  users: {
    number: 2,
    tags: {
      users: 'The records of users',
      'admin-users': 'For operators: create, find, export and import users',
    },
    paths: ['user'],
    pathParameters: { email: EMAIL, id: `(${UUID}|${EMAIL})`, username: '[\\w-][\\w.-]*' },
    database: {
      migrations: usersMigrations,
      postgres: usersOnPostgres,
      schema: () => import('../db/schema/users.ts'),
      mainTables: ['users', 'outbox'],
    },
    load: async () => (await import('./users/main.ts')).usersService,
    documentedRoutes: async (guard) => {
      const [{ usersRoutes }, { usersV0 }] = await Promise.all([
        import('./users/index.ts'),
        import('./users/routes/v0.ts'),
      ])
      return { routes: usersRoutes(UNUSED, guard), root: usersV0(UNUSED, guard) }
    },
  },
  modules: {
    number: 3,
    tags: {
      modules: 'The module library, and the modules that a user has enabled',
      'admin-modules': 'For operators: the module library',
    },
    pathParameters: { module_id: '[a-z0-9][a-z0-9-]*' },
    subscribesTo: ['user.deleted'],
    database: {
      migrations: modulesMigrations,
      postgres: modulesOnPostgres,
      schema: () => import('../db/schema/modules.ts'),
      mainTables: ['modules', 'choices'],
      restored: () => import('../db/modules/restored.ts'),
    },
    load: async () => (await import('./modules/main.ts')).modulesService,
    documentedRoutes: async (guard) => ({
      routes: (await import('./modules/index.ts')).modulesRoutes(UNUSED, guard),
    }),
  },
  // The pages for people, which are no part of the API.
  web: {
    number: 0,
    tags: {},
    pagePaths: async () => (await import('./web/index.ts')).PAGE_PATHS,
    load: async () => (await import('./web/main.ts')).webService,
  },
} as const satisfies Record<string, ServiceDescriptor>

export type ServiceName = keyof typeof SERVICES

export const SERVICE_NAMES = Object.keys(SERVICES) as ServiceName[]

/** The descriptor of a service, with the fields that only some services have. */
export function descriptorOf(name: ServiceName): ServiceDescriptor {
  return SERVICES[name]
}

/** The services that keep data. */
export const SERVICES_WITH_DATABASE = SERVICE_NAMES.filter((name) => descriptorOf(name).database !== undefined)

/** Whether a process with these services has the whole API, at one address. The pages may run elsewhere, or not at all. */
export function isWholeApi(names: readonly ServiceName[]): boolean {
  return SERVICES_WITH_DATABASE.every((name) => names.includes(name))
}

/** Builds a record with a value for each service. */
export function ofEachService<T>(read: (name: ServiceName) => T): Record<ServiceName, T> {
  return Object.fromEntries(SERVICE_NAMES.map((name) => [name, read(name)])) as Record<ServiceName, T>
}

/** The services that users notifies when a user was deleted. Auth is not among them: it gets every change. */
export const DELETION_SUBSCRIBERS = SERVICE_NAMES.filter((name) =>
  descriptorOf(name).subscribesTo?.includes('user.deleted'),
)

/** The chapters of the services in the OpenAPI document. */
export const SERVICE_TAGS: Record<string, string> = Object.assign(
  {},
  ...Object.values(SERVICES).map(({ tags }) => tags),
)

const PATH_PARAMETERS = new Map(
  SERVICE_NAMES.flatMap((name) => Object.entries(descriptorOf(name).pathParameters ?? {})),
)

/** The regular expression (RE2) of a path parameter; undefined when no service lists it and it is not an id. */
export function pathParameter(parameter: string): string | undefined {
  return PATH_PARAMETERS.get(parameter) ?? (parameter.endsWith('_id') ? UUID : undefined)
}
