import { decodeJwt } from 'jose'
import { SERVICE_NAMES } from '../../services/registry.ts'
import { as, call } from './http.ts'
import type { Name } from './settings.ts'
import type { System } from './system.ts'

type Said = Record<string, number | string>

/**
 * What each service says to an access token on a request that any good one may make: the status of success, or the
 * code of the refusal. A revoked token must be refused by all of them, and no test waits for that.
 */
export async function askEach(system: System, token: string, names: readonly Name[] = SERVICE_NAMES): Promise<Said> {
  const user = subjectOf(token)
  const requests: Partial<Record<Name, string>> = { auth: 'GET /auth/sessions', users: `GET /users/${user}` }
  const said = await Promise.all(
    names.map(async (name) => {
      const request = requests[name] ?? `GET /${name}`
      const { body, status } = await call(system.url[name], request, { headers: as.bearer(token) })
      return [name, status < 300 ? status : (body.code ?? status)] as const
    }),
  )
  return Object.fromEntries(said)
}

export function all(what: number | string, names: readonly Name[] = SERVICE_NAMES): Said {
  return Object.fromEntries(names.map((name) => [name, what]))
}

function subjectOf(token: string): string {
  try {
    return decodeJwt(token).sub ?? 'nobody'
  } catch {
    return 'nobody'
  }
}
