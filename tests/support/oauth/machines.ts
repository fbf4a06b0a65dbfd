import { SCOPES, type Scope } from '../../../services/kit/access/scopes.ts'
import { as, call, form } from '../http.ts'
import type { System } from '../system.ts'

export const ALL_SCOPES = Object.keys(SCOPES) as Scope[]

/** A client that gets tokens for itself. */
export interface Machine {
  id: string
  secret: string
  token: string
}

type AtAuth = { url: Pick<System['url'], 'auth'> }
type Settings = Record<string, unknown> & { scopes: readonly string[] }

/**
 * Creates a client, and gets a token with all of its scopes.
 * @param settings the settings of the client
 * @throws Error if either is refused
 */
export async function newMachine(
  system: AtAuth,
  settings: Settings,
  token: 'with a token' | 'without a token' = 'with a token',
): Promise<Machine> {
  const created = await call(system.url.auth, 'POST /api/v1/admin/clients', {
    headers: as.operator,
    body: { name: `machine ${Bun.randomUUIDv7()}`, ...settings },
  })
  if (created.status !== 201) throw new Error(`client: ${created.status} ${created.text}`)
  const { client_secret: secret, id } = created.body
  return { id, secret, token: token === 'with a token' ? await tokenOf(system, { id, secret }) : '' }
}

/** Gets a token for a client. @param more parameters of the request @throws Error if it is refused */
export async function tokenOf(
  system: AtAuth,
  { id, secret }: Pick<Machine, 'id' | 'secret'>,
  more: Record<string, string> = {},
): Promise<string> {
  const fields = form({ grant_type: 'client_credentials', ...more }, basic(id, secret))
  const { body, status, text } = await call(system.url.auth, 'POST /oauth/token', fields)
  if (status !== 200) throw new Error(`token: ${status} ${text}`)
  return body.access_token
}

function basic(id: string, secret: string): Record<string, string> {
  return { authorization: `Basic ${btoa(`${id}:${secret}`)}` }
}

/** Changes a client by the operator key; without a body, deletes it. @throws Error if that is refused */
export async function changeClient(system: AtAuth, id: string, body?: object): Promise<void> {
  const line = `/api/v1/admin/clients/${id}`
  const answer = await call(system.url.auth, `${body ? 'PATCH' : 'DELETE'} ${line}`, {
    headers: as.operator,
    ...(body && { body }),
  })
  if (answer.status > 204) throw new Error(`${line}: ${answer.status} ${answer.text}`)
}
