import type { TOptional, TSchema } from '@sinclair/typebox'
import { type Static, t } from 'elysia'
import { mistyped } from '../field-errors.ts'
import { LOCALES } from '../locale.ts'
import { ROLE } from '../role.ts'
import { described } from './described.ts'
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

/** A password that is being set. Its least length is a setting, so it is checked with the rest of the policy. */
export const newPassword = text({
  most: 256,
  controls: true,
  description: 'The new password, at least `PASSWORD_MIN_LENGTH` characters',
  examples: ['correct horse battery'],
})
/** A password that is being checked. Today's rules for new passwords do not apply to it. */
export const password = text({
  least: 1,
  most: 256,
  controls: true,
  description: 'The current password',
  examples: ['correct horse battery'],
})
export const name = nullable(text({ most: 200, description: 'The name; null for none', examples: ['Ana'] }))
export const status = described(oneOf('active', 'disabled'), '`disabled`: the user cannot log in')

const USERNAME_MIN = 3
const USERNAME_MAX = 32
const USERNAME = /^[a-z0-9_.-]{3,32}$/
/** A username. It is checked in lower case, as it is stored. */
export const username = nullable(
  checked<string>(
    {
      type: 'string',
      pattern: '^[A-Za-z0-9_.-]{3,32}$',
      description: 'The username, stored in lower case; null for none',
      examples: ['ana'],
    },
    (value) => {
      if (typeof value !== 'string') return mistyped('a string')
      if (USERNAME.test(value.toLowerCase())) return undefined
      const message = 'must be 3 to 32 letters, digits, dots, dashes or underscores'
      if (value.length < USERNAME_MIN) return { code: 'too_short', message, limit: USERNAME_MIN }
      if (value.length > USERNAME_MAX) return { code: 'too_long', message, limit: USERNAME_MAX }
      return { code: 'pattern', message }
    },
  ),
)

export const role = matching(ROLE, 'must be capital letters, digits and underscores, beginning with a letter', {
  description: 'A role',
  examples: ['USER'],
})
const roles = described(listOf(role, 32), 'The roles; `ADMIN` makes the user an operator')

/** An example of a password hash. */
export const HASH = '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'
export const passwordHash = text({
  least: 1,
  most: 512,
  description: 'A password hash of a supported format, instead of a password',
  examples: [HASH],
})

const METADATA_LIMITS = { bytes: 8 * 1024, levels: 8 }
const METADATA = 'at most 8 KiB and 8 levels. PATCH merges it (RFC 7396), PUT and imports replace it'

/** A field that the services store and show, and that none of their rules reads. */
interface ProfileField {
  /** The field in a body. */
  body: CheckedSchema
  /** The field in an answer. Every answer is checked: the framework's own types cost the least. */
  answer: TSchema
  /** The value of a user for whom none was sent. */
  initial: unknown
  /** PATCH merges the value into the current one (RFC 7396). Without it PATCH replaces the value. */
  merges?: true
  /** Only operators may write it. */
  operatorOnly?: true
}

/** An object of any fields, in an answer. */
const anyObject = (description: string, example: JsonObject) =>
  t.Object({}, { additionalProperties: true, description, examples: [example] })

const LOCALE = described(nullable(oneOf(...LOCALES)), 'The preferred language; null: no preference')
const USER_METADATA = 'Data of the application that the user may write'
const APP_METADATA = 'Data of the application that only operators may write'

