import { descriptorOf, SERVICE_NAMES, type ServiceName } from '../../services/registry.ts'

/** The service of a path by its first part. Auth answers for what every service has. */
const SERVICE_BY_PATH: Record<string, ServiceName> = Object.fromEntries([
  ...['health', 'metrics', 'swagger'].map((part) => [part, 'auth'] as const),
  ...SERVICE_NAMES.flatMap((name) => [name, ...(descriptorOf(name).paths ?? [])].map((part) => [part, name] as const)),
])

/** The service for a path; undefined if no service has it. */
export function serviceForPath(path: string): ServiceName | undefined {
  const [, first = ''] = /^(?:\/?api\/v1)?\/?([^/?#]*)/.exec(path) ?? []
  return Object.hasOwn(SERVICE_BY_PATH, first) ? SERVICE_BY_PATH[first] : undefined
}
