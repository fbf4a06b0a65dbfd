import type { Client, Grant } from '../store/index.ts'

/**
 * The scopes that a refresh of a grant gives at most.
 * @returns null when a refresh gives nothing: the client has lost a right
 */
export function refreshableScopes(client: Client, grant: Grant): string[] | null {
  const isUsable = client.grantTypes.includes('refresh_token') && mayRefresh(client) && hasResource(client, grant)
  return isUsable ? remainingScopes(client, grant) : null
}

/** Whether a client may have refresh tokens of users. */
export function mayRefresh({ scopes }: Client): boolean {
  return scopes.includes('offline_access')
}

/** Whether the client of a grant still has its resource. */
export function hasResource({ resources }: Client, { resource }: Grant): boolean {
  return resource === null || resources.includes(resource)
}

/** The scopes of a grant that its client still has. */
export function remainingScopes(client: Client, grant: Grant): string[] {
  return grant.scopes.filter((each) => client.scopes.includes(each))
}
