import type { Body, Transaction } from '../../engine.ts'
import { STATEMENTS as statements } from './statements.ts'

/** Whether a user has one of the roles now. Of no roles, nobody has one. */
export function* hasOneOf(tx: Transaction, roles: readonly string[], userId: string | null): Body<boolean> {
  if (roles.length === 0 || userId === null) return false
  const account = yield* tx.get(statements.byId, { userId })
  return roles.some((role) => account?.roles.includes(role))
}
