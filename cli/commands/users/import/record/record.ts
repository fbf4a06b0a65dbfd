import { PROFILE_NAMES, type ProfileName, profileField } from '../../../../../services/kit/schema/user.ts'
import type { ImportedApp } from './imported-factor.ts'

/** A line as `POST /users/import` reads it. Its fields are not checked: the API reports errors in them. */
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

/** A field of an imported user that was skipped or repaired. */
export type SkippedField =
  | 'admin'
  | 'username'
  | 'created_at'
  | 'password'
  | 'name_controls'
  | 'name_cut'
  | 'blanks'
  | 'metadata'
  | 'metadata_nul'
  | 'attributes'
  | 'factor_kind'
  | 'factor_unverified'

/** A role in the other product: its name, or the key of a group that is named elsewhere in the file. */
export type TheirRole = string | { group: string }

/**
 * Why a role was skipped: it is not a valid role name here, two roles would get the same name, the user has too many, or
 * the group has no name in the file.
 */
export type RoleFault = 'unfit' | 'same' | 'too_many' | 'unnamed'

export interface SkippedRole {
  /** Its name in the other product. */
  role: string
  reason: RoleFault
  /** For `same`: another role in the file that would get the same name. */
  other?: string
}

/** A user read from the file, or a record that is not valid. */
export type ImportRecord = UserRecord | FaultyRecord

/** A record as a format yields it. The name of a group is not a record of its own. */
export type ReadRecord = ImportRecord | { place: number; group: { id: string; name: string } }

export interface UserRecord {
  /** The line of the file where the record begins, or its number in a JSON document; from 1. */
  place: number
  user: ImportLine
  skipped?: SkippedField[]
  /** Roles in the other product, before `fitRoles` converts them; `admin`: whether a flag makes the user an administrator. */
  theirs?: { roles: readonly TheirRole[]; admin: boolean }
  skippedRoles?: SkippedRole[]
  /** Apps that show codes, which auth gets once the user exists. Not part of `user`: they stay out of the errors file. */
  apps?: ImportedApp[]
}

export interface FaultyRecord {
  place: number
  fault: string
  /** The readable part of the record. */
  user?: ImportLine
}

/** The one field that this tool requires; the API checks everything else. */
export const NO_EMAIL = 'The email is missing'

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
