import { ADMIN, type Caller } from '../caller.ts'
import { Problem } from '../problem.ts'

/**
 * Whether a caller acts with the authority of an operator: an operator does, and a client on a route that its scope opens.
 * The guard lets a client onto no other route. `caller.operator` alone is false for a client, so that a function which forgets
 * clients refuses them.
 */
export function actsForOperators({ client, operator }: Pick<Caller, 'client' | 'operator'>): boolean {
  return operator || client !== null
}

/** Whether a caller who may change users may change one with these roles: a client never changes an administrator. */
export function mayChange({ client }: Pick<Caller, 'client'>, roles: readonly string[]): boolean {
  return client === null || !roles.includes(ADMIN)
}

/** The roles whose users a client may not change; none for anyone else. */
export function rolesKeptFromClients({ client }: Pick<Caller, 'client'>): string[] {
  return client === null ? [] : [ADMIN]
}

/**
 * The name by which a feed knows a subscriber. A client cannot acknowledge in the name of another client, or of a service.
 * @param name as the subscriber gives it
 */
export function subscriberName({ client }: Pick<Caller, 'client'>, name: string): string {
  return client === null ? name : `${client.id}/${name}`
}

/**
 * Refuses what no scope allows: a client neither makes an administrator nor sends a hash.
 * @param sent the fields of a user; their values may have any type
 * @throws Problem `forbidden_field`
 */
export function refuseClientFields(
  sent: { password_hash?: unknown; roles?: unknown },
  { client }: Pick<Caller, 'client'>,
): void {
  if (client === null) return
  if (sent.password_hash !== undefined)
    throw new Problem('forbidden_field', { message: 'A client may not set password_hash' })
  if (Array.isArray(sent.roles) && sent.roles.includes(ADMIN))
    throw new Problem('forbidden_field', { message: `A client may not give the role ${ADMIN}` })
}
