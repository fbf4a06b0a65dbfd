import { newMachine } from '../support/machines.ts'
import type { System } from '../support/system.ts'

/** Creates a client for an operation that needs one. Gives what the operation names or sends. */
export async function clientValues(system: System, operation: string): Promise<Record<string, unknown>> {
  if (operation.endsWith('/oauth/token')) {
    const settings = { scopes: ['users:read'], token_auth_method: 'client_secret_post' }
    const { id, secret } = await newMachine(system, settings, 'without a token')
    return { client_id: id, client_secret: secret }
  }
  if (!operation.includes('/admin/clients')) return {}
  const name = `client ${Bun.randomUUIDv7()}`
  if (!operation.includes('{client_id}')) return { name }
  const { id } = await newMachine(system, { scopes: [] }, 'without a token')
  return { client_id: id, name }
}
