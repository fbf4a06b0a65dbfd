import { decodeJwt } from 'jose'
import { SERVICES_WITH_DATABASE } from '../../services/registry.ts'
import { as, call } from './http.ts'
import type { Name } from './settings.ts'
import type { System } from './system.ts'

type Results = Record<string, number | string>

/**
 * Sends each service a request that any valid access token may make. All services refuse a revoked token at once, so no
 * test waits for that.
 * @returns for each service the status of a success, or the code of a refusal
 */
export async function askEach(
  system: Pick<System, 'url'>,
  token: string,
  names: readonly Name[] = SERVICES_WITH_DATABASE,
): Promise<Results> {
  const user = subjectOf(token)
  const requests: Partial<Record<Name, string>> = { auth: 'GET /auth/sessions', users: `GET /users/${user}` }
  const results = await Promise.all(
    names.map(async (name) => {
      const request = requests[name] ?? `GET /${name}`
      const { body, status } = await call(system.url[name], request, { headers: as.bearer(token) })
      return [name, status < 300 ? status : (body.code ?? status)] as const
    }),
  )
  return Object.fromEntries(results)
}

/** The same result for each service, to compare with that of `askEach`. */
export function all(result: number | string, names: readonly Name[] = SERVICES_WITH_DATABASE): Results {
  return Object.fromEntries(names.map((name) => [name, result]))
}

/** The user of a token, or a name that no user has if the token is malformed. */
function subjectOf(token: string): string {
  try {
    return decodeJwt(token).sub ?? 'nobody'
  } catch {
    return 'nobody'
  }
}
