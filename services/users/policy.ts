import { actsForOperators, refuseClientFields } from '../kit/access/clients.ts'
import type { Caller } from '../kit/caller.ts'
import {
  type Complaint,
  errorOf,
  exactlyOne,
  excludedBy,
  type FieldError,
  REQUIRED,
  UNKNOWN,
} from '../kit/field-errors.ts'
import { isSupportedHash, isUnusableHash, SUPPORTED_HASHES } from '../kit/passwords/hasher.ts'
import { passwordErrors } from '../kit/passwords/policy.ts'
import { Problem } from '../kit/problem.ts'
import type { Config } from '../kit/process/config.ts'
import { CHANGEABLE_FIELDS, OPERATOR_CREATION_FIELDS, OPERATOR_FIELDS, type UserCreate } from '../kit/schema/user.ts'
import type { RuleContext } from '../kit/schema/validation.ts'
import type { InternalPassword, Proof } from './schemas/internal.ts'

// The rules for bodies beyond their schemas. Each takes values of any type: it is also asked about bodies that the
// schema refuses, so that one answer lists every error.

type Settings = Pick<Config, 'passwordMinLength' | 'registrationOpen'>
/** A body of the shape T whose values may have any type. */
type Sent<T> = Partial<Record<keyof T, unknown>>

/**
 * Refuses fields that only an operator may set, and what a client may not set: 403, never silently ignored.
 * @throws Problem `forbidden_field`
 */
function refuseOperatorFields(sent: object, caller: Caller, fields = OPERATOR_FIELDS): void {
  refuseClientFields(sent, caller)
  if (actsForOperators(caller)) return
  const field = fields.find((name) => name in sent)
  if (field) throw new Problem('forbidden_field', { message: `Only an operator may set ${field}` })
}

/** The fields of another user that a support person may set. */
const SUPPORT_FIELDS: readonly string[] = ['status']

/** Refuses the fields of an existing user that the caller may not set. @throws Problem `forbidden_field` */
export function refuseFieldsOf(userId: string, sent: object, caller: Caller): void {
  const helps = caller.supportRole !== null && userId !== caller.userId
  if (!helps) refuseOperatorFields(sent, caller)
  const field = helps && Object.keys(sent).find((name) => !SUPPORT_FIELDS.includes(name))
  if (field) throw new Problem('forbidden_field', { message: `A support person may not set ${field}` })
}

/** The errors of a change of a user. @throws Problem `forbidden_field` */
export function changeErrors(sent: object, { caller, params }: RuleContext): FieldError[] {
  const userId = params.user_id?.toLowerCase() ?? ''
  // For anyone else, a change of another user is refused by `user_not_found`.
  if (userId !== caller.userId && caller.supportRole === null && caller.client === null) return []
  const ofUsers = Object.entries(sent).filter(([name]) => CHANGEABLE_FIELDS.includes(name))
  refuseFieldsOf(userId, Object.fromEntries(ofUsers), caller)
  return []
}

/** The errors of a new user. @throws Problem `forbidden_field`, `registration_closed` */
export function creationErrors(settings: Settings, sent: Sent<UserCreate>, caller: Caller): FieldError[] {
  refuseOperatorFields(sent, caller, OPERATOR_CREATION_FIELDS)
  if (!actsForOperators(caller) && !settings.registrationOpen) throw new Problem('registration_closed')
  // Operators also create users without a password.
  if (!actsForOperators(caller) && sent.password === undefined) return [errorOf('password', REQUIRED)]
  return passwordOrHashErrors(sent, settings.passwordMinLength, sent)
}

/**
 * The errors of a password or a hash; both may be missing.
 * @param least the minimum length of a password
 * @param owner whose email, username and name are refused as passwords
 */
export function passwordOrHashErrors(
  { password, password_hash }: Sent<UserCreate>,
  least: number,
  owner: Sent<UserCreate>,
): FieldError[] {
  const errors = passwordErrors('password', password, least, [owner.email, owner.username, owner.name])
  const hasBoth = password !== undefined && password_hash !== undefined
  const complaint = hasBoth ? excludedBy('password') : hashComplaint(password_hash)
  return complaint ? [...errors, errorOf('password_hash', complaint)] : errors
}

/** The errors of a new password of an existing user. Their names are compared later, when the user has been read. */
export function setPasswordErrors({ passwordMinLength }: Settings, sent: { new_password?: unknown }): FieldError[] {
  return passwordErrors('new_password', sent.new_password, passwordMinLength, [])
}

/** The errors of the body that completes a reset or stores a rehash. */
export function internalPasswordErrors(settings: Settings, sent: Sent<InternalPassword>): FieldError[] {
  const { if_version, new_password, password_hash } = sent
  if (new_password !== undefined) {
    const hasBoth = password_hash !== undefined || if_version !== undefined
    const second = hasBoth ? [errorOf('new_password', excludedBy('password_hash'))] : []
    return [...second, ...setPasswordErrors(settings, sent)]
  }
  if (password_hash === undefined) return exactlyOne(sent, ['new_password', 'password_hash'])
  const complaint = hashComplaint(password_hash)
  return [
    ...(complaint ? [errorOf('password_hash', complaint)] : []),
    ...(if_version === undefined ? [errorOf('if_version', REQUIRED)] : []),
  ]
}

/** The errors of a proof: a password belongs to some of them only, names to invitations. */
export function proofErrors(settings: Settings, sent: Sent<Proof>): FieldError[] {
  const { kind, name, new_password, sessions_from, username } = sent
  const setsPassword = kind === 'reset' || kind === 'invitation'
  const errors = setPasswordErrors(settings, sent)
  if (setsPassword && new_password === undefined) errors.push(errorOf('new_password', REQUIRED))
  if (!setsPassword && new_password !== undefined) errors.push(errorOf('new_password', UNKNOWN))
  if (kind !== 'invitation' && username !== undefined) errors.push(errorOf('username', UNKNOWN))
  if (kind !== 'invitation' && name !== undefined) errors.push(errorOf('name', UNKNOWN))
  const changesEmail = kind === 'email_change' || kind === 'undo'
  if (!changesEmail && sessions_from !== undefined) errors.push(errorOf('sessions_from', UNKNOWN))
  return errors
}

/** The error of an imported hash. The schema refuses a value that is not text. */
function hashComplaint(hash: unknown): Complaint | undefined {
  if (typeof hash !== 'string' || isSupportedHash(hash) || isUnusableHash(hash)) return undefined
  return { code: 'format', message: `must be ${SUPPORTED_HASHES}` }
}
