import { PROFILE_NAMES, type ProfileName, profileField } from '../../../../services/kit/schema/user.ts'

/** A line as `POST /users/import` reads it. Its fields are as they came: the API says what is wrong with them. */
export interface ImportLine extends Partial<Record<ProfileName, unknown>> {
  id?: unknown
  email?: unknown
  username?: unknown
  name?: unknown
  roles?: unknown
  status?: unknown
  email_verified?: unknown
  has_password?: unknown
  password?: unknown
  password_hash?: unknown
  created_at?: unknown
  updated_at?: unknown
}

/** What of a user was left behind or repaired, where the user could be taken all the same. */
export type Left =
  | 'admin'
  | 'username'
  | 'created_at'
  | 'password'
  | 'name_controls'
  | 'name_cut'
  | 'blanks'
  | 'metadata'
  | 'attributes'

/** A role of the other product: its name, or the key of a group whose name stands elsewhere in the file. */
export type TheirRole = string | { group: string }

/**
 * Why a role was left out: it can't be written as one of ours, another one would become the same, it is one too many, or
 * it is a group whose name is not in the file.
 */
export type RoleFault = 'unfit' | 'same' | 'too_many' | 'unnamed'

export interface LeftRole {
  /** As it is called there. */
  role: string
  reason: RoleFault
  /** Of `same`: another role of the file that would become the same. */
  other?: string
}

/** A user that was read, or why there is none. */
export type ImportRecord = UserRecord | FaultyRecord

/** What a format reads: also what a group is called, which is no record of its own. */
export type ReadRecord = ImportRecord | { place: number; group: { id: string; name: string } }

export interface UserRecord {
  /** The line of the file that it begins in, or its number among the records of a JSON document; from 1. */
  place: number
  user: ImportLine
  left?: Left[]
  /** Roles of the other product, which `fitRoles` makes ours; `admin`: an administrator there by a flag, not by a role. */
  theirs?: { roles: readonly TheirRole[]; admin: boolean }
  leftRoles?: LeftRole[]
}

export interface FaultyRecord {
  place: number
  fault: string
  /** As far as it could be read, without what was wrong. */
  user?: ImportLine
}

/** What a record can't be without: everything else is the API's to judge. */
export const NO_EMAIL = 'There is no email, and a user here needs one'

export const COLUMNS = [
  'id',
  'email',
  'username',
  'name',
  'roles',
  'status',
  'email_verified',
  'has_password',
  ...PROFILE_NAMES,
  'created_at',
  'updated_at',
  'password_hash',
  'password',
] as const
export type Column = (typeof COLUMNS)[number]

/** Columns whose cells hold JSON. */
export const JSON_COLUMNS: ReadonlySet<Column> = new Set(
  PROFILE_NAMES.filter((name) => profileField(name).body.type === 'object'),
)