/** The profile of a user. A field that is added here and in the table of users appears everywhere (CONTRIBUTING.md). */
export const PROFILE = {
  locale: { body: LOCALE, answer: LOCALE, initial: null },
  metadata: {
    body: jsonObject(METADATA_LIMITS, {
      description: `${USER_METADATA}: ${METADATA}`,
      examples: [{ theme: 'dark' }],
    }),
    answer: anyObject(USER_METADATA, { theme: 'dark' }),
    initial: {} as JsonObject,
    merges: true,
  },
  app_metadata: {
    body: jsonObject(METADATA_LIMITS, {
      description: `${APP_METADATA}: ${METADATA}`,
      examples: [{ plan: 'pro' }],
    }),
    answer: anyObject(APP_METADATA, { plan: 'pro' }),
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
  // A loop, because lists and exports call this for each user.
  const profile: Record<string, unknown> = {}
  for (const field of PROFILE_NAMES) profile[field] = values[field] ?? PROFILE[field].initial
  return profile as Profile
}

/** The definition of a profile field by its name, without its literal types. */
export function profileField(field: ProfileName): ProfileField {
  return PROFILE[field]
}

/** Builds a record with a schema for each field of the profile. */
function mapProfile(schemaOf: (field: ProfileField) => TSchema) {
  return Object.fromEntries(PROFILE_NAMES.map((field) => [field, schemaOf(PROFILE[field])]))
}
type OperatorName = { [Name in ProfileName]: Fields[Name] extends { operatorOnly: true } ? Name : never }[ProfileName]

const profileAnswers = mapProfile(({ answer }) => answer) as { [Name in ProfileName]: Fields[Name]['answer'] }
/** The fields of the profile in a body, each optional. */
export const profileFields = mapProfile(({ body }) => t.Optional(body)) as {
  [Name in ProfileName]: TOptional<Fields[Name]['body']>
}

/** The answer that shows a user. */
export const userRead = strict({
  id: t.String({ format: 'uuid', description: 'The id of the user' }),
  email: t.String({ description: 'The email', examples: ['ana@example.org'] }),
  username: t.Nullable(t.String({ examples: ['ana'] }), { description: 'The username; null for none' }),
  name: t.Nullable(t.String({ examples: ['Ana'] }), { description: 'The name; null for none' }),
  roles: t.Array(t.String({ examples: ['USER'] }), { description: 'The roles; `ADMIN` makes the user an operator' }),
  status: t.UnionEnum(['active', 'disabled'], { description: '`disabled`: the user cannot log in' }),
  email_verified: t.Boolean({ description: 'Whether the email is confirmed' }),
  has_password: t.Boolean({ description: 'Whether the user has a password' }),
  ...profileAnswers,
  created_at: described(time(), 'When the user was created'),
  updated_at: described(time(), 'When the record last changed'),
})
export type UserRead = Static<typeof userRead>

const operatorNames = PROFILE_NAMES.filter((field) => profileField(field).operatorOnly)

export const operatorFields = {
  roles: t.Optional(roles),
  status: t.Optional(status),
  email_verified: t.Optional(described(flag(), 'Whether the email is confirmed')),
  ...(Object.fromEntries(operatorNames.map((field) => [field, profileFields[field]])) as Pick<
    typeof profileFields,
    OperatorName
  >),
}

/** The fields of a user that only an operator may set: anyone else gets 403 `forbidden_field`. */
export const OPERATOR_FIELDS: readonly string[] = Object.keys(operatorFields)
/** The fields that only an operator may set when a user is created. */
export const OPERATOR_CREATION_FIELDS: readonly string[] = [...OPERATOR_FIELDS, 'password_hash']

const creation = {
  email: described(trimmed(email()), 'The email'),
  password: t.Optional(newPassword),
  username: t.Optional(trimmed(username)),
  name: t.Optional(name),
  ...operatorFields,
  ...profileFields,
  password_hash: t.Optional(passwordHash),
}
/** The fields of an existing user that requests to change them may have. */
export const CHANGEABLE_FIELDS: readonly string[] = Object.keys(creation).filter((field) => !/^password/.test(field))

const examples = [{ email: 'ana@example.org', password: 'correct horse battery', username: 'ana', name: 'Ana' }]

export const userCreate = strict(creation, {
  description: `Only operators may set ${OPERATOR_FIELDS.join(', ')}, and send a hash or nothing in place of the password: a user without a password sets the first one by a reset`,
  ...oneFieldAtMost('password', 'password_hash'),
  examples,
})
export type UserCreate = Static<typeof userCreate>

/** `userCreate` for a user who logs in at once. */
export const registration = strict(creation, { ...oneFieldOf('password', 'password_hash'), examples })

const { id, ...withoutId } = userRead.properties
/** The record of a user that auth stores in its password cache. */
export const passwordRecord = strict({
  user_id: id,
  ...withoutId,
  password_hash: t.Nullable(t.String({ examples: [HASH] }), {
    description: 'The hash of the password; null: the user has no password',
  }),
  password_version: described(integer(), 'The version of the record: it grows with every change of the user'),
})
export type PasswordRecord = Static<typeof passwordRecord>

/** The fields of a record that a login reads. */
const LOGIN_FIELDS = ['id', 'email', 'username', 'roles', 'status', 'email_verified', 'has_password'] as const
type LoginField = (typeof LOGIN_FIELDS)[number]
/** All other fields of a user. Auth stores them as one JSON value and reads none of them. */
export type OpaqueProfile = Record<string, unknown>

const OPAQUE_NAMES = Object.keys(userRead.properties).filter((field) => !LOGIN_FIELDS.some((name) => name === field))

/** The fields of a record that auth stores as one value. */
export function opaqueProfileOf(record: Omit<UserRead, LoginField | ProfileName> & Partial<Profile>): OpaqueProfile {
  const values: Record<string, unknown> = { ...record, ...profileOf(record) }
  return Object.fromEntries(OPAQUE_NAMES.map((field) => [field, values[field]]))
}

/** The answer that shows a user, from the values that auth stores. A field that was added later has its initial value. */
export function userReadFrom(login: Pick<UserRead, LoginField>, profile: OpaqueProfile): UserRead {
  return { ...login, ...profile, ...profileOf(profile) } as UserRead
}

/**
 * The body of a user in version 0.0.1. The fields that only an operator may set are part of it, so that anyone else who
 * sends one gets 403 `forbidden_field` as in the other versions.
 */
export const credentialsV0 = strict(
  {
    email: described(trimmed(email()), 'The email'),
    password: newPassword,
    ...operatorFields,
    password_hash: t.Optional(passwordHash),
  },
  { examples: [{ email: 'ana@example.org', password: 'correct horse battery' }] },
)

/** The answer that shows a user in version 0.0.1. */
export const userV0 = strict({ id, email: userRead.properties.email, roles: userRead.properties.roles })
