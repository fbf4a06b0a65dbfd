import { createHash, timingSafeEqual } from 'node:crypto'
import { isUuid } from '../../kit/random.ts'
import type { Client, ClientStore } from '../store/index.ts'
import { type AssertionContext, isValidAssertion } from './client-assertion.ts'
import {
  type ClientCredentials,
  type CredentialParameters,
  clientCredentials,
  invalidClient,
} from './client-credentials.ts'

export interface ClientAuthenticationContext extends AssertionContext {
  store: ClientStore & AssertionContext['store']
}

/** The form in which a client's secret is stored. It has 256 random bits, so no slow hash is needed. */
export function clientSecretHash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/**
 * Authenticates a client by the method that it is registered with.
 * @param authorization the value of the header, which decides the form of a refusal
 * @throws Problem `invalid_credentials` with the OAuth error `invalid_client`
 */
export async function authenticateClient(
  context: ClientAuthenticationContext,
  credentials: ClientCredentials,
  authorization: string | null,
): Promise<Client> {
  // Any other text is no id, and the database may refuse it.
  const client = isUuid(credentials.clientId) ? await context.store.client(credentials.clientId) : null
  if (client?.status !== 'active' || client.tokenAuthMethod !== credentials.method) throw invalidClient(authorization)
  if (!(await areRight(context, client, credentials))) throw invalidClient(authorization)
  return client
}

async function areRight(
  context: ClientAuthenticationContext,
  client: Client,
  credentials: ClientCredentials,
): Promise<boolean> {
  switch (credentials.method) {
    case 'none':
      return true
    case 'private_key_jwt':
      return await isValidAssertion(context, client, credentials.assertion)
    default: {
      const presented = clientSecretHash(credentials.secret)
      const hashes = await context.store.clientSecrets(client.id)
      return hashes.some((hash) => timingSafeEqual(hash, presented))
    }
  }
}

/**
 * Authenticates the client of a request to a route that other callers use too.
 * @param body is not validated yet
 * @returns undefined when the request has no credentials of a client
 * @throws Problem as `authenticateClient`
 */
export async function clientOf(
  context: ClientAuthenticationContext,
  authorization: string | null,
  body: unknown,
): Promise<Client | undefined> {
  const parameters = CREDENTIALS.map((name) => [name, (body as Record<string, unknown> | undefined)?.[name]] as const)
  const texts = parameters.filter(([, value]) => typeof value === 'string')
  const credentials = credentialsOf(authorization, Object.fromEntries(texts))
  // A public client has nothing to authenticate with, and RFC 7662 has no such clients.
  if (!credentials || credentials.method === 'none') return undefined
  return await authenticateClient(context, credentials, authorization)
}

/** Reads credentials whose caller gets 401 whatever is wrong with them: the body of the request is not validated yet. */
function credentialsOf(authorization: string | null, parameters: CredentialParameters): ClientCredentials | undefined {
  try {
    return clientCredentials(authorization, parameters)
  } catch {
    throw invalidClient(authorization)
  }
}

const CREDENTIALS = ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type'] as const
