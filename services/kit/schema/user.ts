import type { TOptional, TSchema } from '@sinclair/typebox'
import { type Static, t } from 'elysia'
import { mistyped } from '../field-errors.ts'
import { type JsonObject, jsonObject } from './json-object.ts'
import {
  type CheckedSchema,
  checked,
  email,
  flag,
  integer,
  listOf,
  matching,
  nullable,
  object,
  oneFieldAtMost,
  oneFieldOf,
  oneOf,
  strict,
  text,
  time,
  trimmed,
} from './schema.ts'

// The shape of a user, once: the API's bodies and answers, the record that auth stores, events, exports and imports
// follow from it.

/** A new password. Its minimum length is a setting, so the password policy checks it. */
export const newPassword = text({ most: 256, controls: true, examples: ['correct horse battery'] })
/** A password to check: any text that can be one. */
export const password = text({ least: 1, most: 256, controls: true, examples: ['correct horse battery'] })
export const name = nullable(text({ most: 200, examples: ['Ana'] }))
export const status = oneOf('active', 'disabled')

const USERNAME_MIN = 3
const USERNAME_MAX = 32
const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** Checked in lower case. */
export const username = nullable(
  checked<string>({ type: 'string', pattern: '^[A-Za-z0-9_.-]{3,32}$', examples: ['ana'] }, (value) => {
    if (typeof value !== 'string') return mistyped('a string')
    if (USERNAME.test(value.toLowerCase())) return undefined
    const message = 'must be 3 to 32 letters, digits, dots, dashes or underscores'
    if (value.length < USERNAME_MIN) return { code: 'too_short', message, limit: USERNAME_MIN }
    if (value.length > USERNAME_MAX) return { code: 'too_long', message, limit: USERNAME_MAX }
    return { code: 'pattern', message }
  }),
)

export const role = matching(
  /^[A-Z][A-Z0-9_]{0,31}$/,
  'must be capital letters, digits and underscores, beginning with a letter',
  { examples: ['USER'] },
)
const roles = listOf(role, 32)

export const passwordHash = text({ least: 1, most: 512 })

const METADATA_LIMITS = { bytes: 8 * 1024, levels: 8 }
const METADATA = 'at most 8 KiB and 8 levels. PATCH merges it (RFC 7396), PUT and imports replace it'

/** A field that the services store and show, and that none of their rules reads. */
interface ProfileField {
  /** The field in a body. */
  body: CheckedSchema
  /** The field in an answer. */
  answer: TSchema
  /** The value of a user for whom none was sent. */
  initial: unknown
  /** PATCH merges the value into the current one (RFC 7396). Without it PATCH replaces the value. */
  merges?: true
  /** Only operators may write it. */
  operatorOnly?: true
}

/** The profile of a user. A field that is added here and in the table of users appears everywhere (CONTRIBUTING.md). */
export const PROFILE = {
  locale: { body: nullable(oneOf('en', 'ru')), answer: nullable(oneOf('en', 'ru')), initial: null },
  metadata: {
    body: jsonObject(METADATA_LIMITS, {
      description: `Data of the application that the user may write: ${METADATA}`,
      examples: [{ theme: 'dark' }],
    }),
    answer: object(),
    initial: {} as JsonObject,
    merges: true,
  },
  app_metadata: {
    body: jsonObject(METADATA_LIMITS, {
      description: `Data of the application that only operators may write: ${METADATA}`,
      examples: [{ plan: 'pro' }],
    }),
    answer: object(),
    initial: {} as JsonObject,
    merges: true,
    operatorOnly: true,
  },
} satisfies Record<string, ProfileField>

type Fields = typeof PROFILE
export type ProfileName = keyof Fields
/** The values of a profile. They have the same names in the API, in the database and in the tool. */
export type Profile = { [Name in ProfileName]: Static<Fields[Name]['body']> }

export const PROFILE_NAMES = Object.keys(PROFILE) as ProfileName[]

/** A profile, with initial values for what `values` lacks. Other fields of `values` are left out. */
export function profileOf(values: Partial<Profile>): Profile {
  return Object.fromEntries(PROFILE_NAMES.map((field) => [field, values[field] ?? PROFILE[field].initial])) as Profile
}

/** The definition of a profile field by its name, without its literal types. */
export function profileField(field: ProfileName): ProfileField {
  return PROFILE[field]
}

