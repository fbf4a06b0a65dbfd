import { decodeJwt } from 'jose'
import type { TestUser } from '../support/actors.ts'
import { createApp, tokensFor } from '../support/oauth/code-flow.ts'
import { newMachine } from '../support/oauth/machines.ts'
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

/** Creates an app for an operation that needs one, and gives it access to the owner if the operation is about that. */
export async function appValues(system: System, operation: string, owner: TestUser): Promise<Record<string, unknown>> {
  if (operation.endsWith('/auth/authorizations')) return { client_id: (await createApp(system)).id }
  if (operation.endsWith('/auth/logout-requests')) {
    const post_logout_redirect_uri = 'https://app.example.org/signed-out'
    const { id } = await createApp(system, { post_logout_redirect_uris: [post_logout_redirect_uri] })
    return { client_id: id, post_logout_redirect_uri }
  }
  if (!/\/(grants|userinfo)\b/.test(operation)) return {}
  const { access_token } = await tokensFor(system, owner.tokens.access_token, await createApp(system))
  return { grant_id: decodeJwt(access_token).gid, app_token: access_token }
}
