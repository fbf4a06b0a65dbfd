import { ofEachService, type ServiceName } from '../../services/kit/services.ts'

/**
 * The service for a path, by its first segment. Listed here so that the tool need not load the services; a test compares
 * the list with their document. Paths that every service has (health, metrics, swagger) default to auth.
 */
const SERVICE_BY_PATH: Record<string, ServiceName> = {
  ...ofEachService((service) => service),
  '.well-known': 'auth',
  admin: 'auth',
  health: 'auth',
  login: 'auth',
  logout: 'auth',
  metrics: 'auth',
  'password-reset': 'auth',
  refresh: 'auth',
  register: 'auth',
  swagger: 'auth',
  token: 'auth',
  user: 'users',
  'validate-token': 'auth',
  whoami: 'auth',
}

/** The service for a path; undefined if no service has it. */
export function serviceForPath(path: string): ServiceName | undefined {
  const [, first = ''] = /^(?:\/?api\/v1)?\/?([^/?#]*)/.exec(path) ?? []
  return Object.hasOwn(SERVICE_BY_PATH, first) ? SERVICE_BY_PATH[first] : undefined
}