function ofProfile(schemaOf: (field: ProfileField) => TSchema) {
  return Object.fromEntries(PROFILE_NAMES.map((field) => [field, schemaOf(PROFILE[field])]))
}
type OperatorName = { [Name in ProfileName]: Fields[Name] extends { operatorOnly: true } ? Name : never }[ProfileName]

const profileAnswers = ofProfile(({ answer }) => answer) as { [Name in ProfileName]: Fields[Name]['answer'] }
/** The fields of the profile in a body, each optional. */
export const profileFields = ofProfile(({ body }) => t.Optional(body)) as {
  [Name in ProfileName]: TOptional<Fields[Name]['body']>
}

export const userRead = strict({
  id: t.String({ format: 'uuid' }),
  email: t.String(),
  username: t.Nullable(t.String()),
  name: t.Nullable(t.String()),
  roles: t.Array(t.String()),
  status: t.Union([t.Literal('active'), t.Literal('disabled')]),
  email_verified: t.Boolean(),
  /** Whether the user can log in by a password. */
  has_password: t.Boolean(),
  ...profileAnswers,
  created_at: time(),
  updated_at: time(),
})
export type UserRead = Static<typeof userRead>

const operatorNames = PROFILE_NAMES.filter((field) => profileField(field).operatorOnly)

export const operatorFields = {
  roles: t.Optional(roles),
  status: t.Optional(status),
  email_verified: t.Optional(flag()),
  ...(Object.fromEntries(operatorNames.map((field) => [field, profileFields[field]])) as Pick<
    typeof profileFields,
    OperatorName
  >),
}

/** The fields of a user that only an operator may set: anyone else gets 403 `forbidden_field`. */
export const OPERATOR_FIELDS: readonly string[] = Object.keys(operatorFields)
/** The same when a user is created. */
export const OPERATOR_CREATION_FIELDS: readonly string[] = [...OPERATOR_FIELDS, 'password_hash']

const creation = {
  email: trimmed(email()),
  password: t.Optional(newPassword),
  username: t.Optional(trimmed(username)),
  name: t.Optional(name),
  ...operatorFields,
  ...profileFields,
  password_hash: t.Optional(passwordHash),
}
const examples = [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }]

export const userCreate = strict(creation, {
  description: `Only operators may set ${OPERATOR_FIELDS.join(', ')}, and send a hash or nothing in place of the password: a user without a password sets the first one by a reset`,
  ...oneFieldAtMost('password', 'password_hash'),
  examples,
})
export type UserCreate = Static<typeof userCreate>

/** As `userCreate`, for someone who logs in at once. */
export const registration = strict(creation, { ...oneFieldOf('password', 'password_hash'), examples })

const { id, ...withoutId } = userRead.properties
/** The record of a user that auth stores in its password cache. */
export const passwordRecord = strict({
  user_id: id,
  ...withoutId,
  /** Null: the user has no password. */
  password_hash: t.Nullable(t.String()),
  password_version: integer(),
})
export type PasswordRecord = Static<typeof passwordRecord>

/** The fields of a record that a login reads. */
const LOGIN_FIELDS = ['id', 'email', 'username', 'roles', 'status', 'email_verified', 'has_password'] as const
type LoginField = (typeof LOGIN_FIELDS)[number]
/** All other fields of a user: auth stores them as one JSON value, and reads none of them. */
export type OpaqueProfile = Record<string, unknown>

const OPAQUE_NAMES = Object.keys(userRead.properties).filter((field) => !LOGIN_FIELDS.some((name) => name === field))

/** The fields of a record that auth stores as one value. */
export function opaqueProfileOf(record: Omit<UserRead, LoginField | ProfileName> & Partial<Profile>): OpaqueProfile {
  const values: Record<string, unknown> = { ...record, ...profileOf(record) }
  return Object.fromEntries(OPAQUE_NAMES.map((field) => [field, values[field]]))
}

/** The answer of a user from what auth stores. A profile from before a field was added gets its initial value. */
export function userReadFrom(login: Pick<UserRead, LoginField>, profile: OpaqueProfile): UserRead {
  return { ...login, ...profile, ...profileOf(profile) } as UserRead
}

/**
 * The body of version 0.0.1. It also has the fields that only an operator may set, so that anyone else who sends one
 * gets the same answer as everywhere.
 */
export const credentialsV0 = strict(
  { email: trimmed(email()), password: newPassword, ...operatorFields, password_hash: t.Optional(passwordHash) },
  { examples: [{ email: 'ana@example.org', password: 'correct horse battery' }] },
)

export const userV0 = strict({ id: t.String({ format: 'uuid' }), email: t.String(), roles: t.Array(t.String()) })
