import { ofEach, type Place } from './connection.ts'

/**
 * Whose a path is, by its first part. The tool does not load the services to know it; a test compares it with their
 * document. What every service has (health, metrics, swagger) is asked of auth where nothing else is said.
 */
const OWNERS: Record<string, Place> = {
  ...ofEach((place) => place),
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

/** Undefined: it is the path of no service. */
export function ownerOf(path: string): Place | undefined {
  const [, first = ''] = /^(?:\/?api\/v1)?\/?([^/?#]*)/.exec(path) ?? []
  return Object.hasOwn(OWNERS, first) ? OWNERS[first] : undefined
}
