import type { Documented } from '../openapi/document.ts'
import type { TestUser } from './actors.ts'
import { ADDED_SERVICES } from './added-services.ts'
import { as, call } from './http.ts'
import type { Name } from './settings.ts'
import type { System } from './system.ts'

/** Each resource that a user may own: the path parameter with its id, and its service. */
export const OWNED = Object.entries(ADDED_SERVICES).map(
  ([name, { ownedId }]) => [ownedId, name] as [field: string, service: Name],
)

/** Creates a resource of the owner for an operation that needs one. Gives its id under its name in the path. */
export async function ownedValues(system: System, operation: string, owner: TestUser): Promise<Record<string, string>> {
  const values: Record<string, string> = {}
  for (const [field, service] of OWNED) {
    if (!operation.includes(`{${field}}`) && operation !== `GET /api/v1/${service}`) continue
    const headers = as.bearer(owner.tokens.access_token)
    const response = await call(system.url[service], `POST /${service}`, { headers, body: { name: 'One' } })
    values[field] = response.body.id
  }
  return values
}

/** Enables the modules that operations need for everyone, so that the response depends on the caller alone. */
export async function enableNeededModules(system: System, operations: Iterable<Documented>): Promise<void> {
  const needed = [...operations].map(({ operation }) =>
    /The module `(.+)` must be on/.exec(operation.description ?? ''),
  )
  const body = { name: 'Module', description: 'One that a route needs', default_enabled: true }
  for (const id of new Set(needed.flatMap((match) => match?.[1] ?? [])))
    await call(system.url.modules, 'POST /modules', { headers: as.operator, body: { ...body, id } })
}
