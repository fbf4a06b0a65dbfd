import { ADMIN, type Caller } from '../caller.ts'

/** Whether a caller is a support person who may act on a user with these roles. Operators need no such permission. */
export function mayHelp(caller: Pick<Caller, 'supportRole'>, roles: readonly string[]): boolean {
  return caller.supportRole !== null && !protectedRoles(caller).some((role) => roles.includes(role))
}

/** The roles whose users a support person may neither see nor change; none for a caller who is not a support person. */
export function protectedRoles({ supportRole }: Pick<Caller, 'supportRole'>): string[] {
  return supportRole === null ? [] : [ADMIN, supportRole]
}
