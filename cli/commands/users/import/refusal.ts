import type { FaultyRecord, ImportLine, UserRecord } from './record/record.ts'

/** A record that was not imported, and why. */
export interface Refusal {
  place: number
  code: string
  message: string
  /** The record as `users import` reads it: once fixed, the line can be imported again. */
  record?: ImportLine
  /** Roles that are not valid here and so were removed from the record: importing it again does not bring them back. */
  roles_left_out?: string[]
}

/** The refusal of a record that could not be sent. */
export function unreadableRefusal({ place, fault, user }: FaultyRecord): Refusal {
  return { place, code: 'unreadable', message: fault, ...(user ? { record: user } : {}) }
}

/** The refusal of a record that the API refuses. */
export function refusalOf({ place, user, skippedRoles }: UserRecord, code: string, message: string): Refusal {
  const rolesLeftOut = skippedRoles ? { roles_left_out: skippedRoles.map(({ role }) => role) } : {}
  return { place, code, message, record: user, ...rolesLeftOut }
}
