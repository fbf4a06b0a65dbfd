import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** The rows that a service adds to the tests of all services, in a file that `ch202 new service` writes. */
export interface AddedService {
  /** The callers that each operation accepts: rows as in `tests/security/policy.ts`. */
  policy: string
  /** The problem codes of each operation, separated by spaces. */
  codes: Record<string, string>
  /** Every key of each answer, as in `tests/security/answers.test.ts`. */
  answers: Record<string, string>
  /** The path parameter with the id of a resource that a user owns. `POST /<service>` with a name creates one. */
  ownedId: string
  /** The tables that a refused request must leave alone. */
  tables: string[]
}

const DIRECTORY = join(import.meta.dir, '../services')
const names = existsSync(DIRECTORY) ? readdirSync(DIRECTORY).map((file) => file.replace(/\.ts$/, '')) : []

/** The services in `tests/services`, by name. */
export const ADDED_SERVICES: Record<string, AddedService> = Object.fromEntries(
  await Promise.all(
    names.sort().map(async (name) => {
      const { service } = (await import(join(DIRECTORY, name))) as { service: AddedService }
      return [name, service] as const
    }),
  ),
)

/** All rows of one kind, of every added service. */
export function rowsOfAdded(kind: 'answers' | 'codes'): Record<string, string> {
  return Object.assign({}, ...Object.values(ADDED_SERVICES).map((service) => service[kind]))
}
