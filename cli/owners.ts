import type { Place } from './connection.ts'

/**
 * Whose a path is, by its first part. The tool does not load the services to know it; a test compares it with their
 * document. What every service has (health, metrics, swagger) is asked of auth where nothing else is said.
 */
const OWNERS: Record<string, Place> = {
  '.well-known': 'auth',
  admin: 'auth',
  auth: 'auth',
  health: 'auth',
  login: 'auth',
  logout: 'auth',
  metrics: 'auth',
  modules: 'modules',
  'password-reset': 'auth',
  refresh: 'auth',
  register: 'auth',
  swagger: 'auth',
  token: 'auth',
  user: 'users',
  users: 'users',
  'validate-token': 'auth',
  whoami: 'auth',
}

/** Undefined: it is the path of no service. */
export function ownerOf(path: string): Place | undefined {
  const [, first = ''] = /^(?:\/?api\/v1)?\/?([^/?#]*)/.exec(path) ?? []
  return Object.hasOwn(OWNERS, first) ? OWNERS[first] : undefined
}
