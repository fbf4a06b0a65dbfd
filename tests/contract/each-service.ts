import { decodeJwt } from 'jose'
import { as, call, type Name, type System } from '../harness.ts'

const ALL = ['auth', 'users', 'modules'] as const

type Said = Record<string, number | string>

/**
 * What each service says to an access token on a request that any good one may make: the status of success, or the
 * code of the refusal. A revoked token must be refused by all of them, and no test waits for that.
 */
export async function askEach(system: System, token: string, names: readonly Name[] = ALL): Promise<Said> {
  const user = subjectOf(token)
  const requests = { auth: 'GET /auth/sessions', users: `GET /users/${user}`, modules: 'GET /modules/' }
  const said = await Promise.all(
    names.map(async (name) => {
      const { body, status } = await call(system.url[name], requests[name], { headers: as.bearer(token) })
      return [name, status < 300 ? status : (body.code ?? status)] as const
    }),
  )
  return Object.fromEntries(said)
}

export function all(what: number | string, names: readonly Name[] = ALL): Said {
  return Object.fromEntries(names.map((name) => [name, what]))
}

function subjectOf(token: string): string {
  try {
    return decodeJwt(token).sub ?? 'nobody'
  } catch {
    return 'nobody'
  }
}
