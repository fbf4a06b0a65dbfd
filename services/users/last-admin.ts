import type { User } from './store.ts'

type AdminFields = Pick<User, 'roles' | 'status'>

export function isActiveAdmin({ roles, status }: AdminFields): boolean {
  return status === 'active' && roles.includes('ADMIN')
}

/** Whether a change takes away an active administrator. @param after null: the user is removed */
export function removesAdmin(before: AdminFields, after: AdminFields | null): boolean {
  return isActiveAdmin(before) && !(after && isActiveAdmin(after))
}

/** Whether no active administrator may be taken away. @param activeAdmins how many there are before the change */
export function isLastAdmin(activeAdmins: number): boolean {
  return activeAdmins < 2
}
