import { descriptorOf, SERVICE_NAMES } from '../../services/registry.ts'
import type { Place } from './connection.ts'

/** Which service serves a path, by the first part of the path. Auth answers for what every service has. */
const OWNERS: Record<string, Place> = Object.fromEntries([
  ...['health', 'metrics', 'swagger'].map((part) => [part, 'auth'] as const),
  ...SERVICE_NAMES.flatMap((name) => [name, ...(descriptorOf(name).paths ?? [])].map((part) => [part, name] as const)),
])

/** Undefined: it is the path of no service. */
export function ownerOf(path: string): Place | undefined {
  const [, first = ''] = /^(?:\/?api\/v1)?\/?([^/?#]*)/.exec(path) ?? []
  return Object.hasOwn(OWNERS, first) ? OWNERS[first] : undefined
}
